"""What did the model answer? Every rule in use for reading a yes or a no, in one place.

Between a model's words and "yes", "no" or a letter stands a rule that papers seldom mention, and the same answers get
different scores. Each is here as a small function, under the name of the harness that uses it. `Rule` says where it was
read and of what date that is; where a rule changed, the newer one stands beside the old one.

* `YES_NO`: eight rules for yes/no questions, and `strict`, ours, which serves as a yardstick.
* `letters.LETTER`: the rules for option letters, and `strict_letter`.

All give None where the harness finds no answer and counts it as wrong, asks a judge, or draws; no rule here draws.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Reading = str | None  # "yes", "no" or a capital letter; None where the rule finds no answer


@dataclass(frozen=True)
class Rule:
    """One rule for reading an answer; call it like the function that it holds.

    Attributes:
        read: the function. Yes/no rules take the answer; letter rules take the answer and the options.
        package: the repository or the package in which the rule was read.
        file: in it.
        version: of the package, or the commit.
        date: of that version, as in 2024-04-02.
        says: the rule in one or two sentences.
    """

    read: Callable[..., Reading]
    package: str
    file: str
    version: str
    date: str
    says: str

    def __call__(self, *arguments: str | Mapping[str, str]) -> Reading:
        return self.read(*arguments)

    @property
    def source(self) -> str:
        """Where the rule was read: package, file, version and date."""
        return f"{self.package}, {self.file}, {self.version}, {self.date}"


# ---------------------------------------------------------------- yes or no


_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def strict(answer: str) -> Reading:
    """Ours: exactly one of the words yes and no occurs, in any case and with any marks around it."""
    found = {"yes", "no"} & {word.lower() for word in _WORDS.findall(answer)}
    return found.pop() if len(found) == 1 else None


def _pope(answer: str) -> Reading:
    words = answer.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def _lmms_eval_pope(answer: str) -> Reading:
    said = answer.lower().strip()
    return said if said in ("yes", "no") else None


# The clean-up of the VQA challenge, with its oddities: a mark is dropped where it stands beside a space anywhere in
# the answer and becomes a space otherwise; of the full stops only 32 go, because a flag was passed as a count.
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_FULL_STOP, _FULL_STOPS = re.compile(r"\.(?!\d)"), 32


def _vlmevalkit(answer: str) -> Reading:
    said = text = answer.lower()
    drop_all = _COMMA_IN_NUMBER.search(said) is not None
    for mark in _MARKS:
        beside_space = mark + " " in said or " " + mark in said
        text = text.replace(mark, "" if beside_space or drop_all else " ")
    words = _FULL_STOP.sub("", text, count=_FULL_STOPS).split()
    if ("yes" in words) == ("no" in words):
        return None
    return "yes" if "yes" in words else "no"


def _mme(answer: str) -> Reading:
    start = answer.lower()[:4]  # an exact yes or no, for which the script looks first, stands in them too
    return next((word for word in ("yes", "no") if word in start), None)


def _lmms_eval_mme(answer: str) -> Reading:
    said = answer.lower().strip().replace(".", "")
    return {"y": "yes", "n": "no"}.get(said, _mme(said))


def _mitigv(answer: str) -> Reading:
    first = re.search(r"\b(yes|no)\b", answer, re.IGNORECASE)
    return first.group(1).lower() if first else None


def _amber(answer: str) -> Reading:
    return {"Yes": "yes", "No": "no"}.get(answer)


def _lmms_eval_amber(answer: str) -> Reading:
    said = answer.lower()
    return next((word for word in ("yes", "no") if word in said), None)


LMMS_EVAL, VLMEVALKIT = "github.com/EvolvingLMMs-Lab/lmms-eval", "github.com/open-compass/VLMEvalKit"
LMMS_EVAL_073 = ("version 0.7.3", "2026-08-28")

YES_NO: dict[str, Rule] = {
    "POPE": Rule(
        _pope, "github.com/AoiDragon/POPE", "evaluate.py", "commit f3ec604", "2023-05-31",
        "No if a word before the first full stop is exactly No, no or not; else yes.",
    ),
    "lmms-eval POPE": Rule(
        _lmms_eval_pope, LMMS_EVAL, "lmms_eval/tasks/pope/utils.py", *LMMS_EVAL_073,
        "The whole answer is yes or no, in any case.",
    ),
    "VLMEvalKit": Rule(
        _vlmevalkit, VLMEVALKIT, "vlmeval/dataset/utils/yorn.py", "commit e8e78f0", "2026-08-18",
        "Exactly one of the words yes and no occurs, after some marks are removed.",
    ),
    "MME": Rule(
        _mme, "github.com/BradyFU/Awesome-Multimodal-Large-Language-Models", "tools/eval_tool.zip, calculation.py",
        "commit 1c1d69e", "2023-07-01",
        "The first four characters contain yes, or else no, in any case. Nothing is removed before.",
    ),
    "lmms-eval MME": Rule(
        _lmms_eval_mme, LMMS_EVAL, "lmms_eval/tasks/mme/utils.py", *LMMS_EVAL_073,
        "As MME, after blanks at the ends and all full stops are removed; y and n alone count too.",
    ),
    "mitigv": Rule(
        _mitigv, "mitigv", "mitigv/evaluation/discriminative.py", "version 0.1.7", "2026-09-03",
        "The first whole word that is yes or no, wherever it stands.",
    ),
    "AMBER": Rule(
        _amber, "github.com/junyangwang0410/AMBER", "inference.py", "commit 534babf", "2024-01-15",
        "The whole answer is exactly Yes or No.",
    ),
    "lmms-eval AMBER": Rule(
        _lmms_eval_amber, LMMS_EVAL, "lmms_eval/tasks/amber_g/utils.py", *LMMS_EVAL_073,
        "The letters yes occur anywhere, or else the letters no, also inside other words.",
    ),
}  # fmt: skip


def readings(answers: Iterable[str]) -> dict[str, dict[str, Reading]]:
    """What each yes/no rule makes of each answer: answer to rule to reading."""
    return {answer: {name: rule(answer) for name, rule in YES_NO.items()} for answer in answers}


def disagreements(answers: Iterable[str]) -> dict[str, dict[str, Reading]]:
    """The answers that not all rules read alike, as `readings`; an unparsed answer is a reading of its own."""
    return {answer: row for answer, row in readings(answers).items() if len(set(row.values())) > 1}
