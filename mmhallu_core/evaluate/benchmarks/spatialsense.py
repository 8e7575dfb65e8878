"""SpatialSense: is the cat *on* the mat? Spatial relations that people chose because they look likely, and are not.

Source: Yang et al., "SpatialSense: An Adversarially Crowdsourced Benchmark for Spatial Relation Recognition", ICCV
2019, arXiv 1908.02660; file form and measure read at commit 2071fb9. Nine relations, each with a subject and an object,
true or false of a photo. The published measure is accuracy on the test split, overall and for each relation.

It was made for classifiers that see the two boxes. Papers that report it for vision-language models do not say how
they ask or read answers. Here the question is "Is the cat on the mat? Please answer yes or no." with the whole photo;
`official` is the published measure with VLMEvalKit's reading of words, and `strict` ours.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmhallu_core.data.question import Question
from mmhallu_core.data.rows import column, id_in, object_in, objects_in, rows, text_in
from mmhallu_core.evaluate.answers import YES_NO
from mmhallu_core.evaluate.benchmark import Benchmark, by_rule, given, strictly
from mmhallu_core.evaluate.metrics import Metrics, by_category, share
from mmhallu_core.types import require

HOME = "https://github.com/princeton-vl/SpatialSense"
RELATIONS = (
    "above", "behind", "in", "in front of", "next to", "on", "to the left of", "to the right of", "under",
)  # fmt: skip


def read(path: Path | None, split: str = "test") -> list[Question]:
    """Reads `annotations.json`; the photos stand beside it, in `images/flickr/` and `images/nyu/`.

    Args:
        path: the file, or its folder.
        split: "train", "valid" or "test".

    Raises:
        CannotRun: when no path is given.
        RecordError: when a row is not as published, or the split is empty.
    """
    path = given(path, "SpatialSense", f"it from {HOME}, and name its folder")
    file = path / "annotations.json" if path.is_dir() else path
    questions = []
    for here, row in rows(file):
        if text_in(row, here, "split") != split:
            continue
        url = text_in(row, here, "url")
        source = "flickr" if url.startswith("http") else "nyu"
        image = str(file.parent / "images" / source / url.rpartition("/")[2])
        for one in objects_in(row, here, "annotations"):
            name, relation, label = id_in(one, here, "_id"), text_in(one, here, "predicate"), column(one, here, "label")
            require(relation in RELATIONS, f"{here}: no relation {relation!r}; there are {', '.join(RELATIONS)}")
            require(isinstance(label, bool), f"{here}: `label` of {name} must be true or false, got {label!r}")
            subject, other = (text_in(object_in(one, here, key), here, "name").strip() for key in ("subject", "object"))
            text = f"Is the {subject} {relation} the {other}? Please answer yes or no."
            about = {"relation": relation, "subject": subject, "object": other}
            questions.append(Question(name, text, "yes" if label else "no", (image,), about=about))
    require(len(questions) > 0, f"{file}: no questions of the split {split!r}")
    return questions


def _scores(questions: Sequence[Question], right: Sequence[bool]) -> Metrics:
    """Accuracy overall and of each relation that was asked about."""
    return {"accuracy": share(right, questions), **by_category(right, questions, "relation")}


BENCHMARKS = (
    Benchmark(
        name="spatialsense",
        title="SpatialSense: nine spatial relations, true or false of a photo (test split)",
        home=HOME,
        licence="none stated by its authors; the photos come from Flickr and NYU Depth",
        form="yes_no",
        headline="accuracy",
        read=partial(read, split="test"),
        official=by_rule(_scores, YES_NO["VLMEvalKit"]),
        strict=strictly(_scores),
    ),
)
