"""Colours of things in photos: what they are called, and how a thing gets another one with its shading kept.

Done in CIE Lab (D65), where lightness is one axis and the other two are a plane of hue and chroma: a new hue there
leaves light and shade as they were.
"""

import numpy as np
from jaxtyping import Float

from mmhallu_core.edit.editors.cutouts import Mask, Photo, opencv
from mmhallu_core.edit.editors.pixels import Edited, feathered

# Hue in the plane of a and b, in degrees: where each name is most itself in sRGB.
HUES = {
    "red": 35.0, "orange": 62.0, "yellow": 98.0, "green": 138.0, "teal": 195.0, "blue": 275.0, "purple": 318.0,
    "pink": 355.0,
}  # fmt: skip
GREY_CHROMA = 11.0  # below it, a colour is called by its lightness
CHROMA = 38.0  # what a grey thing gets, and what a pale one is raised to


def lab_of(photo: Photo) -> Float[np.ndarray, "height width 3"]:
    """CIE Lab: L from 0 to 100, a and b about -127 to 127."""
    return opencv().cvtColor(photo.astype(np.float32) / 255, opencv().COLOR_RGB2LAB)


def colour_name(photo: Photo, mask: Mask) -> str:
    """What the mean colour inside a mask is called: one of `HUES`, brown, or black, dark grey, grey, light grey, white.

    Raises:
        ValueError: when the mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no colour")
    light, a, b = (float(value) for value in lab_of(photo)[mask].mean(axis=0))
    chroma = float(np.hypot(a, b))
    if chroma < GREY_CHROMA or light < 8:
        names = ((18, "black"), (40, "dark grey"), (65, "grey"), (85, "light grey"), (101, "white"))
        return next(name for limit, name in names if light < limit)
    hue = float(np.degrees(np.arctan2(b, a)))
    name = min(HUES, key=lambda one: _apart(HUES[one], hue))
    warm = name in ("red", "orange", "yellow")
    return "brown" if warm and light < 52 and chroma < (38 if name == "red" else 52) else name


def recolour(photo: Photo, mask: Mask, name: str) -> Edited:
    """Gives a thing another hue: its mean hue is turned to that of a name, and a grey or pale thing gets more chroma.

    Args:
        photo: RGB.
        mask: the thing, not empty.
        name: one of `HUES`.

    Raises:
        KeyError: when the name is not one of `HUES`.
    """
    lab, to = lab_of(photo), np.radians(HUES[name])
    plane = lab[..., 1] + 1j * lab[..., 2]  # a hue is an angle, so a turn is a product
    mean = plane[mask].mean()
    if abs(mean) < GREY_CHROMA:
        plane = plane + CHROMA * np.exp(1j * to) - mean
    else:
        plane = plane * np.exp(1j * (to - np.angle(mean))) * max(1.0, CHROMA / abs(mean))
    lab[..., 1], lab[..., 2] = plane.real, plane.imag
    rgb = opencv().cvtColor(lab, opencv().COLOR_LAB2RGB)
    return feathered(photo, np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8), mask), mask


def far_hues(photo: Photo, mask: Mask) -> list[str]:
    """The names whose hue lies at least 70 degrees from the thing's; all of them when the thing is grey."""
    mean = lab_of(photo)[mask].mean(axis=0)
    if np.hypot(mean[1], mean[2]) < GREY_CHROMA:
        return list(HUES)
    hue = float(np.degrees(np.arctan2(mean[2], mean[1])))
    return [name for name, there in HUES.items() if _apart(there, hue) >= 70]


def _apart(one: float, other: float) -> float:
    """Degrees between two hues, 0 to 180."""
    return abs((one - other + 180) % 360 - 180)
