"""What changed between two scenes, and the condition that each edit category sets.

The eleven categories of the MED paper (arXiv 2506.07227, figure 8) overlap: taking one dog away could be
called Object, Counting or Negation. Here each category has one strict condition on a `Change`, and no two
conditions can hold together. `edits_table` says the same in words.
"""

import dataclasses
from dataclasses import dataclass

from mmhallu_core.world.scene import Scene, Thing, is_left_of
from mmhallu_core.world.vocabulary import SIZES

LOOKS = ("colour", "pattern", "size")
FIELDS = tuple(field.name for field in dataclasses.fields(Thing) if field.name not in ("id", "kind"))


@dataclass(frozen=True)
class Change:
    """Two scenes, thing by thing.

    Attributes:
        before, after: the scenes.
        gone, new: things that are only in `before`, or only in `after`.
        altered: (thing before, thing after, names of the fields that differ) for things in both.
    """

    before: Scene
    after: Scene
    gone: tuple[Thing, ...]
    new: tuple[Thing, ...]
    altered: tuple[tuple[Thing, Thing, tuple[str, ...]], ...]

    @classmethod
    def between(cls, before: Scene, after: Scene) -> "Change":
        """Compares two scenes by the ids of their things; the same id with another kind is another thing."""
        old = {(thing.id, thing.kind): thing for thing in before}
        now = {(thing.id, thing.kind): thing for thing in after}
        pairs = ((old[key], now[key], differing(old[key], now[key])) for key in old if key in now)
        return cls(
            before,
            after,
            gone=tuple(old[key] for key in old if key not in now),
            new=tuple(now[key] for key in now if key not in old),
            altered=tuple(pair for pair in pairs if pair[2]),
        )

    @property
    def same_place(self) -> bool:
        """Whether the place stayed."""
        return self.before.place == self.after.place

    @property
    def same_things(self) -> bool:
        """Whether place and things stayed, so that only a thing's own fields can differ."""
        return self.same_place and not self.gone and not self.new

    @property
    def one_field(self) -> tuple[Thing, Thing, str] | None:
        """(thing before, thing after, field) when exactly one field of one thing differs, else None."""
        if not self.same_things or len(self.altered) != 1 or len(self.altered[0][2]) != 1:
            return None
        old, now, fields = self.altered[0]
        return old, now, fields[0]

    def others(self, thing: Thing) -> list[Thing]:
        """The other things of its kind, as they are before the change."""
        return [other for other in self.before if other.kind == thing.kind and other.id != thing.id]


def differing(old: Thing, now: Thing) -> tuple[str, ...]:
    """Names of the fields that differ; what is held moves with its holder, so its x and y do not count."""
    held = old.held_by is not None and now.held_by is not None
    return tuple(f for f in FIELDS if getattr(old, f) != getattr(now, f) and not (held and f in ("x", "y")))


def is_object(change: Change) -> bool:
    """A kind that was absent is added, or takes the place of the only thing of another kind."""
    if not change.same_place or change.altered or len(change.new) != 1 or len(change.gone) > 1:
        return False
    new = change.new[0]
    if change.before.of_kind(new.kind):
        return False
    if not change.gone:
        return True
    gone = change.gone[0]
    if gone.held_by or new.held_by:
        same_spot = gone.held_by == new.held_by
    else:
        same_spot = (gone.x, gone.y) == (new.x, new.y)
    return same_spot and not change.after.of_kind(gone.kind)


def is_attribute(change: Change) -> bool:
    """Colour, pattern or size of a thing that is the only one of its kind."""
    one = change.one_field
    return one is not None and one[2] in LOOKS and not change.others(one[0])


def is_scene(change: Change) -> bool:
    """The place, and nothing else."""
    return not change.same_place and not (change.gone or change.new or change.altered)


def is_spatial_relation(change: Change) -> bool:
    """One thing moves sideways, from one side of another thing to the other side."""
    one = change.one_field
    if one is None or one[2] != "x":
        return False
    old, now, _ = one
    free = [thing for thing in change.before if thing.held_by is None and thing.id != old.id]
    return any(
        (is_left_of(old, other) and is_left_of(other, now)) or (is_left_of(other, old) and is_left_of(now, other))
        for other in free
    )


def is_action_relation(change: Change) -> bool:
    """A pose, or who holds a thing."""
    one = change.one_field
    if one is None:
        return False
    old, now, field = one
    return field == "pose" or (field == "held_by" and old.held_by is not None and now.held_by is not None)


def is_part_relation(change: Change) -> bool:
    """A part comes or goes."""
    return change.one_field is not None and change.one_field[2] == "part"


def is_counting(change: Change) -> bool:
    """The number of one kind changes; at least one is there before and after."""
    if not change.same_place or change.altered or bool(change.gone) == bool(change.new):
        return False
    kinds = {thing.kind for thing in change.gone + change.new}
    kind = min(kinds)
    return len(kinds) == 1 and bool(change.before.of_kind(kind)) and bool(change.after.of_kind(kind))


def is_differentiation(change: Change) -> bool:
    """One of several, the others alike in colour (or pattern), starts or stops to differ from them."""
    one = change.one_field
    if one is None or one[2] not in ("colour", "pattern"):
        return False
    old, now, field = one
    others = {getattr(other, field) for other in change.others(old)}
    return len(others) == 1 and (getattr(old, field) in others or getattr(now, field) in others)


def is_comparison(change: Change) -> bool:
    """One of several becomes the largest, or the smallest, of its kind."""
    one = change.one_field
    if one is None or one[2] != "size":
        return False
    others = [SIZES[other.size] for other in change.others(one[0])]
    if not others:
        return False
    old, now = SIZES[one[0].size], SIZES[one[1].size]
    return now > max(others) >= old or now < min(others) <= old


def is_negation(change: Change) -> bool:
    """The only thing of its kind is taken away."""
    if not change.same_place or change.altered or change.new or len(change.gone) != 1:
        return False
    return not change.others(change.gone[0])


def is_universality(change: Change) -> bool:
    """All things of a kind, two at least, take one colour (or pattern) that none of them had."""
    if not change.same_things or len(change.altered) < 2:
        return False
    first = change.altered[0][0]
    field = change.altered[0][2][0]
    whole = {thing.id for thing in change.before.of_kind(first.kind)}
    return (
        field in ("colour", "pattern")
        and all(fields == (field,) for _, _, fields in change.altered)
        and {old.id for old, _, _ in change.altered} == whole
        and len({getattr(now, field) for _, now, _ in change.altered}) == 1
    )
