"""The whole record of the released captions: the published table, captions cut short, and the repaired rules.

`python -m maintenance.measure reproduce-a-table --only photos --out results/reproduce-a-table` writes it. What would
count was written down before: see the top of `mmhallu_core/chapters/reproduce_a_table.py`.
"""

from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.chapters.reproduce_a_table import LENGTHS, Released, light, released
from mmhallu_core.evaluate.chair_tables import SEED, Counts, change, pairs, table

SIZES = (100, 250, 500, 1000)  # photos chosen at random
SHORT = 20  # words; "longer is worse" compares with these


def curves(data: Released, whole: Counts, progress: bool = True) -> dict[str, Any]:
    """The scores of captions cut to their first words.

    Returns:
        `lengths`: the cut in words, or "all", to `{models: what table returns, pairs}`, each model also with `cut`, the
        share of its captions that became shorter; `longer`: model to the difference of CHAIR_i, whole minus cut to
        `SHORT` words.
    """
    lengths, longer = {}, {}
    for words in tqdm([*LENGTHS, None], desc="cuts", disable=not progress):
        counts = whole if words is None else data.counts(words)
        rows = table(counts)
        for name, row in rows.items():
            row["cut"] = float((counts[name]["mean_length"][0] < whole[name]["mean_length"][0]).mean())
        lengths[str(words or "all")] = {"models": rows, "pairs": pairs(counts)}
        if words == SHORT:
            longer = {name: change(counts[name], whole[name], ("chair_i",))["chair_i"] for name in counts}
    return {"lengths": lengths, "longer": longer}


def repaired(data: Released, whole: Counts) -> dict[str, Any]:
    """The same captions by the repaired rules: `models`, and `change` from the rules of 2018, caption by caption."""
    fixed = data.counts(rules="fixed")
    moved = {name: change(whole[name], fixed[name], ("chair_i", "chair_s", "recall")) for name in fixed}
    return {"models": table(fixed), "change": moved, "pairs": pairs(fixed)}


def photos(progress: bool = True) -> dict[str, Any]:
    """The whole record of the released captions.

    Raises:
        MissingFile: when they are not here.
    """
    data = released()
    whole = data.counts()
    return {
        "kind": "recomputed", "inputs": data.inputs, "seed": SEED, **light(data, whole, SIZES),
        **curves(data, whole, progress), "fixed": repaired(data, whole),
    }  # fmt: skip
