"""The pipeline to look at: one draft stage by stage, what comes through, and what CLIP's filter keeps.

Figures and tables of the chapter *Build micro-edits*. Every function takes what `studies.build_micro_edits`,
`med_faults`, `med_similarity` or `med_photos` measured or recorded.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmhallu_core.chapters.build_micro_edits import Step
from mmhallu_core.clients.client import BEGIN, END, Request
from mmhallu_core.data.decode import decode
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.viz.scores import shown
from mmhallu_core.viz.style import BLUE, GREEN, INK, ORANGE, PINK, VERMILLION
from mmhallu_core.viz.twins import Twin, one_panel, table, with_twin, wrapping

LOOKS = {
    "answer": (VERMILLION, "X", "-"), "category": (ORANGE, "s", "--"), "difference": (BLUE, "o", "-."),
    "caption": (GREEN, "^", ":"), "edited_caption": (PINK, "D", (0, (1, 1))),
}  # fmt: skip
MODES = {"projected": (BLUE, "o", -0.17), "pooled": (ORANGE, "s", 0.17)}
LINES = {"training": (0.7, "--"), "benchmark": (0.95, ":")}
ENDS = ("ended before the judges", "refused by the judges", "ended after the judges", "sample, right",
        "sample, with a fault")  # fmt: skip
ORDER = ("filter", "plan", "plan_object", "complete", "recaption", "difference", "judge_1", "judge_2", "refine")
STAGES = {
    "plan_object": "plan",
    "complete": "captions",
    "recaption": "captions",
    "judge_1": "judges",
    "judge_2": "judges",
}
CUT = 90  # letters of what goes into a stage


def steps_table(steps: Sequence[Step], title: str) -> Twin:
    """What went into each stage and what came out, for one draft: a row for each stage.

    Args:
        steps: what `build_micro_edits.trace` returned.
        title: what is shown.
    """
    rows = [(step.stage, _goes_in(step), _comes_out(step)) for step in steps]
    found = table(("stage", "what goes in", "what comes out"), rows, title)
    listed = [title]
    for stage, given, made in rows:
        listed += [stage, *(f"  in:  {line}" for line in given.splitlines())]
        listed += [f"  out: {line}" for line in made.splitlines()]
    return replace(wrapping(found, 13), text="\n".join(listed))


def _goes_in(step: Step) -> str:
    if not step.calls:
        given = {"edit": "the picture and the instruction", "similarity": "the two pictures"}
        return given.get(step.stage, "the draft's id")
    asked = []
    for request, _ in step.calls:
        pictures = {0: "no picture", 1: "one picture", 2: "both pictures"}[len(request.images)]
        asked.append("\n".join([f"{request.id.rpartition('/')[2]}: {pictures}", *_data(request)]))
    return "\n".join(asked)


def _data(request: Request) -> list[str]:
    """The lines of data in a prompt, long ones cut: a caption stands whole in the row of the stage that wrote it."""
    lines = request.prompt.split(f"\n{BEGIN}\n", 1)[1].split(f"\n{END}\n", 1)[0].splitlines()
    return [line if len(line) <= CUT else f"{line[:CUT].rpartition(' ')[0]} ..." for line in lines]


def _comes_out(step: Step) -> str:
    if isinstance(step.after, Rejected):
        return f"rejected, {step.after.reason}: {step.after.detail}"
    if step.calls:
        return "\n".join(reply.text for _, reply in step.calls)
    if step.stage == "edit":
        inside, outside = changed(step.after)
        return f"the edited picture; {inside} pixels differ in the mask, {outside} outside it"
    return f"cosine {step.after.similarity}" if step.stage == "similarity" else str(step.after.question)


def changed(draft: Draft) -> tuple[int, int]:
    """How many pixels of a draft's pictures differ inside its mask, and outside."""
    before, after = (_pixels(picture, "RGB") for picture in (draft.image, draft.edited_image))
    off, mask = (before != after).any(axis=2), _pixels(draft.mask, "L") > 0
    return int((off & mask).sum()), int((off & ~mask).sum())


def _pixels(picture: bytes, mode: str) -> np.ndarray:
    return np.asarray(decode(picture).image.convert(mode))


def ends_of_drafts(samples: int, reasons: Mapping[str, int], title: str) -> Twin:
    """How many drafts ended where: what `pipeline.counts` found, and the samples."""
    rows = [(reason.replace("/", ": ").replace("_", " "), str(count)) for reason, count in reasons.items()]
    return table(("where a draft ended", "drafts"), [*rows, ("it became a sample", str(samples))], title)


def dial_figure(dials: Mapping[str, Any], title: str) -> Twin:
    """Samples with a fault against the share of wrong replies, by kind of fault.

    Args:
        dials: the record of `med_faults`: setting to what `at_one_dial` returned.
        title: of the table.
    """
    figure, axes = one_panel(4.2)
    places = [100 * float(dial) for dial in dials]
    bars = [100 * one["any"]["share"] for one in dials.values()]
    axes.plot(places, bars, color=INK, linewidth=2, marker="*", markersize=9, label="any")
    for fault, (colour, marker, line) in LOOKS.items():
        rows = [one["faults"][fault] for one in dials.values()]
        label = fault.replace("_", " ")
        axes.plot(
            places, [100 * row["share"] for row in rows], color=colour, marker=marker, linestyle=line, label=label
        )
        low, high = ([100 * row["ci"][side] for row in rows] for side in (0, 1))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="dial: replies that are wrong, %", ylabel="samples with a fault, %", xticks=places)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3)
    rows = []
    for dial, one in dials.items():
        faults = (shown((one["faults"][fault]["share"], one["faults"][fault]["ci"])) for fault in LOOKS)
        found = shown((one["any"]["share"], one["any"]["ci"]))
        rows.append((f"{100 * float(dial):.0f}", str(one["drafts"]), str(one["samples"]), found, *faults))
    heads = ("dial, %", "drafts", "samples", "with any fault, %", *(fault.replace("_", " ") for fault in LOOKS))
    return with_twin(figure, _dial_alt(dials), table(heads, rows, title))


def _dial_alt(dials: Mapping[str, Any]) -> str:
    last, one = list(dials.items())[-1]
    parts = (f"{fault.replace('_', ' ')} {100 * one['faults'][fault]['share']:.0f}" for fault in LOOKS)
    return (
        "A line for each kind of fault: the share of samples that have it, against the share of replies that are "
        f"wrong. At dial {100 * float(next(iter(dials))):.0f}% "
        f"{next(iter(dials.values()))['any']['n']} samples have a fault. At dial {100 * float(last):.0f}% "
        f"{100 * one['any']['share']:.0f}% have one; by kind, in percent: {', '.join(parts)}."
    )


def judges_table(judged: Mapping[str, Any], title: str) -> Twin:
    """What each way to judge keeps: a row for each policy of `med_faults.POLICIES`."""
    rows = [
        (name, str(one["kept"]), *(shown((one[key]["share"], one[key]["ci"])) for key in ("wrong", "loses")))
        for name, one in judged.items()
    ]
    return table(("who decides", "kept", "wrong among the kept, %", "right ones lost, %"), rows, title)


def ends_table(ends: Mapping[str, Mapping[str, int]], title: str) -> Twin:
    """Where drafts with exactly one wrong reply ended: a row for each stage and way to be wrong, in the stages' order.

    Malformed replies of all jobs share a row.
    """
    found: dict[str, Counter[str]] = {}
    for name in sorted(ends, key=lambda name: ORDER.index(name.split(": ")[0])):
        job, error = name.split(": ")
        row = "any stage: malformed" if error == "malformed" else f"{STAGES.get(job, job)}: {error.replace('_', ' ')}"
        found.setdefault(row, Counter()).update({_end(end): count for end, count in ends[name].items()})
    found |= {row: found.pop(row) for row in list(found) if row.startswith("any")}  # the common row comes last
    heads = [end for end in ENDS if any(row[end] for row in found.values())]
    return table(
        ("the one wrong reply", *heads), [(k, *(str(row[e]) for e in heads)) for k, row in found.items()], title
    )


def _end(end: str) -> str:
    if end.startswith("ended at"):
        return ENDS[2] if end == "ended at refine" else ENDS[0]
    return end


def similarity_figure(record: Mapping[str, Any], title: str) -> Twin:
    """Cosines of pairs by category, in both kinds of embedding, with the filter's two lines.

    Args:
        record: what `med_similarity.measure` returned.
        title: of the table.
    """
    modes, places = record["modes"], {value: k for k, value in enumerate(record["quantiles"])}
    names = sorted((n for n in modes["projected"] if n != "all"), key=lambda n: _median(modes["projected"][n], places))
    figure, axes = one_panel(5.2)
    for mode, (colour, marker, off) in MODES.items():
        for row, name in enumerate(names):
            values = modes[mode][name]["quantiles"]
            ends, box = ([values[places[q]] for q in pair] for pair in ((0.05, 0.95), (0.25, 0.75)))
            axes.plot(ends, [row + off] * 2, color=colour, linewidth=1.2)
            axes.plot(box, [row + off] * 2, color=colour, linewidth=5, solid_capstyle="butt")
            dot = {"color": colour, "markersize": 8, "markeredgecolor": INK, "linestyle": "none"}
            axes.plot(values[places[0.5]], row + off, marker, label=mode if row == 0 else None, **dot)
    for name, (line, dashes) in LINES.items():
        axes.axvline(line, color=INK, linestyle=dashes, linewidth=1.3, label=f"line for {name}, {line}")
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="cosine of the two pictures")
    axes.grid(False, axis="y")
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2)
    rows = []
    for name in (*names, "all"):
        cells = [name]
        for mode in MODES:
            one = modes[mode][name]
            cells += [
                f"{_median(one, places):.3f}",
                *(shown((one[line]["share"], one[line]["ci"]), 100, 0) for line in LINES),
            ]
        rows.append(tuple(cells))
    heads = [f"{mode}: {what}" for mode in MODES for what in ("median", "kept at 0.7, %", "kept at 0.95, %")]
    return with_twin(figure, _similarity_alt(modes, names), table(("category", *heads), rows, title))


def _median(one: Mapping[str, Any], places: Mapping[float, int]) -> float:
    return one["quantiles"][places[0.5]]


def _similarity_alt(modes: Mapping[str, Any], names: Sequence[str]) -> str:
    parts = []
    for mode in MODES:
        kept = ", ".join(f"{name} {100 * modes[mode][name]['training']['share']:.0f}" for name in names)
        parts.append(f"{mode}: {kept}, all {100 * modes[mode]['all']['training']['share']:.0f}")
    return (
        "For each category, where the cosines of its pairs lie, in two kinds of embedding, with vertical lines at 0.7 "
        f"and 0.95. Pairs kept at 0.7, in percent: {'; '.join(parts)}."
    )


def photos_table(rows: Mapping[str, Mapping[str, Any]], run: Mapping[str, Any], title: str) -> Twin:
    """How much of an edited photo differs from its original: medians and quartiles, in percent of its pixels.

    Args:
        rows: name to what `med_photos.released` measured on the released pairs.
        run: what `med_photos.run` returned for OpenCV's edits.
        title: what is compared.
    """
    clear = "pixels_that_differ_by_more_than_8_percent"
    cells = [
        (f"released, {name}", str(one["pairs"]), str(one["pairs_of_two_sizes"]),
         f"{one['shape_is_off_by_percent']['max']:.1f}", _quartiles(one["edited"][clear]),
         _quartiles(one["original_scaled_there_and_back"][clear]))
        for name, one in rows.items()
    ]  # fmt: skip
    share = _quartiles(run["share_of_the_photo_percent"])
    cells.append(("OpenCV, recorded", str(run["samples"]), "0", "0.0", f"at most {share}", "not scaled"))
    heads = ("middle half in brackets", "pairs", "of two sizes", "shape off by up to, %", "pixels that differ, %",
             "by scaling alone, %")  # fmt: skip
    return table(heads, cells, title)


def _quartiles(values: Mapping[str, Any]) -> str:
    return f"{values['median']:.1f} [{values['quarter']:.1f}, {values['three_quarters']:.1f}]"
