"""From a kind's name to its drawing: the table that the renderer reads.

Adding a kind means one function that returns layers, and one line here.
"""

from mmhallu_core.world import draw_animals, draw_carried, draw_people, draw_standing, draw_vehicles
from mmhallu_core.world.shapes import Layer

POSED = {
    "man": draw_people.man,
    "woman": draw_people.woman,
    "dog": draw_animals.dog,
    "cat": draw_animals.cat,
    "horse": draw_animals.horse,
    "bird": draw_animals.bird,
}
STILL = {
    "car": draw_vehicles.car,
    "bicycle": draw_vehicles.bicycle,
    "boat": draw_vehicles.boat,
    "house": draw_standing.house,
    "tent": draw_standing.tent,
    "tree": draw_standing.tree,
    "flower": draw_standing.flower,
    "chair": draw_standing.chair,
    "lamp": draw_standing.lamp,
}
CARRIED = {
    "umbrella": draw_carried.umbrella,
    "ball": draw_carried.ball,
    "kite": draw_carried.kite,
    "hat": draw_carried.hat,
    "bag": draw_carried.bag,
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
    if kind in STILL:
        return STILL[kind](part)
    return POSED[kind](pose, part)
