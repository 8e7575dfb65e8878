"""The benchmarks' verdicts, on made-up times: a slow minute is no miss, and a miss is no slow minute."""

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def paired():
    spec = importlib.util.spec_from_file_location("paired", ROOT / "benchmarks" / "paired.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["paired"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["paired"]


def test_the_median_round_meets_the_bound_or_misses_it(paired):
    slow = [1.7, 1.8, 1.9, 2.1, 1.6]  # median 1.8
    assert paired.judge(slow, at_least=2.0).word == "missed" and paired.judge(slow, at_most=2.0).word == "passed"
    assert paired.judge(slow, at_least=1.8).word == "passed" and paired.judge(slow, at_most=1.7).word == "missed"
    verdict = paired.judge(slow)
    assert (verdict.word, verdict.ratio, verdict.least, verdict.most) == ("passed", 1.8, 1.6, 2.1)
    assert str(verdict) == "1.80 (rounds from 1.60 to 2.10): passed"


def test_rounds_that_differ_more_than_twofold_are_noisy_whatever_their_median(paired):
    swung = [0.16, 2.4, 3.10, 2.2, 2.9]
    assert paired.judge(swung, at_least=2.0).word == "noisy" and paired.judge(swung, at_most=2.0).word == "noisy"
    assert paired.judge([1.0, 2.0], at_least=9).word == "missed", "twofold is not more than twofold"
    assert paired.judge([1.0, 2.01], at_least=9).word == "noisy"


def test_a_slow_minute_leaves_the_ratio(paired):
    """Both ways ten times as slow from the third round on: medians of seconds taken apart would mean nothing."""
    slow = {"with": [1, 1, 10, 10, 10], "without": [3, 3, 30, 30, 30]}
    assert paired.judge(paired.ratios(slow, "without", "with"), at_least=2.5).word == "passed"
    assert paired.ratios(slow, "with", "without") == [1 / 3] * 5


def test_rounds_run_both_ways_each_time_and_take_turns(paired):
    ran, time = [], itertools.count(step=1)
    ways = {name: lambda number, name=name: ran.append((number, name)) for name in ("a", "b")}
    seconds = paired.rounds(ways, 3, clock=lambda: next(time))
    assert ran == [(-1, "b"), (-1, "a"), (0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]
    assert seconds == {"a": [1, 1, 1], "b": [1, 1, 1]}, "the first round is not counted"


def test_a_miss_outweighs_noise_and_noise_is_no_pass(paired):
    passed, missed = paired.judge([1.0], at_most=2), paired.judge([3.0], at_most=2)
    noisy = paired.judge([1.0, 9.0], at_most=2)
    assert [paired.status(some) for some in ([passed], [passed, noisy], [noisy, missed])] == [0, 3, 1]


@pytest.mark.parametrize("ratios", [[], [1.0, 0.0], [1.0, -1.0]])
def test_what_is_no_ratio_is_refused(paired, ratios):
    with pytest.raises(ValueError, match="ratios above 0 are needed"):
        paired.judge(ratios, at_most=2)


def test_every_benchmark_judges_by_rounds():
    for script in (ROOT / "benchmarks").glob("bench_*.py"):
        text = script.read_text(encoding="utf-8")
        assert "status(" in text and "judge(" in text and "rounds(" in text, f"{script.name} judges by itself"


def test_make_bench_says_noisy_and_does_not_fail(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("tasks", ROOT / "tasks.py")
    tasks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tasks)
    ended = {"bench_import.py": 3}
    monkeypatch.setattr(tasks, "run", lambda python, script, **_: ended.get(script.name, 0))
    assert tasks.bench() == 0
    assert "noisy, run again when the machine is quiet: bench_import.py" in capsys.readouterr().out
    for broken in (1, 2):
        ended["bench_world.py"] = broken
        assert tasks.bench() == 1
        assert "failed: bench_world.py" in capsys.readouterr().out
