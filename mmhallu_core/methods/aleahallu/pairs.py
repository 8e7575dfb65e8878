"""Activate: pairs of a grounded and a hallucinated response to the same picture, found by a detector.

The paper lets a model describe a picture, once as usual and once with a prompt that invites speculation, and grades
both. There the two responses also differ in style and by 15 words in length. Here they differ in what is hallucinated
alone, so that a difference inside the model is about that:

- *world*: a description of a drawn scene, and the same with one habit in it, objects, attributes and relations in turn.
  Diorama's exact reader is the detector: it must find nothing false in the first, and in the second only that.
- *captions*: any model's captions of photos, where CHAIR's word rules are the detector. In the grounded response each
  object that is not there is exchanged for one that is there and was not named; captions that do not allow it are
  left out. The kind is always `object`: these rules know nothing else.
"""

import io
import os
import random
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from mmhallu_core.data.vocabulary import Vocabulary, coco_image_id, plurals
from mmhallu_core.evaluate.chair import chair_mentions
from mmhallu_core.types import Answer, ResponsePair
from mmhallu_core.world.language import describe, match, read
from mmhallu_core.world.language.read import known_facts
from mmhallu_core.world.prior import HABIT_COLOUR, imagined_kind, sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Fact, Scene, Thing
from mmhallu_core.world.vocabulary import KINDS as THINGS
from mmhallu_core.world.vocabulary import PEOPLE

KINDS = ("object", "attribute", "relation")
PROMPT, DETAILED = "Describe the image.", "Describe the image in detail."
FALSE = {"attribute": {"attribute"}, "relation": {"spatial_relation"}}  # the kinds of false facts; objects: see `fits`


def world_pairs(split: str, kinds: Collection[str] = KINDS) -> Iterator[ResponsePair]:
    """Pairs from Diorama, without end; the kinds come in turn, and the same split gives the same pairs.

    Args:
        split: names the scenes; no split shares a scene with another.
        kinds: of `KINDS`.

    Raises:
        KeyError: for another kind.
    """
    scenes = {kind: _scenes(f"aleahallu/{split}/{kind}") for kind in kinds}
    number = 0
    while kinds:
        for kind in kinds:
            scene, texts = next((one, two) for one in scenes[kind] if (two := _written(one, kind)) is not None)
            file = io.BytesIO()
            render(scene, 96).image.save(file, "PNG")
            prompt = DETAILED if kind == "relation" else PROMPT
            yield ResponsePair(f"{split}-{number:05d}", file.getvalue(), prompt, *texts, kind)
            number += 1


def _scenes(name: str) -> Iterator[Scene]:
    number = 0
    while True:
        yield sample_scene(f"{name}/{number}")
        number += 1


def _written(scene: Scene, kind: str) -> tuple[str, str] | None:
    """A true and a false description of a scene; None where the habit has nothing to say here."""
    texts = {"object": _object, "attribute": _attribute, "relation": _relation}[kind](scene)
    if texts is None or len(texts[0].split()) != len(texts[1].split()):
        return None
    return texts if falsehoods(texts[0], scene) == set() and fits(falsehoods(texts[1], scene), kind) else None


def falsehoods(text: str, scene: Scene) -> set[Fact] | None:
    """What a text says that is not so, by Diorama's exact reader; None when a sentence was not understood."""
    said = read(text)
    return None if said.unread else {*match(said, scene).facts} - known_facts(scene)


def fits(found: set[Fact] | None, kind: str) -> bool:
    """Whether what is false is of one kind alone; a thing that is not there may have a colour that is not there."""
    if not found:
        return False
    strange = {fact.subject for fact in found if fact.predicate == "is"}
    if kind == "object":
        return bool(strange) and all(fact.subject in strange or fact.kind == "counting" for fact in found)
    return {fact.kind for fact in found} <= FALSE[kind]


def _alone(scene: Scene) -> list[Thing]:
    """Things that are no people, are held by nobody, and are the only ones of their kind."""
    free = [thing for thing in scene if thing.held_by is None and thing.kind not in PEOPLE]
    return [thing for thing in free if len(scene.of_kind(thing.kind)) == 1]


def _last(scene: Scene, able: list[Thing], change) -> tuple[str, str] | None:
    """The scene with one of the able things told last, as it is and changed: habits come at a caption's end."""
    if not able:
        return None
    thing = random.Random(scene.id).choice(able)
    last = frozenset({thing.id})
    return tuple(describe(one, "normal", last=last).text for one in (scene, scene.replace(change(thing))))


def _object(scene: Scene) -> tuple[str, str] | None:
    """A thing is called by the name of what the place makes likely, and is not there."""
    kind = imagined_kind(scene)
    if kind is None:
        return None
    poses = THINGS[kind].poses
    able = [thing for thing in _alone(scene) if bool(THINGS[thing.kind].poses) == bool(poses)]
    pose = poses[0] if poses else None
    return _last(scene, able, lambda thing: thing.but(kind=kind, pose=pose, part=True))


def _attribute(scene: Scene) -> tuple[str, str] | None:
    """A thing gets the colour that such things usually have."""
    able = [thing for thing in _alone(scene) if thing.colour != HABIT_COLOUR.get(thing.kind, thing.colour)]
    return _last(scene, able, lambda thing: thing.but(colour=HABIT_COLOUR[thing.kind]))


def _relation(scene: Scene) -> tuple[str, str] | None:
    """The last sentence of a full description, a relation of two things, with its two nouns exchanged."""
    said = describe(scene, "full")
    if not any(fact.kind == "spatial_relation" and fact.object for fact in said.facts):
        return None
    a, b = said.mentions[-2:]
    text = said.text
    turned = text[: a.start] + text[b.start : b.end] + text[a.end : b.start] + text[a.start : a.end] + text[b.end :]
    return text, turned


def caption_pairs(
    captions: Iterable[Answer],
    truth: Mapping[str, Collection[str]],
    vocabulary: Vocabulary,
    pictures: Mapping[str, str],
    prompt: str = PROMPT,
    rules: str = "fixed",
) -> Iterator[ResponsePair]:
    """Pairs from captions; those without a hallucination, and those that cannot be put right, are left out.

    Args:
        captions: what a model said; the picture is `image_id`, or `id` where that is not given.
        truth: image id to the objects in the picture.
        vocabulary: which words name which object.
        pictures: image id to the picture's path.
        prompt: what the model was asked.
        rules: CHAIR's, "2018" or "fixed".
    """
    for one in captions:
        image = one.image_id or one.id
        if image in truth and image in pictures and one.answer.strip():
            repaired = put_right(one.answer, truth[image], vocabulary, rules)
            if repaired is not None:
                yield ResponsePair(one.id, pictures[image], prompt, repaired, one.answer, "object")


def put_right(caption: str, objects: Collection[str], vocabulary: Vocabulary, rules: str = "fixed") -> str | None:
    """A caption with each object that is not there exchanged for one that is; None where that cannot be done.

    The same wrong object becomes the same right one, in the plural where it was; "a" and "an" follow.
    """
    named = chair_mentions(caption, objects, vocabulary, rules)
    wrong = list(dict.fromkeys(one.object for one in named if one.hallucinated))
    left = sorted(set(objects) - {one.object for one in named})
    if not wrong or len(left) < len(wrong):
        return None
    instead, text = dict(zip(wrong, left, strict=False)), caption
    for one in reversed([one for one in named if one.hallucinated]):
        word, right = caption[one.start : one.end], instead[one.object]
        many = word.lower() not in vocabulary.terms
        before = text[: one.start]
        if not many:
            n = "n" if right[0] in "aeiou" else ""
            before = re.sub(r"\b([Aa])n? $", rf"\1{n} ", before)
        text = before + (plurals(right)[0] if many else right) + text[one.end :]
    again = chair_mentions(text, objects, vocabulary, rules)
    return text if not any(one.hallucinated for one in again) else None


def picture_paths(folder: Path, ids: Iterable[str], beside: Path) -> dict[str, str]:
    """The pictures of a folder by image id, as paths from the folder `beside`; COCO's long names are understood."""
    files = {name: path for path in sorted(folder.iterdir()) for name in (path.stem, path.name)}
    files |= {coco_image_id(path.name): path for path in files.values()}
    return {one: Path(os.path.relpath(files[one], beside)).as_posix() for one in ids if one in files}
