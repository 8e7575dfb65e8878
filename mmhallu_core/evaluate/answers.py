"""What did the model answer? Every rule in use for reading an answer, in one place.

A model writes words; a score needs "yes", "no" or a letter. Between the two stands a rule, usually a few lines that
nobody mentions in a paper. The rules differ, so the same answers get different scores. Each is here as a small
function, under the name of the harness that uses it, with the place where it was read:

* `YES_NO`: the seven rules for yes/no questions, and `strict`, ours, which serves as a yardstick;
* `LETTER`: the rules for option letters, and `strict_letter`.

All of them give None where the harness finds no answer. A harness then counts the item as wrong, asks a judge, or
draws a letter at random. No rule here draws anything: the same answer is read the same way every time.
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
        source: repository, file and version in which the rule was read.
        says: the rule in one sentence.
    """

    read: Callable[..., Reading]
    source: str
    says: str

    def __call__(self, *arguments: str | Mapping[str, str]) -> Reading:
        return self.read(*arguments)


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
    said = answer.lower().strip().replace(".", "")
    if len(said) == 1:
        return {"y": "yes", "n": "no"}.get(said)
    return next((word for word in ("yes", "no") if word in said[:4]), None)


def _mitigv(answer: str) -> Reading:
    first = re.search(r"\b(yes|no)\b", answer, re.IGNORECASE)
    return first.group(1).lower() if first else None


def _amber(answer: str) -> Reading:
    return {"Yes": "yes", "No": "no"}.get(answer)


def _lmms_eval_amber(answer: str) -> Reading:
    said = answer.lower()
    return next((word for word in ("yes", "no") if word in said), None)


YES_NO: dict[str, Rule] = {
    "POPE": Rule(
        _pope, "github.com/AoiDragon/POPE, evaluate.py, commit f3ec604",
        "No if a word before the first full stop is exactly No, no or not; else yes.",
    ),
    "lmms-eval POPE": Rule(
        _lmms_eval_pope, "github.com/EvolvingLMMs-Lab/lmms-eval, tasks/pope/utils.py, version 0.7.2",
        "The whole answer is yes or no, in any case.",
    ),
    "VLMEvalKit": Rule(
        _vlmevalkit, "github.com/open-compass/VLMEvalKit, dataset/utils/yorn.py, commit e8e78f0",
        "Exactly one of the words yes and no occurs, after some marks are removed.",
    ),
    "MME": Rule(
        _mme, "github.com/EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, version 0.7.2, after Otter",
        "The first four characters contain yes, or else no.",
    ),
    "mitigv": Rule(
        _mitigv, "mitigv 0.1.7, mitigv/evaluation/discriminative.py",
        "The first whole word that is yes or no, wherever it stands.",
    ),
    "AMBER": Rule(
        _amber, "github.com/junyangwang0410/AMBER, inference.py, commit 534babf",
        "The whole answer is exactly Yes or No.",
    ),
    "lmms-eval AMBER": Rule(
        _lmms_eval_amber, "github.com/EvolvingLMMs-Lab/lmms-eval, tasks/amber_g/utils.py, version 0.7.2",
        "The letters yes occur anywhere, or else the letters no, also inside other words.",
    ),
}  # fmt: skip


def readings(answers: Iterable[str], rules: Mapping[str, Rule] = YES_NO) -> dict[str, dict[str, Reading]]:
    """What each yes/no rule makes of each answer: answer to rule to reading."""
    return {answer: {name: rule(answer) for name, rule in rules.items()} for answer in answers}


def disagreements(answers: Iterable[str], rules: Mapping[str, Rule] = YES_NO) -> dict[str, dict[str, Reading]]:
    """The answers that not all rules read alike, as `readings`; an unparsed answer is a reading of its own."""
    return {answer: row for answer, row in readings(answers, rules).items() if len(set(row.values())) > 1}


# ---------------------------------------------------------------- option letters
# Every rule takes the answer and the options, letter to text: {"A": "a red ball", "B": "two balls"}.


def strict_letter(answer: str, options: Mapping[str, str]) -> Reading:
    """Ours: exactly one option letter stands alone as a capital, and no small word follows it as in "A dog"."""
    alone = re.finditer(r"(?<![\w'’])([A-Z])(?![\w'’])( +[a-z])?", answer)
    found = {one.group(1): one.group(2) for one in alone if one.group(1) in options}
    return next(iter(found)) if len(found) == 1 and not any(found.values()) else None


def _med(answer: str, options: Mapping[str, str]) -> Reading:
    found = re.search(r"Answer:\s*([A-Za-z])", answer)
    return found.group(1).upper() if found else None


def _med_llava(answer: str, options: Mapping[str, str]) -> Reading:
    for form in (r"\[\s*/INST\s*\]\s*Answer:\s*([A-Za-z])", r"Answer:\s*([A-Za-z])"):
        found = re.search(form, answer)
        if found:
            return found.group(1).upper()
    after = (line.split("Answer:")[1].strip() for line in answer.strip().split("\n") if "Answer:" in line)
    letter = next((text[0] for text in after if text and text[0].isalpha()), None)
    if letter is None and len(answer.strip()) == 1 and answer.strip().isalpha():
        letter = answer.strip()
    return letter.upper()[:1] if letter else None


def _mmstar(answer: str, options: Mapping[str, str]) -> Reading:
    said = answer.lower().strip().replace("\n", " ")
    forms = ("", "(", "option ", "the answer is ")
    return next((letter for letter in options for form in forms if said.startswith(form + letter.lower())), None)


def _lmms_eval_blink(answer: str, options: Mapping[str, str]) -> Reading:
    found = re.match(r"[(\s]*([A-Z])", answer.strip(), re.IGNORECASE)
    return found.group(1).upper() if found else None


_AB = (
    r"^\s*\(?([AB])\)?\.?\s*$", r"^\s*\(?([AB])\)?[\.\s]", r"answer\s+is\s+\(?([AB])\)?", r"option\s+\(?([AB])\)?",
    r"\(?([AB])\)?(?:\s|$)", r"^([AB])",
)  # fmt: skip


def _lmms_eval_mmvp(answer: str, options: Mapping[str, str]) -> Reading:
    found = (re.search(form, answer.strip(), re.IGNORECASE) for form in _AB)
    return next((one.group(1).upper() for one in found if one), None)


_REFUSALS = (
    "Sorry, I can't help with images of people yet.", "I can't process this file.",
    "I'm sorry, but without the image provided", "Cannot determine the answer",
)  # fmt: skip


def _vlmevalkit_letter(answer: str, options: Mapping[str, str]) -> Reading:
    if any(refusal in answer for refusal in _REFUSALS):
        return None
    words = answer.translate(dict.fromkeys(map(ord, ".()[],:;!*#{}"), " ")).split()
    letters = [letter for letter in options if letter in words]
    if len(letters) == 1 and words.index(letters[0]) > len(words) - 5:
        return letters[0]
    if not letters and "Z" in words:  # Z is what it asks a judge to say for "none of them"
        return None
    said, texts = answer.lower(), {letter: text.lower() for letter, text in options.items()}
    if len(said) > 2 * sum(map(len, texts.values())):
        return None
    named = [letter for letter, text in texts.items() if text in said]
    return named[0] if len(named) == 1 else None


def _crpe(answer: str, options: Mapping[str, str]) -> Reading:
    return answer if len(answer) == 1 else None


LETTER: dict[str, Rule] = {
    "MED": Rule(
        _med, "github.com/beccabai/hallu_med, the test scripts, commit 2b4fa61",
        "The letter after Answer:. Where there is none, the script draws a letter at random; here it is None.",
    ),
    "MED LLaVA": Rule(
        _med_llava, "github.com/beccabai/hallu_med, benchmark/test_llava16.py, commit 2b4fa61",
        "The letter after Answer:, first of all one after [/INST], or an answer that is one letter; else a draw.",
    ),
    "MMStar": Rule(
        _mmstar, "github.com/EvolvingLMMs-Lab/lmms-eval, tasks/mmstar/utils.py, version 0.7.2, after MMStar's own",
        "The answer begins with the letter, (letter, option letter or the answer is letter.",
    ),
    "lmms-eval BLINK": Rule(
        _lmms_eval_blink, "github.com/EvolvingLMMs-Lab/lmms-eval, tasks/blink/utils.py, version 0.7.2",
        "The first character after opening brackets, whatever word it belongs to.",
    ),
    "lmms-eval MMVP": Rule(
        _lmms_eval_mmvp, "github.com/EvolvingLMMs-Lab/lmms-eval, tasks/mmvp/utils.py, version 0.7.2",
        "The first of six patterns that finds an A or a B; the article a counts as A.",
    ),
    "VLMEvalKit": Rule(
        _vlmevalkit_letter, "github.com/open-compass/VLMEvalKit, utils/matching_util.py, commit 58fdeb6",
        "One option letter among the last words, or else one option whose text occurs; no judge, no draw.",
    ),
    "CRPE": Rule(
        _crpe, "github.com/OpenGVLab/all-seeing, all-seeing-v2/llava/eval/eval_crpe.py, commit 5f13d18",
        "The whole answer is one character.",
    ),
}  # fmt: skip
