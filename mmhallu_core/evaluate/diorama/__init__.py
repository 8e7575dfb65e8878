"""Twins: for each benchmark a set of the same form, made in Diorama, with exact truth and without a network.

`twin("pope")` gives questions like those that POPE's reader gives, and POPE's scorer scores them: with every fact of
every picture, as many questions as one likes, and words that give nothing away (`making.py` says how). A file for each
form (`yes_no`, `pairs`, `choices`, `two_pictures`, `captions`) says what is particular to a benchmark.

The same name, number and seed give the same questions and the same pictures, byte for byte.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmhallu_core.data.question import Question
from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.evaluate.benchmark import Benchmark
from mmhallu_core.evaluate.benchmarks import benchmarks, published
from mmhallu_core.evaluate.benchmarks.chair import with_words
from mmhallu_core.evaluate.diorama import captions, choices, pairs, two_pictures, yes_no
from mmhallu_core.evaluate.diorama.making import Undrawn, finished
from mmhallu_core.types import CannotRun
from mmhallu_core.world.vocabulary import KINDS

CAPTIONS = 5  # AMBER: one scene to describe for so many questions
# The benchmark's name to the maker of its twin: how many questions, and the seed.
TWINS: dict[str, Callable[[int, int], list[Undrawn]]] = {
    "amber": lambda n, seed: [*yes_no.amber(n, seed), *captions.amber(n // CAPTIONS, seed)],
    "amber-discriminative": yes_no.amber,
    "amber-generative": captions.amber,
    "blink": two_pictures.blink,
    "chair": captions.chair,
    "counting": choices.counting,
    "crpe": choices.crpe,
    "hallusionbench": pairs.hallusionbench,
    "mme": pairs.mme,
    "mmstar": choices.mmstar,
    "mmvp": pairs.mmvp,
    "pope": yes_no.pope,
    "rbench": yes_no.rbench,
    "spatialsense": yes_no.spatialsense,
}
SUFFIX = "-diorama"


def names() -> list[str]:
    """All names that `benchmark` takes, in alphabetical order."""
    return sorted([*benchmarks(), *(name + SUFFIX for name in TWINS)])


def benchmark(name: str) -> Benchmark:
    """One benchmark; "NAME-diorama" is its twin in Diorama.

    Raises:
        CannotRun: when there is none of this name; the message lists those that there are.
    """
    return twin_benchmark(name) if name.endswith(SUFFIX) else published(name)


def twin(name: str, n: int = 1000, seed: int = 0, pictures: bool = True) -> list[Question]:
    """The twin of a benchmark.

    Args:
        name: of the benchmark, such as "pope"; "pope-diorama" is the same.
        n: how many questions. POPE has as many in each of its three samplings, AMBER a fifth more scenes to describe;
            where questions come in pairs or fours, n is rounded down to whole ones.
        seed: another seed gives another set.
        pictures: False leaves them undrawn, which is enough for an audit of the words.

    Raises:
        CannotRun: when there is no such twin, or n is too small or too large for it.
    """
    return finished(drafts(name, n, seed), pictures)


def drafts(name: str, n: int = 1000, seed: int = 0) -> list[Undrawn]:
    """The same before the pictures are drawn: each question with its scenes, from which everything follows.

    Raises:
        CannotRun: see `twin`.
    """
    base = _base(name)
    if n < 4:
        raise CannotRun(f"a twin has at least 4 questions, got {n}")
    return TWINS[base](n, seed)


def twin_benchmark(name: str) -> Benchmark:
    """The twin as a benchmark: the same scorers and names of scores, read from nowhere.

    Raises:
        CannotRun: when there is no such twin.
    """
    base = _base(name)
    original = with_words(Vocabulary({kind: kind for kind in KINDS})) if base == "chair" else None
    original = original or published("blink" if base == "counting" else base)
    title = "Counting" if base == "counting" else original.title.partition(":")[0]

    def read(path: Path | None) -> list[Question]:
        if path is not None:
            raise CannotRun(f"{base}{SUFFIX} makes its questions itself: leave out --questions")
        return twin(base)

    name, title = base + SUFFIX, f"{title} in Diorama"
    return replace(original, name=name, title=title, licence="Apache-2.0", read=read, sha256=None)


def _base(name: str) -> str:
    """The name of the published benchmark, of which there must be a twin."""
    base = name.removesuffix(SUFFIX)
    if base not in TWINS:
        raise CannotRun(f"{name} has no twin in Diorama; there are {', '.join(one + SUFFIX for one in TWINS)}")
    return base
