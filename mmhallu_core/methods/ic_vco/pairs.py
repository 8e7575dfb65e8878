"""Surgical negatives: a picture in which the wrong answer is right, and in which nothing else has changed.

The pipeline of IC-VCO (arXiv 2605.31312, section 3.3), here on Diorama, where every step can be checked:

1. A wrong answer y' about a picture m: it names a thing that is not there (*existence*), a wrong colour (*attribute*),
   or a wrong pose or the wrong person holding something (*relation*).
2. Its *hallucination points* are found by reading it: what it asserts and the picture does not show.
3. The first point that an edit can make true becomes an instruction in words, and the editor of MED's pipeline, who
   knows the picture and the words alone, carries it out: m'.
4. The edit is verified, and y' is written anew for m'. What differs between y and y' are spans of words.

What fails is counted by its reason. For comparison the negative can also be *synthetic*, the content of m' drawn anew
with other places and in another style, or *retrieved*, another picture about which almost the same is said.
"""

import difflib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmhallu_core.edit.stages.instructions import Meaning, read_instruction
from mmhallu_core.edit.truth import edit_between, png
from mmhallu_core.edit.world import find_edit
from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.train.pretrain.speak import WHICH
from mmhallu_core.types import Picture, Preference, Span, write_jsonl
from mmhallu_core.world.language import describe, read
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.language.read import known_facts, match
from mmhallu_core.world.prior import PRIOR, annotate, sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene, Thing, carried_at, in_drawing_order, layout_ok, place_for
from mmhallu_core.world.vocabulary import COLOURS, KINDS, PEOPLE

POINTS = ("existence", "attribute", "relation")  # the three of the paper
Negative = Literal["edited", "synthetic", "retrieved"]
SPLIT = "ic-vco/train"  # begins the name of every scene; no exam has one like it
OTHER_STYLE = "textured"  # of synthetic negatives: every pixel differs, as when another generator has drawn it
TRIES = 40  # times that the editor begins anew: it draws the looks of what it adds, one in nine colours at a time
POOL = 300  # pictures that a retrieved negative is chosen from
REASONS = ("no_slip", "no_point", "instruction_not_understood", "cannot_be_done", "not_verified", "no_room")


@dataclass(frozen=True)
class Pairs:
    """Numbers of a set of pairs.

    Attributes:
        n: wrong answers to begin with; some become no pair.
        seed: another seed gives other scenes.
        negative: how the second picture is made.
        questions: at most so many questions that the edit turns round, beside the description of each pair.
        prior: how strongly things keep company, see `world.prior`.
    """

    n: int
    seed: int = 0
    negative: Negative = "edited"
    questions: int = 1
    prior: float = PRIOR


class Failed(Exception):
    """A wrong answer became no pair; its text is one of `REASONS`."""


@dataclass(frozen=True)
class Pair:
    """Two scenes with what is said of them.

    Attributes:
        point: one of `POINTS`.
        before, after: the scenes.
        style: how the second one is drawn.
        wrong: the answer that began it all.
        instruction: what the editor was asked.
        turned: prompts with their answers about the first and about the second picture.
    """

    point: str
    before: Scene
    after: Scene
    style: str
    wrong: str
    instruction: str
    turned: tuple[tuple[str, str, str], ...]


def slip(scene: Scene, point: str, rng: random.Random) -> str | None:
    """A description with a mistake of one kind; None where the scene has nothing to be mistaken about."""
    if point == "existence":
        reported, imagined = annotate(scene, rng, eta=1.0)
        return describe(reported, last=imagined).text if imagined else None
    single = [thing for thing in scene if len(scene.of_kind(thing.kind)) == 1]
    changes = []
    for thing in single:
        if point == "attribute":
            changes += [thing.but(colour=colour) for colour in COLOURS if colour != thing.colour]
        elif thing.held_by:
            people = [other for kind in PEOPLE for other in scene.of_kind(kind)]
            changes += [thing.but(held_by=other.id) for other in people if other.id != thing.held_by]
        elif thing.pose:
            changes += [thing.but(pose=pose) for pose in KINDS[thing.kind].poses if pose != thing.pose]
    return describe(scene.replace(rng.choice(changes))).text if changes else None


def points(wrong: str, scene: Scene) -> list[tuple[str, Meaning]]:
    """What a description asserts and a scene does not show, each with the edit that would make it so."""
    reading = match(read(wrong), scene)
    false = [fact for fact in reading.facts if fact not in known_facts(scene)]
    kinds = {fact.subject: fact.value for fact in reading.facts if fact.predicate == "is"}
    colours = {fact.subject: fact.value for fact in reading.facts if fact.predicate == "colour"}
    here = {thing.id: thing for thing in scene}
    found: list[tuple[str, Meaning]] = []
    for fact in false:
        thing = here.get(fact.subject)
        if fact.predicate == "is" and not scene.of_kind(fact.value) and fact.subject in colours:
            found.append(("existence", Meaning("add", {"new": colours[fact.subject], "b": fact.value})))
        elif thing is not None and fact.predicate == "colour":
            found.append(("attribute", Meaning("look", _words(thing.kind, thing.colour, fact.value))))
        elif thing is not None and fact.predicate == "pose" and thing.pose:
            found.append(("relation", Meaning("pose", _words(thing.kind, thing.pose, fact.value))))
        elif fact.object in here and here[fact.object].held_by and thing is not None:
            names = {"old_holder": here[here[fact.object].held_by].kind, "new_holder": kinds[fact.subject]}
            found.append(("relation", Meaning("pass", {"a": here[fact.object].kind, **names})))
    return found


def _words(kind: str, old: str, new: str) -> dict[str, str]:
    return {"a": kind, "old": old, "new": new}


def pair_of(i: int, ask: Pairs) -> Pair:
    """Pair number i; the same whoever asks for it.

    Raises:
        Failed: with the reason why it became none.
    """
    point, name = POINTS[i % len(POINTS)], f"{SPLIT}/{ask.seed}/{i}"
    rng, before = random.Random(f"pairs/{name}"), sample_scene(name, ask.prior)
    wrong = slip(before, point, rng)
    if wrong is None:
        raise Failed("no_slip")
    asked = next((meaning for kind, meaning in points(wrong, before) if kind == point), None)
    if asked is None:
        raise Failed("no_point")
    instruction = asked.instruction(rng.randrange(2))
    understood = read_instruction(instruction)
    if understood is None:
        raise Failed("instruction_not_understood")
    tries = (find_edit(before, understood, rng) for _ in range(TRIES))
    edit = next((one for one in tries if one is not None), None)
    if edit is None:
        raise Failed("cannot_be_done")
    if not _verified(edit.before, edit.after):
        raise Failed("not_verified")
    after, style = _negative(edit.after, ask, rng)
    between = edit_between(edit.before, edit.after)
    asked_both = [] if between is None or ask.negative == "retrieved" else turned_round(between)
    turned = [(DESCRIBE, describe(before).text, describe(after).text)]
    turned += [
        (first.text, first.answer, second.answer)
        for first, second in rng.sample(asked_both, min(ask.questions, len(asked_both)))
    ]
    return Pair(point, before, after, style, wrong, instruction, tuple(turned))


def _verified(before: Scene, after: Scene) -> bool:
    """Whether each picture's description is true of it, and the second one false of the first picture."""

    def holds(said: Scene, of: Scene) -> bool:
        return {*match(read(describe(said).text), of).facts} <= known_facts(of)

    return holds(before, before) and holds(after, after) and not holds(after, before)


def _negative(edited: Scene, ask: Pairs, rng: random.Random) -> tuple[Scene, str]:
    """The second scene, and how it is drawn."""
    if ask.negative == "edited":
        return edited, "flat"
    if ask.negative == "synthetic":
        return _drawn_anew(edited, rng), OTHER_STYLE
    wanted = _portrait(edited)
    pool = (sample_scene(f"{SPLIT}/{ask.seed}/pool/{k}", ask.prior, place=edited.place) for k in range(POOL))
    return max(pool, key=lambda scene: len(wanted & _portrait(scene)) - len(wanted ^ _portrait(scene))), "flat"


def _portrait(scene: Scene) -> set[tuple[str, str]]:
    return {(thing.kind, thing.colour) for thing in scene}


def _drawn_anew(scene: Scene, rng: random.Random) -> Scene:
    """The same things in other places.

    Raises:
        Failed: when there is no room for them.
    """
    for _ in range(20):
        placed: list[Thing] = []
        for thing in (one for one in scene if one.held_by is None):
            spot = place_for(thing, placed, rng, len(scene.carried(thing.id)))
            placed += [] if spot is None else [spot, *(carried_at(spot, one) for one in scene.carried(thing.id))]
        if len(placed) == len(scene.things) and layout_ok(placed):
            return Scene(f"{scene.id}/anew", scene.place, in_drawing_order(tuple(placed)))
    raise Failed("no_room")


def spans_of(chosen: str, rejected: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The words in which two texts differ, as characters of each; none in the one that only lacks something."""
    words = [[(one.group(), one.span()) for one in re.finditer(r"\w+|[^\w\s]", text)] for text in (chosen, rejected)]
    matcher = difflib.SequenceMatcher(None, *([word for word, _ in some] for some in words), autojunk=False)
    found: tuple[list[Span], list[Span]] = ([], [])
    for kind, a, b, c, d in matcher.get_opcodes():
        for side, some, low, high in ((0, words[0], a, b), (1, words[1], c, d)):
            if kind != "equal" and low < high:
                found[side].append((some[low][1][0], some[high - 1][1][1]))
    return tuple(found[0]), tuple(found[1])


def records_of(i: int, pair: Pair, ask: Pairs, images: tuple[Picture, Picture]) -> Iterator[Preference]:
    """The preferences of pair number i: the first picture's answer is chosen, the second one's rejected."""
    made = {"point": pair.point, "negative": ask.negative, "wrong": pair.wrong, "instruction": pair.instruction}
    for number, (prompt, chosen, rejected) in enumerate(pair.turned):
        if chosen != rejected:
            spans = spans_of(chosen, rejected)
            name = f"{ask.negative}-{ask.seed}-{i:06d}/{number}"
            yield Preference(name, prompt, chosen, rejected, images, *spans, {"ic_vco": made})


def write_pairs(ask: Pairs, out: Path) -> dict[str, Any]:
    """Writes `preferences.jsonl`, `sft.jsonl` (the paper's first stage on the same pictures), `pictures/` and
    `summary.json`.

    Returns:
        `n`, `pairs`, `preferences`, `success` (share of n), `reasons` of the failures, `points` of the pairs.
    """
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    found: list[Preference] = []
    reasons: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for i in range(ask.n):
        try:
            pair = pair_of(i, ask)
        except Failed as failed:
            reasons[str(failed)] += 1
            continue
        names = []
        for side, scene, style in (("a", pair.before, "flat"), ("b", pair.after, pair.style)):
            names.append(f"pictures/{i:06d}-{side}.png")
            (out / names[-1]).write_bytes(png(render(scene, style=style).image))
        found += records_of(i, pair, ask, (names[0], names[1]))
        kinds[pair.point] += 1
    return write_records(out, found, ask.n, sum(kinds.values()), reasons, kinds)


def write_records(
    out: Path, found: list[Preference], n: int, pairs: int, reasons: Counter[str], kinds: Counter[str]
) -> dict[str, Any]:
    """Writes preferences, conversations for the first stage, and the summary that it returns; see `write_pairs`."""
    write_jsonl(out / "preferences.jsonl", found)
    chats = "".join(json.dumps(chat) + "\n" for record in found for chat in sft_of(record))
    (out / "sft.jsonl").write_text(chats, encoding="utf-8")
    summary = {
        "n": n, "pairs": pairs, "preferences": len(found), "success": pairs / n, "reasons": dict(reasons),
        "points": dict(kinds),
    }  # fmt: skip
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def sft_of(record: Preference) -> Iterator[dict[str, Any]]:
    """Conversations for the paper's first stage: each picture with its answer, alone and beside the other one."""
    said = (record.chosen, record.rejected)
    for place, (image, answer, which) in enumerate(zip(record.images, said, WHICH, strict=True)):
        alone = {"images": [image], "question": record.prompt}
        both = {"images": list(record.images), "question": f"{record.prompt} {which}"}
        for name, asked in (("alone", alone), ("both", both)):
            yield {"id": f"{record.id}/{name}-{place + 1}", **asked, "answer": answer}
