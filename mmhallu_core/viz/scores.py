"""Scores side by side, each with its interval: the tables of the chapters."""

import html
from collections.abc import Mapping
from typing import Any

from mmhallu_core.evaluate.audit import WORDING, apart
from mmhallu_core.evaluate.profile import QUESTIONS, agreement, side
from mmhallu_core.viz.profiles import ASKED, IN_WORDS
from mmhallu_core.viz.twins import NOTE, Twin, table

Score = tuple[float | None, list[float] | None]  # a value and its 95% interval
CHAIR_ROWS = {"CHAIR_i, %": "chair_i", "CHAIR_s, %": "chair_s", "recall, %": "recall", "words a caption": "mean_length"}


def shown(score: Score, scale: int | float = 100, digits: int = 1) -> str:
    """ "7.5 [6.0, 9.1]", scaled; "none" where nothing was counted."""
    value, interval = score
    if value is None:
        return "none"
    spread = "" if interval is None else f" [{scale * interval[0]:.{digits}f}, {scale * interval[1]:.{digits}f}]"
    return f"{scale * value:.{digits}f}{spread}"


def chair_table(columns: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """CHAIR's numbers for several captioners, one column each.

    Args:
        columns: heading to what `score_chair` returned.
        title: what is compared; the kind of evidence is part of it.
    """
    rows = [("captions", *(str(one["n"]) for one in columns.values()))]
    for heading, name in CHAIR_ROWS.items():
        scale = 1 if name == "mean_length" else 100
        rows.append((heading, *(shown((one[name], one["ci"][name]), scale) for one in columns.values())))
    return table(("95% intervals in brackets", *columns), rows, title)


def dial_table(columns: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """What `evaluate.diorama.evaluate` measured, one column for each model."""
    rows = [("scenes", *(str(one["scenes"]) for one in columns.values()))]
    for heading, name in CHAIR_ROWS.items():
        scale = 1 if name == "mean_length" else 100
        rows.append((heading, *(shown((c["chair"][name], c["chair"]["ci"][name]), scale) for c in columns.values())))
    for sampling in ("random", "adversarial"):
        cells = []
        for one in columns.values():
            pope = one["pope"][sampling]
            cells.append(shown((pope["strict"]["accuracy"], pope["ci"]["strict"]["accuracy"])))
        rows.append((f"POPE {sampling}, accuracy %", *cells))
    ratios = [shown((one["place"]["ratio"], one["place"]["ci"]), 1) for one in columns.values()]
    rows.append(("place makes it likely, times chance", *ratios))
    return table(("95% intervals in brackets", *columns), rows, title)


def reported_table(models: Mapping[str, Mapping[str, Any]], title: str) -> Twin:
    """Printed CHAIR scores beside ours, a row for each model.

    Args:
        models: name to `{reported: {chair_i, chair_s} in percent, chair: what score_chair returned}`.
        title: what is compared.
    """
    rows = []
    for name, one in models.items():
        chair, cells = one["chair"], []
        for score in ("chair_i", "chair_s"):
            low, high = chair["ci"][score]
            measured = f"{100 * chair[score]:.2f} [{100 * low:.1f}, {100 * high:.1f}]"
            cells += [f"{one['reported'][score]:.1f}", measured]
        rows.append((name, *cells, shown((chair["mean_length"], None), 1)))
    heads = ("CHAIR_i reported", "measured", "CHAIR_s reported", "measured", "words")
    return table(("model", *heads), rows, title)


def agreement_table(photos: Mapping[str, Mapping[str, Any]], ours: Mapping[str, Any], title: str) -> Twin:
    """The verdict on each question, with the sides that it rests on.

    Args:
        photos: name to profile, models on photos.
        ours: the profile that is compared with them.
        title: what is compared.
    """
    verdicts, rows = agreement(list(photos.values()), ours), []
    for question in QUESTIONS:
        sides = [side(one[question]) for one in photos.values()]
        counts = ", ".join(f"{sides.count(name)} {words}" for name, words in IN_WORDS.items() if name in sides)
        rows.append((ASKED[question], counts, IN_WORDS[side(ours[question])], verdicts[question]))
    return table(("is the wrong one", "models on photos", "tiny-llava", "verdict"), rows, title)


BLIND_RULES = {
    "most_similar_jaccard": "take the option that shares most words with the others",
    "most_similar_edit": "take the option from which the others are reached by fewest changes",
    "whitespace_then_jaccard": "take the one option without a blank at its end; else as by shared words",
    "longest": "take the longest option",
}


def audit_table(record: Mapping[str, Any], title: str) -> Twin:
    """Blind rules beside chance, and what the benchmark's paper reports for those who saw the pictures.

    The letter that is right most often stands below the table: to know it, one has to read the answer key.

    Args:
        record: what `chapters.blind_audit` recorded.
        title: the benchmark, and the kind of evidence.
    """
    audit = record["audit"]
    rows = [("a guess", "nothing", shown((audit["chance"], None)))]
    own, key = apart(audit)
    for name, score in sorted(own.items(), key=lambda entry: (entry[0] not in WORDING, -entry[1])):
        sees = "the options" if name in WORDING else "the options, and blanks at their ends"
        rows.append((BLIND_RULES[name], sees, shown((score, audit["ci"][name]))))
    rows += [(name, "options, pictures (reported)", shown((score, None))) for name, score in record["reported"].items()]
    found, letter = table(("who answers", "sees", "right, %"), rows, title), audit["majority_letter"]
    (name, score), *_ = key.items()
    note = (
        f"Apart stands a rule that reads no option, but the answer key. It always says {letter}, the letter that is "
        f"right most often in this file: {shown((score, audit['ci'][name]))}."
    )
    return Twin(f'{found.html}<p style="{NOTE}">{html.escape(note)}</p>', f"{found.text}\n{note}")
