"""What can be done to one thing in a photo, with OpenCV. Each returns new pixels and a mask of what changed.

A promise holds for all: **outside the mask that is returned, every byte is the photo's**. Blending is feathered inwards
only, so that an edge is soft and the promise still holds.

Colours are named and changed in CIE Lab (D65), where lightness is one axis and the other two are a plane of hue and
chroma: a new hue there leaves light and shade as they were.
"""

import numpy as np
from jaxtyping import Float

from mmhallu_core.edit.editors.cutouts import WORKING_SIDE, Mask, Photo, enlarge, opencv, shrink

Edited = tuple[Photo, Mask]

# Hue in the plane of a and b, in degrees: where each name is most itself in sRGB.
HUES = {
    "red": 35.0, "orange": 62.0, "yellow": 98.0, "green": 138.0, "teal": 195.0, "blue": 275.0, "purple": 318.0,
    "pink": 355.0,
}  # fmt: skip
GREY_CHROMA = 11.0  # below it, a colour is called by its lightness
CHROMA = 38.0  # what a grey thing gets, and what a pale one is raised to


def feathered(photo: Photo, new: Photo, mask: Mask) -> Photo:
    """New pixels inside a mask, fading into the photo's over a thin inner rim; the photo's bytes outside."""
    cv2 = opencv()
    rim = max(1.5, max(photo.shape[:2]) / 400)
    share = np.minimum(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) / rim, 1)[..., None]
    mixed = np.rint(photo * (1 - share) + new * share).astype(np.uint8)
    return np.where(mask[..., None], mixed, photo)


def grown(mask: Mask) -> Mask:
    """A mask with a margin for the soft edge and the halo of a thing: about one seventieth of the photo."""
    side = 2 * max(1, max(mask.shape) // 70) + 1
    cv2 = opencv()
    return cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0


def inpaint(photo: Photo, mask: Mask) -> Edited:
    """Fills the place of a thing from its rim inwards (Telea 2004). Good for small things on plain ground.

    Textures blur.
    """
    cv2, hole = opencv(), grown(mask)
    radius = max(3, max(photo.shape[:2]) // 200)
    filled = cv2.inpaint(np.ascontiguousarray(photo), hole.astype(np.uint8) * 255, radius, cv2.INPAINT_TELEA)
    return np.where(hole[..., None], filled, photo), hole


def similar_place(photo: Photo, mask: Mask, level: bool) -> tuple[int, int, float] | None:
    """The place that looks most like this place would without the thing.

    The thing is inpainted in a small copy; that patch, rim included, is compared with every other place (masked sum of
    squares, OpenCV's `matchTemplate`).

    Args:
        photo: RGB.
        mask: the thing.
        level: only places at nearly the same height, so that a copy keeps its distance from the camera.

    Returns:
        (dx, dy, difference): where it is from here, in pixels of the photo, and the root mean square difference of
        the two patches, 0 to 255; None when there is no other place in the photo.
    """
    cv2, small = opencv(), shrink(photo)
    thing = enlarge(mask, small.shape[:2])
    if not thing.any():
        return None
    plain, hole = inpaint(small, thing)
    ring = cv2.dilate(hole.astype(np.uint8), np.ones((9, 9), np.uint8))
    x, y, width, height = cv2.boundingRect(ring)
    window = np.s_[y : y + height, x : x + width]
    weight = np.repeat(ring[window][..., None], 3, axis=2).astype(np.float32)
    error = cv2.matchTemplate(
        small.astype(np.float32), np.ascontiguousarray(plain[window], np.float32), cv2.TM_SQDIFF, None, weight
    )
    down, across = np.ogrid[: error.shape[0], : error.shape[1]]
    taken = (abs(down - y) < height) & (abs(across - x) < width)
    if level:
        taken = taken | (abs(down - y) > small.shape[0] * 0.12)
    error[taken] = np.inf
    at = int(error.argmin())
    row, column = divmod(at, error.shape[1])
    if not np.isfinite(error[row, column]):
        return None
    scale = photo.shape[1] / small.shape[1]
    difference = float(np.sqrt(max(0.0, float(error[row, column])) / weight.sum()))
    return round((column - x) * scale), round((row - y) * scale), difference


def shifted(picture: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """What lies at (x + dx, y + dy) comes to (x, y); beyond the border the border pixels go on."""
    rows = np.clip(np.arange(picture.shape[0]) + dy, 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(picture.shape[1]) + dx, 0, picture.shape[1] - 1)
    return picture[rows][:, columns]


def patch_over(photo: Photo, mask: Mask, dx: int, dy: int) -> Edited:
    """Covers a thing with the ground from (dx, dy) away, fitted to its new rim by Poisson blending.

    Source: Perez, Gangnet and Blake, "Poisson image editing", SIGGRAPH 2003; OpenCV's `seamlessClone`.
    """
    cv2, hole = opencv(), grown(mask)
    border = [cv2.copyMakeBorder(p, 9, 9, 9, 9, cv2.BORDER_REPLICATE) for p in (shifted(photo, dx, dy), photo)]
    inside = cv2.copyMakeBorder(hole.astype(np.uint8) * 255, 9, 9, 9, 9, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.dilate(inside, np.ones((3, 3), np.uint8), iterations=3)  # seamlessClone first shrinks it by as much
    x, y, width, height = cv2.boundingRect(inside)
    centre = (x + width // 2, y + height // 2)
    cloned = cv2.seamlessClone(border[0], border[1], inside, centre, cv2.NORMAL_CLONE)[9:-9, 9:-9]
    return np.where(hole[..., None], cloned, photo), hole


def paste_copy(photo: Photo, mask: Mask, dx: int, dy: int) -> Edited:
    """Sets a second copy of a thing (dx, dy) away from the first, its edge feathered."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    rows, columns = rows + dy, columns + dx
    seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    place = np.zeros_like(mask)
    place[rows[seen], columns[seen]] = True
    return feathered(photo, shifted(photo, -dx, -dy), place), place


def rescale(photo: Photo, mask: Mask, factor: float, ground: Edited) -> Edited:
    """Makes a thing larger or smaller, standing on the same spot.

    Args:
        photo: RGB.
        mask: the thing.
        factor: of its height and width.
        ground: the photo without the thing; a smaller thing is set into it.
    """
    cv2 = opencv()
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    foot = (x + width / 2, float(y + height))
    matrix = np.array([[factor, 0, (1 - factor) * foot[0]], [0, factor, (1 - factor) * foot[1]]])
    size = (photo.shape[1], photo.shape[0])
    larger = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    place = cv2.warpAffine(mask.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR) >= 0.5
    base, hole = ground if factor < 1 else (photo, np.zeros_like(mask))
    return feathered(base, larger, place), place | hole


def texture(photo: Photo, mask: Mask) -> float:
    """How busy the ground around a thing is: the mean step between neighbouring pixels of a small copy, 0 to 255."""
    cv2, small = opencv(), shrink(photo)
    hole = grown(enlarge(mask, small.shape[:2])).astype(np.uint8)
    ring = (cv2.dilate(hole, np.ones((3, 3), np.uint8), iterations=WORKING_SIDE // 40) > 0) & (hole == 0)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    steps = abs(np.diff(grey, axis=0, append=grey[-1:])) + abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    return float(steps[ring].mean()) if ring.any() else 255.0


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
