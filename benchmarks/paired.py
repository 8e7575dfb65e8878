"""Which of two ways is faster, judged in rounds: both run in each round, and only their ratio counts.

Seconds do not travel between machines, and a busy machine is slower in one minute than in the next. Within a round
both ways run at nearly the same time, so what slows one slows the other, and the ratio stays. The verdict is taken of
the median round. Where the rounds disagree by more than a factor of two, something else used the machine, and the
verdict is *noisy*: neither passed nor missed. Run it again when the machine is quiet.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PASSED, MISSED, NOISY = "passed", "missed", "noisy"
STATUS = {PASSED: 0, MISSED: 1, NOISY: 3}  # exit statuses; 2 is that of a script that could not run
SPREAD = 2.0  # how far apart rounds may be, as the largest ratio over the smallest


@dataclass(frozen=True)
class Verdict:
    """What rounds say about a bound.

    Attributes:
        word: passed, missed or noisy.
        ratio: the median of the rounds.
        least, most: the smallest and the largest round.
    """

    word: str
    ratio: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.ratio:.2f} (rounds from {self.least:.2f} to {self.most:.2f}): {self.word}"


def judge(ratios: Sequence[float], at_least: float | None = None, at_most: float | None = None) -> Verdict:
    """Compares the median of some ratios with a bound, if they agree well enough to have one.

    Args:
        ratios: one a round, each above 0.
        at_least, at_most: the bound; one of the two, or neither where a ratio is only to be shown.

    Raises:
        ValueError: when there is no ratio, or one is not above 0.
    """
    if not ratios or not all(ratio > 0 for ratio in ratios):
        raise ValueError(f"ratios above 0 are needed, one a round; got {list(ratios)}")
    ratio, least, most = statistics.median(ratios), min(ratios), max(ratios)
    met = (at_least is None or ratio >= at_least) and (at_most is None or ratio <= at_most)
    word = NOISY if most > SPREAD * least else PASSED if met else MISSED
    return Verdict(word, ratio, least, most)


def rounds(
    ways: dict[str, Callable[[int], object]], count: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of some ways, round by round, after one round to warm up. Every other round begins with the last way.

    Args:
        ways: each is called with the number of the round, -1 for the first that does not count.
        count: how many rounds count.
        clock: such as `time.process_time`, which other programs change little.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, count):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            started = clock()
            ways[name](number)
            if number >= 0:
                seconds[name].append(clock() - started)
    return seconds


def ratios(seconds: dict[str, list[float]], top: str, bottom: str) -> list[float]:
    """Of each round, the seconds of one way over those of another."""
    return [one / other for one, other in zip(seconds[top], seconds[bottom], strict=True)]


def status(verdicts: Sequence[Verdict]) -> int:
    """The exit status of a script with these verdicts: a missed bound outweighs a noisy one."""
    words = {verdict.word for verdict in verdicts}
    return STATUS[MISSED if MISSED in words else NOISY if NOISY in words else PASSED]
