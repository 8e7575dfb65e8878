"""Which option did the model choose? The rules in use for reading a letter, each under the name of its harness.

Every rule takes the answer and the options, letter to text: `{"A": "a red ball", "B": "two balls"}`. `answers.Rule`
says what a rule is, and where and when it was read. Three of them replaced an older one of the same harness; both are
here. `strict_letter` is ours.
"""

import re
from collections.abc import Mapping

from mmhallu_core.evaluate.answers import LMMS_EVAL, LMMS_EVAL_073, VLMEVALKIT, Reading, Rule

Options = Mapping[str, str]


def strict_letter(answer: str, options: Options) -> Reading:
    """Ours: exactly one option letter stands alone as a capital, and no small word follows it as in "A dog"."""
    alone = re.finditer(r"(?<![\w'’])([A-Z])(?![\w'’])( +[a-z])?", answer)
    found = {one.group(1): one.group(2) for one in alone if one.group(1) in options}
    return next(iter(found)) if len(found) == 1 and not any(found.values()) else None


# ---------------------------------------------------------------- MED


def _med(answer: str, options: Options) -> Reading:
    found = re.search(r"Answer:\s*([A-Za-z])", answer)
    return found.group(1).upper() if found else None


def _med_llava(answer: str, options: Options) -> Reading:
    for form in (r"\[\s*/INST\s*\]\s*Answer:\s*([A-Za-z])", r"Answer:\s*([A-Za-z])"):
        found = re.search(form, answer)
        if found:
            return found.group(1).upper()
    after = (line.split("Answer:")[1].strip() for line in answer.strip().split("\n") if "Answer:" in line)
    letter = next((text[0] for text in after if text and text[0].isalpha()), None)
    if letter is None and len(answer.strip()) == 1 and answer.strip().isalpha():
        letter = answer.strip()
    return letter.upper()[:1] if letter else None


# ---------------------------------------------------------------- MMStar


def _mmstar(answer: str, options: Options) -> Reading:
    said = answer.lower().strip().replace("\n", " ")
    forms = ("", "(", "option ", "the answer is ")
    return next((letter for letter in options for form in forms if said.startswith(form + letter.lower())), None)


_SAYS = (
    *(f"{start}{noun} is" for noun in ("answer", "choice") for start in ("", "the ", "correct ", "the correct ")),
    *(f"{start} {noun} is" for noun in ("answer", "option") for start in ("best", "the best")),
    "correct option is", "the correct option is", "my answer is", "my choice is", "i choose", "i select", "i pick",
    "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは",
)  # fmt: skip


def _lmms_eval_mmstar(answer: str, options: Options) -> Reading:
    """Every place where a capital A, B, C or D could be meant gets a rank; the highest counts, the last of equals."""
    text = answer.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    text = f" {text} "
    low, bare, found = text.lower(), text.strip(), []  # found: rank, place, letter
    for letter in "ABCD":
        forms = ((6, f"({letter})"), (5, f"{letter}."), (4, f"{letter}:"), (3, f"{letter})"), (2, f"{letter} "))
        found += [(rank, text.rfind(form), letter) for rank, form in forms if form in text]
        after = [low.find(phrase) + len(phrase) for phrase in _SAYS if phrase in low]
        found += [(7, text.find(letter, place), letter) for place in after if letter in text[place:]]
        if bare.startswith(letter) and not bare[1:2].isalpha():
            found.append((10, 0, letter))
        if bare.endswith(letter) and not bare[-2:-1].isalpha():
            found.append((9, len(text), letter))
    found = found or [(0, text.rfind(letter), letter) for letter in "ABCD" if letter in text]
    return max(found)[2] if found else None


# ---------------------------------------------------------------- BLINK


def _blink(answer: str, options: Options) -> Reading:
    if re.fullmatch(r"[A-E]|\([A-E]\)", answer):
        return answer.strip("()")
    for part in (answer.split("\n\n")[-1], answer):
        found = [letter for letter in options if f"({letter})" in part.split()]
        if len(found) == 1:
            return found[0]
    return None


def _lmms_eval_blink(answer: str, options: Options) -> Reading:
    found = re.match(r"[(\s]*([A-Z])", answer.strip(), re.IGNORECASE)
    return found.group(1).upper() if found else None


def _lmms_eval_blink_073(answer: str, options: Options) -> Reading:
    text, letter = answer.strip(), f"([{''.join(options)}])"
    line = text.split("\n")[0].strip()
    short = re.findall(rf"^\(?{letter}\)?[.\s:,)]*$", line, re.IGNORECASE) if len(line) <= 4 else []
    stated = re.findall(rf"answers?(?:\s+is)?\s*[:-]?\s*\(?{letter}\)?(?![A-Za-z])", text, re.IGNORECASE)
    bracketed = re.findall(rf"\({letter}\)", text)
    first = re.findall(rf"^[(\s]*{letter}", text, re.IGNORECASE)
    return next((found[-1].upper() for found in (short, stated, bracketed, first) if found), None)


# ---------------------------------------------------------------- MMVP


_AB = (
    r"^\s*\(?([AB])\)?\.?\s*$", r"^\s*\(?([AB])\)?[\.\s]", r"answer\s+is\s+\(?([AB])\)?", r"option\s+\(?([AB])\)?",
    r"\(?([AB])\)?(?:\s|$)", r"^([AB])",
)  # fmt: skip


def _lmms_eval_mmvp(answer: str, options: Options) -> Reading:
    found = (re.search(form, answer.strip(), re.IGNORECASE) for form in _AB)
    return next((one.group(1).upper() for one in found if one), None)


def _svco_mmvp(answer: str, options: Options) -> Reading:
    said = re.sub(r"[()\s]", "", answer.strip().lower()[:4])
    return said.upper() if said in ("a", "b") else None


# ---------------------------------------------------------------- any letters


_REFUSALS = (
    "Sorry, I can't help with images of people yet.", "I can't process this file.",
    "I'm sorry, but without the image provided", "Cannot determine the answer",
)  # fmt: skip


def _vlmevalkit(answer: str, options: Options, fallback: bool = False) -> Reading:
    if any(refusal in answer for refusal in _REFUSALS):
        return None
    words = answer.translate(dict.fromkeys(map(ord, ".()[],:;!*#{}"), " ")).split()
    letters = [letter for letter in options if letter in words]
    if len(letters) == 1 and words.index(letters[0]) > len(words) - 5:
        return letters[0]
    if not letters and "Z" in words:  # Z is what it asks a judge to say for "none of them"
        return None
    stated = re.search(r"answer\s+is\s+\**([ABCD])", answer, re.IGNORECASE) if fallback else None
    if stated and stated.group(1).upper() in options:
        return stated.group(1).upper()
    said, texts = answer.lower(), {letter: text.lower() for letter, text in options.items()}
    if len(said) > 2 * sum(map(len, texts.values())):
        return None
    named = [letter for letter, text in texts.items() if text in said]
    return named[0] if len(named) == 1 else None


def _vlmevalkit_2026(answer: str, options: Options) -> Reading:
    return _vlmevalkit(answer, options, fallback=True)


def _crpe(answer: str, options: Options) -> Reading:
    return answer if len(answer) == 1 else None


_HALLU_MED = "github.com/beccabai/hallu_med"
_MED_COMMIT = ("commit 2b4fa61", "2025-05-22")
_MED_SAYS = "The letter after Answer:. Where there is none, the script draws a letter at random; here it is None."

LETTER: dict[str, Rule] = {
    "MED GPT": Rule(_med, _HALLU_MED, "benchmark/test_gpt.py", *_MED_COMMIT, _MED_SAYS),
    "MED Qwen": Rule(_med, _HALLU_MED, "benchmark/test_qwen.py", *_MED_COMMIT, _MED_SAYS),
    "MED Llama": Rule(_med, _HALLU_MED, "benchmark/test_llama32.py", *_MED_COMMIT, _MED_SAYS),
    "MED LLaVA": Rule(
        _med_llava, _HALLU_MED, "benchmark/test_llava16.py", *_MED_COMMIT,
        "The letter after Answer:, first of all one after [/INST], or an answer that is one letter; else a draw.",
    ),
    "MMStar": Rule(
        _mmstar, "github.com/MMStar-Benchmark/MMStar", "eval/vlmeval/evaluate/mmstar.py", "commit 79e6d1c",
        "2024-04-02",
        "The answer begins with the letter, (letter, option letter or the answer is letter. lmms-eval had the same "
        "rule until April 2026.",
    ),
    "lmms-eval MMStar": Rule(
        _lmms_eval_mmstar, LMMS_EVAL, "lmms_eval/tasks/_task_utils/mcq_extract.py", *LMMS_EVAL_073,
        "A capital letter alone at the beginning, or else at the end, else the last capital after a phrase such as the "
        "answer is, else in brackets or before a mark, else anywhere. In use since April 2026.",
    ),
    "BLINK": Rule(
        _blink, "github.com/zeyofu/BLINK_Benchmark", "eval/test_benchmark.py", "commit 63137e4", "2024-05-14",
        "A bare letter, or exactly one letter in brackets among the words of the last paragraph, or else of the whole "
        "answer. The rest goes to a judge.",
    ),
    "lmms-eval BLINK": Rule(
        _lmms_eval_blink, LMMS_EVAL, "lmms_eval/tasks/blink/utils.py", "version 0.7.2", "2026-06-24",
        "The first character after opening brackets, whatever word it belongs to.",
    ),
    "lmms-eval BLINK 0.7.3": Rule(
        _lmms_eval_blink_073, LMMS_EVAL, "lmms_eval/tasks/blink/utils.py", *LMMS_EVAL_073,
        "A first line that is one letter, or else the last letter after the word answer, else the last in brackets, "
        "else the first character, if it is an option's.",
    ),
    "lmms-eval MMVP": Rule(
        _lmms_eval_mmvp, LMMS_EVAL, "lmms_eval/tasks/mmvp/utils.py", *LMMS_EVAL_073,
        "The first of six patterns that finds an A or a B; the article a counts as A.",
    ),
    "S-VCO MMVP": Rule(
        _svco_mmvp, "github.com/s-vco/s-vco", "eval_vlm/llava/eval/mmvp_rule_grader_paired_acc.py", "commit bc8f941",
        "2025-03-15",
        "The first four characters, without brackets and blanks, are one letter.",
    ),
    "VLMEvalKit": Rule(
        _vlmevalkit, VLMEVALKIT, "vlmeval/utils/matching_util.py", "commit 58fdeb6", "2026-05-28",
        "One option letter among the last words, or else one option whose text occurs; no judge, no draw.",
    ),
    "VLMEvalKit June 2026": Rule(
        _vlmevalkit_2026, VLMEVALKIT, "vlmeval/utils/matching_util.py", "commit a67ace5", "2026-06-17",
        "As VLMEvalKit, but before the options' texts it takes what follows answer is, if that begins with A, B, C or "
        "D in any case.",
    ),
    "CRPE": Rule(
        _crpe, "github.com/OpenGVLab/all-seeing", "all-seeing-v2/llava/eval/eval_crpe.py", "commit 5f13d18",
        "2024-03-01",
        "The whole answer is one character.",
    ),
}  # fmt: skip
