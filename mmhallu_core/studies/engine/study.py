"""What a paper's plan consists of. It is written, and committed, before the first of its runs.

The rule of every verdict. A claim's check names a contrast of two groups of runs, an outcome, and a bar: what the
effect must exceed to count. The bar comes from the paper's printed gains, or it is the outcome's `small`, what nobody
would miss. Two things are asked: on which side of the bar does the whole 95% interval lie, and is the p of "the effect
equals the bar", corrected for all checks of the study (Holm), below 0.05?

- *holds*: the whole interval lies beyond the bar, and the p says so, too;
- *does not hold*: the whole interval falls short of the bar, and the p says so, too;
- *open*: everything else, and whatever rests on one seed.

So both words ask for the same evidence. The interval counts runs and pictures; the p counts runs, that is, seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.studies.engine.outcomes import Outcome

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One run: a model trained and asked, or only asked. A plan's own runs add fields to these.

    Attributes:
        id: its name, and its folder's. Runs of one group with several seeds are called NAME-0, NAME-1 ...
        why: what it is for.
        seed: runs with the same seed share what chance decides: first values, order of the data.
        base: the model that is trained, or asked as it is.
        of: the id of another run whose adapter is asked something else; such a run trains nothing.
    """

    id: str
    why: str
    seed: int = 0
    base: str = "tiny-llava"
    of: str | None = None

    @property
    def trains(self) -> bool:
        """Whether something is trained; a plan says when it is not, for models that are asked as they are."""
        return self.of is None


@dataclass(frozen=True)
class Check:
    """One thing that must be so for a claim to hold.

    Attributes:
        contrast: a name of `Study.contrasts`.
        outcome: a name of `Study.outcomes`.
        bar: what the effect must exceed, a share; None takes the outcome's `small`.
        falls: the claim is that the outcome gets worse.
    """

    contrast: str
    outcome: str
    bar: float | None = None
    falls: bool = False


@dataclass(frozen=True)
class Claim:
    """One claim, with what would count as holding.

    Attributes:
        id: its name.
        source: where the paper says it.
        claim: what it says, in our words.
        asks: "paper", whether what the paper claims holds by the paper's own outcome and comparison, or "control",
            our question against the same pictures, tokens and steps.
        reported: what is printed: numbers by name, or a sentence.
        holds_if: what counts, in words; where the outcome is not the paper's own, that is said here.
        checks: all must hold.
        seeds: how many the plan has.
    """

    id: str
    source: str
    claim: str
    asks: Literal["paper", "control"]
    reported: Any
    holds_if: str
    checks: tuple[Check, ...]
    seeds: int


@dataclass(frozen=True)
class Study:
    """A paper's plan.

    Attributes:
        name: as in `mmhallu study NAME`, and of the folder in `results/`.
        paper: its reference.
        runs: the list, those that decide first.
        numbers: a dataclass with every number of a run; recorded, and records with other numbers are refused.
        seconds: what a run is expected to take with one thread.
        train: trains a run's model; gets run, model, folder, numbers and what tells of progress. Returns the trained
            model and what the record says of the training.
        ask: asks a model everything; gets model, run, numbers and whether to show bars. Returns the letters by name.
        outcomes: what is read from the letters.
        headline: the outcomes that tables and figures show first.
        contrasts: name to two groups of runs, first and second; the effect is second minus first. With None for the
            first it is the second's outcome itself.
        claims: see `Claim`.
    """

    name: str
    paper: str
    runs: Callable[[], Sequence[Run]]
    numbers: Any
    seconds: Callable[[Run, Any], float]
    train: Callable[[Run, Vlm, Path, Any, Tell], tuple[Vlm, dict[str, Any]]]
    ask: Callable[[Vlm, Run, Any, bool], dict[str, Any]]
    outcomes: Mapping[str, Outcome]
    headline: tuple[str, ...]
    contrasts: Mapping[str, tuple[str | None, str]]
    claims: tuple[Claim, ...]

    def chosen(self, only: Sequence[str] = ()) -> list[Run]:
        """The runs of some ids, in the plan's order; all of them for none.

        Raises:
            KeyError: names the ids that the plan does not have.
        """
        runs = self.runs()
        strange = sorted(set(only) - {run.id for run in runs})
        if strange:
            raise KeyError(", ".join(strange))
        return [run for run in runs if not only or run.id in only]

    def command(self, run: Run | None = None) -> str:
        """What to type to make the study, or one run, again."""
        return f"mmhallu study {self.name} {f'--only {run.id} ' if run else ''}--out runs/{self.name}"
