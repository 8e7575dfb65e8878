"""CHAIR: describe the picture; which of the objects that you name are not there? Its rules are in `evaluate/chair.py`.

Source: Rohrbach et al., "Object Hallucination in Image Captioning", arXiv 1809.02156. Lower is better for `chair_i`
(share of mentions) and `chair_s` (share of captions). A short caption names little and so errs little: read both with
`recall` and `mean_length`.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmhallu_core.data.question import Question
from mmhallu_core.data.vocabulary import Vocabulary, coco_objects, coco_vocabulary, read_truth
from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.evaluate.chair import chair_parts
from mmhallu_core.evaluate.metrics import Metric, Metrics, share

PROMPT = "Describe the image."


def caption_question(name: str, objects: Sequence[str], picture: str | bytes) -> Question:
    """One picture to describe; `about` holds the objects in it."""
    return Question(name, PROMPT, ", ".join(objects) or "nothing", (picture,), (), {"objects": list(objects)})


def read(path: Path | None) -> list[Question]:
    """Reads what is in which picture (`data.vocabulary.read_truth`); without a path, COCO's val and train 2014.

    Raises:
        CannotRun: when the file has another form, or COCO's objects are not in the data folder.
    """
    truth = coco_objects() if path is None else read_truth(path)[0]
    return [caption_question(image, sorted(objects), f"{image}.jpg") for image, objects in truth.items()]


def scorer(rules: str, vocabulary: Vocabulary | None, questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """CHAIR by one set of rules; COCO's words where no vocabulary is given."""
    truth, pictures = [question.about["objects"] for question in questions], [one.picture for one in questions]
    counted = chair_parts(texts, truth, vocabulary or coco_vocabulary(), rules)
    return {name: Metric(top, bottom, pictures, share=name != "mean_length") for name, (top, bottom) in counted.items()}


def strict(vocabulary: Vocabulary | None, questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The repaired rules; `unparsed` are the empty captions."""
    unparsed = share([not text.strip() for text in texts], questions)
    return {**scorer("fixed", vocabulary, questions, texts), "unparsed": unparsed}


def with_words(vocabulary: Vocabulary | None) -> Benchmark:
    """CHAIR for pictures whose objects are named by other words than COCO's."""
    return Benchmark(
        name="chair",
        title="CHAIR: the objects that captions name and pictures do not show",
        home="https://github.com/LisaAnne/Hallucination",
        licence="none stated; COCO's annotations CC BY 4.0",
        form="free",
        headline="chair_i",
        read=read,
        official=partial(scorer, "2018", vocabulary),
        strict=partial(strict, vocabulary),
        chance=lambda questions: 0.0,  # who says nothing names nothing wrong
    )


BENCHMARKS = (with_words(None),)
