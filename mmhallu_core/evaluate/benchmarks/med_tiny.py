"""MED-tiny: eleven hundred questions about micro-edits in Diorama, a hundred for each of MED's categories.

They are made anew, the same each time, whenever they are read. The seed was fixed before the first was drawn, and a
second one is there to doubt it (`contrast.questions("med-tiny/1")`). The form and both rules are those of `med-bench`;
how the options are made is not (`evaluate/contrast/quartet.py`). Guessing gives a quarter. Who sees one picture of the
two can drop the options that do not fit it: two are left, fewer in Scene, and the whole gives 52% at most. A score up
to there may come from single pictures.

* `med-tiny`: the questions. Very small models know a difference before they know letters: `likelihood.py` asks which
  option a model finds likeliest.
* `med-tiny-swapped`: the same with both pictures exchanged, so that the opposite option is right.
  `contrast/controls.py` scores both together.
* `med-tiny-real`: the same drawn in another style, as MED-Real has other pictures. So the style is all that differs.
* `med-tiny-same`: the first picture twice, a free answer. It should say that nothing changed.

Negation has both directions: a thing goes, or comes. Object is then what is left of MED's: one kind becomes another.
"""

from collections.abc import Callable
from pathlib import Path

from mmhallu_core.data.question import Question, in_folder
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.evaluate.benchmarks.med import official, strict
from mmhallu_core.evaluate.contrast.controls import same_scores, same_twice, swapped
from mmhallu_core.types import CannotRun, read_jsonl, require

SEED, SECOND_SEED = "med-tiny/0", "med-tiny/1"
PER_CATEGORY = 100
REAL_STYLE = "textured"
HOME = "https://arxiv.org/abs/2506.07227 (its form; the questions are made here)"
ITEMS = "items.jsonl"


def reader(name: str, style: str = "flat") -> Callable[[Path | None], list[Question]]:
    """A function that makes the questions, or reads the folder or the `items.jsonl` that `mmhallu med bench` wrote."""

    def read(path: Path | None) -> list[Question]:
        if path is None:
            return contrast_sets.questions(SEED, PER_CATEGORY, style, name)
        return read_items(Path(path))

    return read


def read_items(path: Path) -> list[Question]:
    """The questions of a written benchmark, with their pictures' paths.

    Raises:
        CannotRun: when there is no such file.
        RecordError: names file and line where a row is wrong.
    """
    file = path / ITEMS if path.is_dir() else path
    if not file.is_file():
        raise CannotRun(f"there is no {file}; `mmhallu med bench --out {path}` writes one")
    questions = read_jsonl(file, Question)
    for one in questions:
        whole = len(one.options) > 1 and bool(one.about.get("category"))
        require(whole, f"{file}: question {one.id} needs `options` and, in `about`, a `category`")
    return in_folder(questions, file.parent)


def _benchmark(name: str, title: str, read: Callable[[Path | None], list[Question]]) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        home=HOME,
        licence="Apache-2.0",
        form="letter",
        headline="macro_accuracy",
        read=read,
        official=official,
        strict=strict,
    )


BENCHMARKS = (
    _benchmark("med-tiny", "MED-tiny: 1,100 micro-edits in Diorama, what is the difference?", reader("med-tiny")),
    _benchmark(
        "med-tiny-real",
        "MED-tiny in another style of drawing, as MED-Real has other pictures",
        reader("med-tiny-real", REAL_STYLE),
    ),
    _benchmark(
        "med-tiny-swapped",
        "MED-tiny with both pictures exchanged, so that the opposite is right",
        lambda path: swapped(reader("med-tiny")(path)),
    ),
    Benchmark(
        name="med-tiny-same",
        title="MED-tiny's first pictures twice: who sees a difference where none is?",
        home=HOME,
        licence="Apache-2.0",
        form="free",
        headline="asserts_a_difference",
        read=lambda path: same_twice(reader("med-tiny")(path)),
        official=same_scores,
        strict=same_scores,
        chance=lambda questions: 0.0,  # who says nothing asserts nothing
    ),
)
