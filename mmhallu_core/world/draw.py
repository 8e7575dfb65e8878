"""From a kind's name to its drawing: the table that the renderer reads.

Adding a kind means one function that returns layers, and one line here.
"""

from mmhallu_core.world import draw_animals, draw_people, draw_things, draw_vehicles
from mmhallu_core.world.shapes import Layer

POSED = {
    "man": draw_people.man,
    "woman": draw_people.woman,
    "dog": draw_animals.dog,
    "cat": draw_animals.cat,
    "horse": draw_animals.horse,
    "bird": draw_animals.bird,
    "car": draw_vehicles.car,
    "bicycle": draw_vehicles.bicycle,
    "boat": draw_vehicles.boat,
    "house": draw_vehicles.house,
    "tent": draw_vehicles.tent,
    "tree": draw_vehicles.tree,
    "flower": draw_vehicles.flower,
    "chair": draw_things.chair,
    "lamp": draw_things.lamp,
}
CARRIED = {
    "umbrella": draw_things.umbrella,
    "ball": draw_things.ball,
    "kite": draw_things.kite,
    "hat": draw_things.hat,
    "bag": draw_things.bag,
}


def drawing(kind: str, pose: str | None, part: bool, tether: tuple[float, float] | None = None) -> list[Layer]:
    """The layers of a kind in unit coordinates, back to front.

    Args:
        kind: a word of `vocabulary.KINDS`.
        pose: what it is doing; None for kinds without poses.
        part: whether its removable part is there.
        tether: for what is carried, the way from its lower edge to the hand.

    Raises:
        KeyError: for a kind without a drawing.
    """
    if kind in CARRIED:
        return CARRIED[kind](part, tether)
    return POSED[kind](pose, part)
