"""MED's table 1, recomputed: are its averages means, and were all its rows measured on the same questions?

`python -m maintenance.med_table --out results/med-table` writes three records. What counts, fixed before the
numbers:

1. *averages*. A printed average agrees when it lies within 0.01 of the mean of the row's 11 printed scores. (Each
   score is rounded to 0.01, and so is the average; that much is lost at most.) Where a score was restored from the
   average, the row says nothing: neither yes nor no.
2. *versions*. A score of a category with n questions can only be k/n. A printed score is possible when some k/n,
   rounded or cut to two digits, gives it. A row fits a version of the labels when all its 11 scores are possible with
   the numbers of questions of that version. Looked at are the released file, and every version in which one question
   of it has another category: 1 + 11 * 10 versions, none of them chosen for what it gives. Two rows are comparable
   when one version fits both. (It is necessary, not sufficient: the texts may have changed as well.) Restored scores
   do not count. Where no version fits both rows, *explains* says how far one question with another category can move
   the printed gain at most, in points.
3. *text*. A figure in the paper's text agrees when it lies within 0.02 of what the table gives; where a restored
   score is needed, neither yes nor no.

A row that fits gives the number of right answers in each category, so its accuracy over all questions can be told, and
the half width of the average's 95% interval: 1.96 / 11 * sqrt(sum of p (1 - p) / n over the categories).
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maintenance.med_table_printed import COLUMNS, LOST, TABLE, TEXT
from mmhallu_core.data.question import FILES, read_multiple_choice
from mmhallu_core.store import data_file, json_sha256, sha256
from mmhallu_core.types import slug

COMMAND = "python -m maintenance.med_table --out results/med-table"
FILE = FILES["med-bench"]
Counts = dict[str, int]


def released() -> Counts:
    """Questions a category in the released file, in the order of the table's columns."""
    found = Counter(
        slug(item.about.get("category", "")) for item in read_multiple_choice(data_file(FILES["med-bench"]))
    )
    return {column: found[column] for column in COLUMNS}


def right_answers(score: int | float, n: int) -> int | None:
    """The k for which k/n, in percent and rounded or cut to two digits, is the score; None where there is none."""
    k = round(score * n / 100)
    exact = 100 * k / n
    cut = math.floor(exact * 100 + 1e-9) / 100
    return k if abs(exact - score) <= 0.005 + 1e-9 or abs(cut - score) < 1e-9 else None


def versions(counts: Mapping[str, int]) -> dict[str, Counts]:
    """The released numbers of questions, and those with one question moved: "action_relation to object" and so on."""
    found = {"released": dict(counts)}
    for one in counts:
        for other in counts:
            if one != other:
                found[f"{one} to {other}"] = {**counts, one: counts[one] - 1, other: counts[other] + 1}
    return found


def fitting(scores: Mapping[str, int | float], counts: Mapping[str, int]) -> list[str]:
    """The versions with which all these scores of a row, by category, are possible."""
    return [
        name
        for name, sizes in versions(counts).items()
        if all(right_answers(score, sizes[column]) is not None for column, score in scores.items())
    ]


def read_scores(name: str) -> dict[str, int | float]:
    """A row's scores by category, those that were restored left out."""
    return {c: s for c, s in zip(COLUMNS, TABLE[name], strict=False) if c not in LOST.get(name, ())}


def averages() -> dict[str, Any]:
    """Each row's mean of the printed scores beside its printed average; `agrees` is None where a score is restored."""
    rows = {}
    for name, (*scores, printed) in TABLE.items():
        mean, restored = sum(scores) / len(scores), list(LOST.get(name, ()))
        agrees = None if restored else abs(mean - printed) <= 0.01 + 1e-9
        rows[name] = {"printed": printed, "mean": round(mean, 4), "restored": restored, "agrees": agrees}
    return rows


def lost_cells(counts: Mapping[str, int]) -> dict[str, dict[str, list[float]]]:
    """For the figures that the copy had lost: every possible score with which the row's average agrees."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, columns in LOST.items():
        *scores, printed = TABLE[name]
        for column in columns:
            others = sum(score for score, one in zip(scores, COLUMNS, strict=True) if one != column)
            possible = [round(100 * k / counts[column], 2) for k in range(counts[column] + 1)]
            good = [score for score in possible if abs((others + score) / 11 - printed) <= 0.01 + 1e-9]
            found.setdefault(name, {})[column] = good
    return found


def versions_of_rows(counts: Mapping[str, int]) -> dict[str, Any]:
    """Which versions each row fits; with the first of them its accuracy over all questions, and how sure it is."""
    rows, known = {}, versions(counts)
    for name, (*scores, printed) in TABLE.items():
        fits = fitting(read_scores(name), counts)
        impossible = [
            column for column, score in read_scores(name).items() if right_answers(score, counts[column]) is None
        ]
        rows[name] = {"printed": printed, "fits": fits, "impossible_with_released": impossible}
        if fits:
            sizes = known[fits[0]]
            right = {c: right_answers(s, sizes[c]) or 0 for s, c in zip(scores, COLUMNS, strict=True)}
            spread = sum(right[c] / n * (1 - right[c] / n) / n for c, n in sizes.items())
            rows[name] |= {
                "over_all_questions": round(100 * sum(right.values()) / sum(sizes.values()), 2),
                "half_width": round(100 * 1.96 / 11 * math.sqrt(spread), 2),
            }
    return rows


def comparable(rows: Mapping[str, Any], counts: Counts) -> dict[str, Any]:
    """For each model that the paper fine-tunes: do its two rows fit one version?"""
    found = {}
    for name in TABLE:
        after = f"{name}, MED"
        if after in TABLE:
            both = [version for version in rows[name]["fits"] if version in rows[after]["fits"]]
            gain = round(TABLE[after][-1] - TABLE[name][-1], 2)
            found[name] = {"before": rows[name]["fits"], "after": rows[after]["fits"], "gain": gain, "same": bool(both)}
            if not both:
                found[name]["explains"] = explains(name, rows, counts)
    return found


def explains(name: str, rows: Mapping[str, Any], counts: Counts) -> float:
    """How far the average of the row before can move, in points, when it is counted with a version of the row after.

    The question that changes its category was answered right or wrong, which nobody printed: the larger move counts.
    """
    known, moves = versions(counts), [0.0]
    for start in rows[name]["fits"]:
        for end in rows[f"{name}, MED"]["fits"]:
            a, b = known[start], known[end]
            right = {c: right_answers(score, a[c]) or 0 for c, score in read_scores(name).items()}
            for answered in (0, 1):
                change = sum((k + answered * (b[c] - a[c])) / b[c] - k / a[c] for c, k in right.items())
                moves.append(abs(100 * change / len(COLUMNS)))
    return round(max(moves), 2)


def text() -> list[dict[str, Any]]:
    """The figures of the paper's text beside those that its table gives."""
    found = []
    for model, column, *said in TEXT:
        place = -1 if column == "average" else COLUMNS.index(column)
        before, after = TABLE[model][place], TABLE[f"{model}, MED"][place]
        table = [before, after, round(after - before, 2)]
        agrees = all(one is None or abs(one - other) <= 0.02 + 1e-9 for one, other in zip(said, table, strict=True))
        restored = any(column in LOST.get(row, ()) for row in (model, f"{model}, MED"))
        agrees = None if restored else agrees
        found.append({"model": model, "column": column, "text": said, "table": table, "agrees": agrees})
    return found


def records(counts: Counts, inputs: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The three records, by name.

    Args:
        counts: see `released`.
        inputs: the hash of the released file by its name.
    """
    table = {"table 1 and section 6 of arXiv 2506.07227, as typed": json_sha256([TABLE, TEXT])}
    rows = versions_of_rows(counts)
    made = {
        "averages": {"rows": averages(), "lost_cells": lost_cells(counts)},
        "versions": {
            "counts": counts,
            "looked_at": len(versions(counts)),
            "rows": rows,
            "pairs": comparable(rows, counts),
        },
        "text": {"figures": text()},
    }  # fmt: skip
    head = {"kind": "recomputed", "command": COMMAND, "inputs": {**table, **inputs}}
    return {name: {**head, **record} for name, record in made.items()}


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, record in records(released(), {FILE: sha256(data_file(FILE))}).items():
        target = arguments.out / f"{name}.json"
        target.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main()
