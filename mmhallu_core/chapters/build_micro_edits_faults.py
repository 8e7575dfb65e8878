"""How many wrong labels come through MED's pipeline when its annotator errs, and what the two judges do about it.

`measure` turns the oracle's error dial, sends the same drafts of Diorama through the whole pipeline at every setting,
and looks up in the scenes what is wrong in the samples that come out. Its record, `med-pipeline/faults`, holds counts
and intervals, no sentence and no picture; `maintenance/measure.py` writes it.

What would count was written down before the run, on seeds that nobody had looked at:

* The pipeline is sound when no sample has a fault at dial 0.
* A policy of judging helps at a setting when the share of wrong differences among what it keeps lies below the share
  among all that reaches the judges, and the two Wilson intervals do not overlap.
* What is rewritten after the judges is the weak spot when, at every setting from 0.1 on, more samples have a wrong
  answer than have any other fault.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from mmhallu_core.chapters.build_micro_edits import Overheard
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.oracle import Oracle
from mmhallu_core.edit.pipeline import counts, world_pipeline
from mmhallu_core.edit.stages.asked import Reason
from mmhallu_core.edit.stages.similarity import TinyClipEmbedder, similar
from mmhallu_core.edit.truth import Fault, faults
from mmhallu_core.statistics import wilson_interval

DIALS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
SEEDS = (1, 2, 3, 4, 5)
DRAFTS = 132  # a seed: twelve of each category
ONE_WRONG = 0.1  # the setting at which drafts with exactly one wrong reply are followed

# What two verdicts keep, by policy.
POLICIES = {
    "no judge": lambda first, second: True,
    "first judge": lambda first, second: first,
    "second judge": lambda first, second: second,
    "either": lambda first, second: first or second,
    "both": lambda first, second: first and second,
}


def wrong_replies(oracle: Oracle, ids: Iterable[str]) -> dict[str, list[str]]:
    """Draft to its wrong replies among some requests, each as "job: error type"."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in ids:
        draft, _, job = one.rpartition("/")
        error_type = oracle.error_type_of(one)
        if error_type is not None:
            found[draft].append(f"{job.split('#')[0]}: {error_type}")
    return found


class Remembering:
    """tiny-clip that embeds a picture once: the same drafts come again at every setting of the dial."""

    def __init__(self) -> None:
        self.clip, self.known = TinyClipEmbedder(), {}
        self.about = self.clip.about

    def embed(self, images: list[Image.Image]):
        """A vector of length 1 for each picture."""
        import torch

        new = {image.tobytes(): image for image in images if image.tobytes() not in self.known}
        if new:
            self.known |= zip(new, self.clip.embed(list(new.values())), strict=True)
        return torch.stack([self.known[image.tobytes()] for image in images])


@dataclass
class Run:
    """What one run of the pipeline did.

    Attributes:
        samples: the drafts that came through all stages.
        ended: the others.
        judged: (difference right?, first verdict, second verdict) of every draft whose two verdicts could be read.
        wrong: draft to its wrong replies.
    """

    samples: list[Draft]
    ended: list[Rejected]
    judged: list[tuple[bool, bool, bool]]
    wrong: dict[str, list[str]]


def run(drafts: Sequence[Draft], seed: int, error: float, clip: Remembering) -> Run:
    """Sends drafts through the pipeline with an oracle that errs."""
    oracle = Oracle(seed, error)
    heard = Overheard(oracle)
    _, stages = world_pipeline(seed, len(drafts), client=heard)
    left, ended, judged = list(drafts), [], []
    for name, stage in stages:
        outcomes = (similar(clip) if name == "similarity" else stage)(left)
        if name == "judges":
            judged = [row for draft, outcome in zip(left, outcomes, strict=True) for row in verdicts(draft, outcome)]
        left = [outcome for outcome in outcomes if isinstance(outcome, Draft)]
        ended += [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    return Run(left, ended, judged, wrong_replies(oracle, (request.id for request, _ in heard.calls)))


def verdicts(draft: Draft, outcome: Draft | Rejected) -> Iterable[tuple[bool, bool, bool]]:
    """Whether a draft's difference is right, and what the two judges said; nothing when one of them was not read."""
    right = Fault.DIFFERENCE not in faults(replace(draft, answer=draft.difference))
    if isinstance(outcome, Draft):
        yield right, True, True
    elif outcome.reason == Reason.REFUSED:
        yield right, False, False
    elif outcome.reason == Reason.DISAGREE:
        first = outcome.detail.startswith("the first judge says yes")
        yield right, first, not first


def share(part: int, whole: int) -> dict[str, Any]:
    """Counts, their quotient and its Wilson interval; None for both where nothing was counted."""
    return {"n": part, "of": whole, "share": part / whole if whole else None, "ci": wilson_interval(part, whole)}


def at_one_dial(runs: Sequence[Run], drafts: int) -> dict[str, Any]:
    """The runs of all seeds at one setting, as counts with intervals."""
    samples = [sample for one in runs for sample in one.samples]
    found = [faults(sample) for sample in samples]
    judged = [row for one in runs for row in one.judged]
    return {
        "drafts": drafts,
        "wrong_replies": sum(len(replies) for one in runs for replies in one.wrong.values()),
        "samples": len(samples),
        "rejected": dict(sorted(sum((Counter(counts(one.ended)) for one in runs), Counter()).items())),
        "quarantined": sum(ended.text is not None for one in runs for ended in one.ended),
        "any": share(sum(map(bool, found)), len(samples)),
        "faults": {fault: share(sum(fault in one for one in found), len(samples)) for fault in map(str, Fault)},
        "by_seed": [share(sum(bool(faults(one)) for one in run.samples), len(run.samples)) for run in runs],
        "judged": {name: judging(judged, keeps) for name, keeps in POLICIES.items()},
    }


def judging(judged: Sequence[tuple[bool, bool, bool]], keeps) -> dict[str, Any]:
    """What a policy keeps: how many, which share of it is `wrong`, and which share of what was right it `loses`."""
    kept = [right for right, first, second in judged if keeps(first, second)]
    good = sum(right for right, _, _ in judged)
    return {"kept": len(kept), "wrong": share(kept.count(False), len(kept)), "loses": share(good - sum(kept), good)}


def one_wrong(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """Where drafts with exactly one wrong reply ended: "job: error type" to how many, by end."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for one in runs:
        ends = {draft.id: "sample, with a fault" if faults(draft) else "sample, right" for draft in one.samples}
        for ended in one.ended:
            ends[ended.id] = "refused by the judges" if ended.stage == "judges" else f"ended at {ended.stage}"
        for draft, replies in one.wrong.items():
            if len(replies) == 1:
                table[replies[0]][ends[draft]] += 1
    return {error_type: dict(sorted(ends.items())) for error_type, ends in sorted(table.items())}


def measure(
    seeds: Sequence[int] = SEEDS, dials: Sequence[float] = DIALS, n: int = DRAFTS, progress: bool = True
) -> dict[str, Any]:
    """The whole record.

    Args:
        seeds: of scenes, errors and questions.
        dials: error rates of the oracle.
        n: drafts of each seed.
        progress: show a bar.
    """
    clip, runs = Remembering(), {dial: [] for dial in dials}
    with tqdm(total=len(seeds) * len(dials), desc="runs", disable=not progress) as bar:
        for seed in seeds:
            source, _ = world_pipeline(seed, n)
            drafts = [source.draft(i) for i in range(n)]
            for dial in dials:
                runs[dial].append(run(drafts, seed, dial, clip))
                bar.update()
    rows = {str(dial): at_one_dial(runs[dial], n * len(seeds)) for dial in dials}
    followed = min(dials, key=lambda dial: abs(dial - ONE_WRONG))
    return {
        "kind": "diorama", "seeds": list(seeds), "dials": rows, "holds": holds(rows),
        "one_wrong": {"dial": followed, "ends": one_wrong(runs[followed])},
    }  # fmt: skip


def holds(dials: dict[str, Any]) -> dict[str, Any]:
    """The statements at the top of this file: `sound`, `helps` (policy to the settings where it does), `weak_spot`."""
    strong = [one for dial, one in dials.items() if float(dial) >= ONE_WRONG]
    helps = {}
    for name in POLICIES:
        if name != "no judge":
            helps[name] = [
                dial
                for dial, one in dials.items()
                if one["judged"][name]["wrong"]["ci"][1] < one["judged"]["no judge"]["wrong"]["ci"][0]
            ]
    worst = [max(one["faults"], key=lambda fault: one["faults"][fault]["n"]) for one in strong]
    return {
        "sound": dials["0.0"]["any"]["n"] == 0 if "0.0" in dials else None,
        "helps": helps,
        "weak_spot": all(fault == Fault.ANSWER for fault in worst),
    }
