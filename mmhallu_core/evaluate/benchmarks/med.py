"""MED and MED-Real: two pictures that differ in one thing, and a question about the difference.

Source: "Hallucination at a Glance", arXiv 2506.07227, and its repository at commit 2b4fa61. `med-bench` has 165 pairs
of a photo and its edit in 11 categories; `med-real` has 35 pairs of MMVP's photos, which are not part of the set.

Four scripts test four models. Those for GPT, Qwen and Llama look for a letter after "Answer:"; the one for LLaVA also
takes an answer that is one letter. Where there is none they draw an option at random, so an answer of no use scores a
quarter. `official` is the expectation of that draw: the same every time, and what the mean over seeds tends to. The
paper prints the mean over categories (`macro_accuracy`), the scripts print the mean over questions (`accuracy`). Both
are read as three of the four scripts do, and each script's own stand beside them (`accuracy_llava`).

LLaVA's script keeps the prompt before the reply where the model's template has no "ASSISTANT:". A reply without
"Answer:" is then an A, from the example in the prompt. The answers that are scored here are replies alone.

What a rule scores on these files without any picture: `mmhallu audit med-bench`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mmhallu_core.data.question import FILES, Question, read_multiple_choice
from mmhallu_core.data.rows import beside, rows, text_in
from mmhallu_core.evaluate.benchmark import Benchmark, strictly
from mmhallu_core.evaluate.letters import LETTER
from mmhallu_core.evaluate.metrics import Metric, Metrics, Values, by_category, mean_of_categories, share
from mmhallu_core.store import data_file
from mmhallu_core.types import require

SCRIPTS = ("GPT", "Qwen", "Llama", "LLaVA")
FORMAT = 'Write "Answer:" and the letter of the right option, such as "Answer: A".'


def reader(name: str) -> Callable[[Path | None], list[Question]]:
    """A function that reads `med-bench` or `med-real`, from a path or from the data folder."""

    def read(path: Path | None) -> list[Question]:
        file = data_file(FILES[name]) if path is None else Path(path)
        questions = []
        for item, (here, row) in zip(read_multiple_choice(file, name), rows(file), strict=True):
            # The real set names its photos "/path/to/MMVP Images/1.jpg".
            names = (text_in(row, here, "image_name"), text_in(row, here, "edited_image_name"))
            # The score of med-bench is the mean over categories.
            require("category" in item.about or name != "med-bench", f"{here}: no `type`, the question's category")
            pictures = tuple(beside(file.parent, "/".join(one.split("/")[-2:])) for one in names)
            # The options stay as printed; in the prompt they lose the blanks at their ends, which give answers away.
            lines = ["Here are two pictures.", row.get("question") or "", *map(str.strip, item.options), FORMAT]
            questions.append(replace(item, prompt="\n".join(lines), images=pictures))
        return questions

    return read


def _scores(questions: Sequence[Question], values: Values) -> Metrics:
    scores = {"accuracy": share(values, questions)}
    if all("category" in question.about for question in questions):
        mean = mean_of_categories(values, questions)
        scores = {"macro_accuracy": mean, **scores, **by_category(values, questions)}
    return scores


def official(questions: Sequence[Question], texts: Sequence[str]) -> Metrics:
    """The expectation of the published rule, how often it draws (`drawn`), and both by the name of each script."""

    def expected(rule: str) -> tuple[list[float], Metric]:
        said = [LETTER[rule](text, question.choices) for question, text in zip(questions, texts, strict=True)]
        values = [
            float(one == question.truth) if one else 1 / len(question.options)
            for one, question in zip(said, questions, strict=True)
        ]
        return values, share([one is None for one in said], questions)

    values, drawn = expected("MED GPT")
    found = {**_scores(questions, values), "drawn": drawn}
    for script in SCRIPTS:
        values, drawn = expected(f"MED {script}")
        scores = {**_scores(questions, values), "drawn": drawn}
        named = (name for name in ("macro_accuracy", "accuracy", "drawn") if name in scores)
        found |= {f"{name}_{script.lower()}": scores[name] for name in named}
    return found


strict = strictly(_scores)  # without a draw


MED = Benchmark(
    name="med-bench",
    title="MED: 165 photos and their micro-edits, what is the difference?",
    home="https://github.com/beccabai/hallu_med",
    licence="none stated; photos from Visual Genome and DOCCI",
    form="letter",
    headline="macro_accuracy",
    read=reader("med-bench"),
    official=official,
    strict=strict,
    sha256={"MED_bench.json": "d3ddcead46c52811e6a136672f24566227c362a29946b22e51f06c8cf8824aaf"},
)
BENCHMARKS = (
    MED,
    replace(
        MED,
        name="med-real",
        title="MED-Real: 35 pairs of MMVP's photos, what is the difference?",
        licence="none stated; photos of MMVP, not included",
        headline="accuracy",
        read=reader("med-real"),
        sha256={"MED_real_set.json": "381666f923c96b62d3281ee5525174f987c89697741419814f3c0540a656d92b"},
    ),
)
