"""Fine-tuning to look at: what a pair teaches, which tokens are learned, the loss, and the exam before and after.

Figures and tables of the chapter *Teach it the difference*. They take what `methods.med`, `train` and
`studies.teach_it` make or measured.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmhallu_core.chapters.teach_it_the_difference import OUTCOMES, Pair
from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.methods.med.arms import ARMS
from mmhallu_core.methods.med.presets import DISAGREEMENTS, PRESETS, ROWS
from mmhallu_core.studies.engine.summary import NOT_RUN
from mmhallu_core.studies.med import NUMBERS
from mmhallu_core.train.records import TrainingExample
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, ORANGE
from mmhallu_core.viz.twins import Twin, one_panel, table, with_twin, wrapping

PLACES = ("before", "after")
SMOOTH = 10  # steps that the line of the loss takes together
IMAGE = "<image>"


# ---------------------------------------------------------------- what a pair teaches


def examples_table(examples: Sequence[TrainingExample], pair: Pair, title: str) -> Twin:
    """The questions and answers that are made of one pair: a row for each answer.

    Args:
        examples: of one arm, all of them of this pair.
        pair: its two pictures.
        title: what is shown.
    """
    rows = []
    for example in examples:
        shows = " then ".join(_place(image, pair) for image in example.images)
        rows += [(shows, turn.question.replace("\n", " "), turn.answer) for turn in example.turns]
    return wrapping(table(("pictures", "question", "answer to learn"), rows, title))


def arms_table(
    arms: Mapping[str, Sequence[TrainingExample]], pair: Pair, count: Callable[[str], int], title: str
) -> Twin:
    """The same pair in several arms: what is equal in them, and what is not.

    Args:
        arms: name to its examples of this pair.
        pair: its two pictures.
        count: see `arms.token_count`.
        title: what is compared.
    """
    rows: dict[str, list[str]] = {}
    for examples in arms.values():
        turns = [turn for one in examples for turn in one.turns]
        of_two = [turn for one in examples if len(one.images) == 2 for turn in one.turns]
        places = [_place(image, pair) for one in examples for image in one.images]
        found = {
            **{f"the picture {place} is shown": f"{places.count(place)} times" for place in PLACES},
            "tokens that are learned": str(sum(count(turn.answer) for turn in turns)),
            "examples": str(len(examples)),
            "answers": str(len(turns)),
            "answers about two pictures": str(len(of_two)),
            "captions": str(sum(turn.question.startswith(DESCRIBE[:-1]) for turn in turns)),
            "tokens, each times its weight": f"{sum(count(turn.answer) * turn.weight for turn in turns):.0f}",
        }
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return table(("of this pair", *arms), [(name, *values) for name, values in rows.items()], title)


def _place(image: Any, pair: Pair) -> str:
    return next(name for name, one in zip(PLACES, pair, strict=True) if one.tobytes() == image.tobytes())


# ---------------------------------------------------------------- what is learned of it


def learned_words(tokens: Sequence[str], learned: Sequence[bool], title: str) -> Twin:
    """A conversation as the model reads it, with the tokens marked whose prediction is trained.

    Tokens of pictures, of which there are many in a row, are counted and not repeated.

    Args:
        tokens: the conversation.
        learned: for each token whether it has a label.
        title: what is shown.

    Raises:
        ValueError: when there are more or fewer labels than tokens.
    """
    parts: list[list[Any]] = []  # word, learned, how often
    for token, is_learned in zip(tokens, learned, strict=True):
        if token == IMAGE and parts and parts[-1][0] == IMAGE:
            parts[-1][2] += 1
        else:
            parts.append([token, is_learned, 1])
    words = [(word if times == 1 else f"{word} x {times}", is_learned) for word, is_learned, times in parts]
    look = "text-decoration:underline;text-decoration-thickness:2px;font-weight:bold"
    spans = (f'[<span style="{look}">{html.escape(w)}</span>]' if on else html.escape(w) for w, on in words)
    counted = f"{title}: {sum(learned)} of {len(tokens)} tokens are learned, those in [ ]."
    shown = f'<p>{html.escape(counted)}</p><p style="line-height:1.9">{" ".join(spans)}</p>'
    return Twin(shown, f"{counted}\n{' '.join(f'[{word}]' if on else word for word, on in words)}")


def loss_figure(losses: Sequence[float], title: str) -> Twin:
    """The loss of each step, and the mean of the last few.

    Args:
        losses: of the steps in their order.
        title: of the table.
    """
    figure, axes = one_panel(2.8)
    steps = np.arange(1, len(losses) + 1)
    means = [float(np.mean(losses[max(0, step - SMOOTH) : step])) for step in steps]
    axes.plot(steps, losses, "o", color=BLUE, markersize=4, label="one step")
    axes.plot(steps, means, color=ORANGE, linewidth=2, label=f"mean of the last {SMOOTH}")
    axes.set(xlabel="step", ylabel="loss of the answers")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2)
    ends = [float(np.mean(part)) for part in (losses[:SMOOTH], losses[-SMOOTH:])]
    alt = (
        f"The loss of each of {len(losses)} steps as a dot, and a line through their running mean. The first {SMOOTH} "
        f"have a mean of {ends[0]:.2f}, the last {SMOOTH} one of {ends[1]:.2f}; single steps go from "
        f"{min(losses):.2f} to {max(losses):.2f}."
    )
    rows = [(f"{a + 1} to {min(a + SMOOTH, len(losses))}", *_spread(losses[a : a + SMOOTH]))
            for a in range(0, len(losses), SMOOTH)]  # fmt: skip
    return with_twin(figure, alt, table(("steps", "mean", "least", "most"), rows, title))


def _spread(some: Sequence[float]) -> tuple[str, str, str]:
    return f"{np.mean(some):.3f}", f"{min(some):.3f}", f"{max(some):.3f}"


# ---------------------------------------------------------------- what came of it


def exam_table(rows: Sequence[Mapping[str, Any]], title: str) -> Twin:
    """The small exam before and after training, with grey pictures beside.

    Args:
        rows: what `teach_it.before_and_after` found.
        title: what is compared, and the kind of evidence.
    """
    found = []
    for row in rows:
        low, high = row["change"]["ci"]
        said = "could be luck" if low <= 0 <= high else "changed"
        asked = row["asked"] if row["guess"] is None else f"{row['asked']} (a guess: {100 * row['guess']:.0f})"
        scores = (shown(row["before"], digits=0), shown(row["after"], digits=0))
        change = shown((row["change"]["difference"], row["change"]["ci"]), digits=0)
        found.append((asked, str(row["n"]), *scores, change, said))
    heads = ("of those asked, %", "asked", "before", "after", "change", "so it")
    return table(heads, found, title)


def headline_table(found: Mapping[str, Any], named: Mapping[str, float | None] | None, title: str) -> Twin:
    """The recorded contrast with the base, a row for each outcome; what was not run says so in its row.

    Args:
        found: what `teach_it.headline` found.
        named: scores of the chapter's one named run, None where it was never made.
        title: what is compared, and the kind of evidence.
    """
    seeds, rows = f"{len(found['there'])} of {found['planned']}", []
    for name, words in OUTCOMES.items():
        one = "-" if named is None or named.get(name) is None else f"{100 * named[name]:.1f}"
        row = NOT_RUN if found["contrast"] == NOT_RUN else found["contrast"][name]
        if row == NOT_RUN or row["difference"] is None:
            rows.append((words, seeds, one, *[NOT_RUN] * 3))
            continue
        means = (f"{100 * row[side]:.1f}" for side in ("first", "second"))
        rows.append((words, seeds, one, *means, shown((row["difference"], row["ci"]))))
    heads = ("outcome, %", "seeds", "the named run", "base", "med, mean of seeds", "med minus base")
    return table(heads, rows, title)


def presets_table(title: str) -> Twin:
    """The paper's hyperparameters, a column for each model, with the row of its tables; the study's in the last."""
    batch = NUMBERS.edits * ARMS["med"]
    ours = {
        "rank": NUMBERS.rank, "alpha": NUMBERS.alpha, "dropout": 0.0, "target": "all", "gpus": "none",
        "gpu": "one CPU core", "batch": batch, "accumulation": 1, "warmup": "10 steps", "lr": NUMBERS.lr,
        "scheduler": "cosine", "vision_tower": True,
    }  # fmt: skip
    rows = [
        (ROWS[field] + {"gpus": ", how many", "gpu": ", kind"}.get(field, ""),
         *(_value(getattr(preset, field)) for preset in PRESETS.values()), _value(ours[field]))
        for field in ROWS
    ]  # fmt: skip
    rows.append(("examples a step", *(f"{p.effective_batch:,}" for p in PRESETS.values()), str(batch)))
    tables = [preset.sources["rank"].table for preset in PRESETS.values()]
    rows.insert(0, ("printed in", *tables, "plan.py"))
    return table(("row", *(preset.model for preset in PRESETS.values()), "our study"), rows, title)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def disagreements_table(title: str) -> Twin:
    """Where the paper says two things about its training: a row for each, and which one the presets follow."""
    rows = [
        (", ".join(one.about), f"{one.one[1]} ({one.one[0].table})", f"{one.other[1]} ({one.other[0].table})", one.why)
        for one in DISAGREEMENTS
    ]
    return wrapping(table(("about", "said, and followed here", "also said", "why"), rows, title))
