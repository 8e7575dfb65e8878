"""What lmms-eval calls for each question of this benchmark: its pictures, its prompt, and its score.

Two rules read an answer. The official one of MED takes the letter after "Answer:"; an answer without one counts as a
guess, one over the number of options. The strict one takes an answer in which exactly one option's letter stands alone
as a capital; every other answer is unparsed, and wrong.
"""

import re
from pathlib import Path
from typing import Any

from PIL import Image

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FOLDER = Path(__file__).resolve().parent.parent  # paths of pictures start here, beside items.jsonl


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    """The pictures of a question, in their order."""
    return [Image.open(FOLDER / path, formats=("PNG", "JPEG", "WEBP")).convert("RGB") for path in doc["images"]]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    """The prompt, with what a model's own settings put before or after it."""
    extra = lmms_eval_specific_kwargs or {}
    return extra.get("pre_prompt", "") + doc["prompt"] + extra.get("post_prompt", "")


def doc_to_messages(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> list[dict]:
    """The same as one turn of a chat: both pictures, then the text."""
    content: list[dict[str, Any]] = [{"type": "image", "url": picture} for picture in doc_to_visual(doc)]
    content.append({"type": "text", "text": doc_to_text(doc, lmms_eval_specific_kwargs)})
    return [{"role": "user", "content": content}]


def official(answer: str) -> str | None:
    """The letter after "Answer:", None where there is none."""
    found = re.search(r"Answer:\s*([A-Za-z])", answer)
    return found.group(1).upper() if found else None


def strict(answer: str, letters: str) -> str | None:
    """The only one of the letters that stands alone as a capital, with no small word behind it as in "A dog"."""
    found = dict(re.findall(rf"(?<![\w'’])([{letters}])(?![\w'’])((?: +[a-z])?)", answer))
    return next(iter(found)) if len(found) == 1 and not any(found.values()) else None


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, dict[str, Any]]:
    """One question's scores, under the names of the metrics, each with its category."""
    answer, options = results[0], len(doc["options"])
    said, read = official(answer), strict(answer, LETTERS[:options])
    scores = {
        "accuracy": 1 / options if said is None else float(said == doc["truth"]),
        "strict_accuracy": float(read == doc["truth"]),
        "unparsed": float(read is None),
    }
    scores |= {"macro_accuracy": scores["accuracy"], "strict_macro_accuracy": scores["strict_accuracy"]}
    category = doc["about"]["category"]
    return {metric: {"category": category, "score": score} for metric, score in scores.items()}


def mean(results: list[dict[str, Any]]) -> float:
    """The mean over questions."""
    return sum(one["score"] for one in results) / len(results)


def mean_of_categories(results: list[dict[str, Any]]) -> float:
    """The mean over categories of their means."""
    rows: dict[str, list[float]] = {}
    for one in results:
        rows.setdefault(one["category"], []).append(one["score"])
    return sum(sum(scores) / len(scores) for scores in rows.values()) / len(rows)
