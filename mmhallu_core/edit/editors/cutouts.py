"""Where is a thing in a photo? Masks without a trained detector.

Photos come without masks, and a laptop without a network has no segmentation model. But a thing that can be edited
well is the easy case: one colour against another, whole, not too large, not cut by the frame. So:

1. **Regions.** The photo, made small, is quantised to a few colours (k-means in CIE Lab). Connected patches of one
   colour that are compact and stand out from what surrounds them are candidates, each with its box.
2. **GrabCut** (Rother, Kolmogorov and Blake, SIGGRAPH 2004; OpenCV's `grabCut`) in that box: two mixtures of Gaussians
   and a graph cut find the outline. Only its largest piece is kept, holes filled. Where GrabCut loses the thing, the
   patch itself is kept, behind the others.
3. **Order.** Masks that are compact and stand out come first.

The same photo and seed give the same masks. What is found is *something*, not a named object: a wheel, a window, a
pillow. A caller who knows better gives a mask.
"""

from types import ModuleType

import numpy as np
from jaxtyping import Bool, UInt8

from mmhallu_core.types import CannotRun

Photo = UInt8[np.ndarray, "height width 3"]  # RGB
Mask = Bool[np.ndarray, "height width"]

WORKING_SIDE = 240  # pixels of the longer side while searching; outlines are then scaled up
COLOURS = (4, 7, 10)  # coarse, middle, fine: a bus is one patch in the first, its stripe in the last
AREA = (0.005, 0.12)  # of the photo: smaller is not seen, larger is no micro-edit
COMPACT = 0.55  # area over the area of the convex hull; a letter L has 0.6
CONTRAST = 35.0  # least distance to the ring around it, in 8-bit Lab units; at 20, a third of edits was hard to see
LIGHT = (28, 220)  # mean of 255: a deep shadow is no thing, nor is an overexposed window or sky
CANDIDATES = 10


def opencv() -> ModuleType:
    """OpenCV, which only photo editing needs.

    Raises:
        CannotRun: when it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise CannotRun(f"editing photos needs OpenCV ({error}): pip install 'mmhallu[edit]'") from error
    return cv2


def find_things(photo: Photo, seed: int) -> list[Mask]:
    """Masks of things that stand out, best first; none when the photo is too busy or too plain.

    Args:
        photo: RGB, at least 32 pixels a side.
        seed: of the colour clustering and of GrabCut.
    """
    cv2, small = opencv(), shrink(photo)
    found: list[tuple[float, Mask]] = []
    for patch in _patches(small, seed):
        x, y, width, height = cv2.boundingRect(patch.astype(np.uint8))
        mask = _grab(small, (x - 2, y - 2, x + width + 2, y + height + 2), seed, patch)
        worth = _worth(small, mask)
        if worth is None:  # GrabCut lost it, or took in too much: the patch stays, behind all that GrabCut found
            mask, worth = patch, contrast(small, patch) - 1000
        if not any(_overlap(mask, other) > 0.5 for _, other in found):
            found.append((worth, mask))
    found.sort(key=lambda pair: -pair[0])
    return [enlarge(mask, photo.shape[:2]) for _, mask in found]


def shrink(photo: Photo) -> UInt8[np.ndarray, "small_height small_width 3"]:
    """The photo with its longer side at most `WORKING_SIDE`, by area averages."""
    scale = WORKING_SIDE / max(photo.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(photo)
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    return opencv().resize(photo, size, interpolation=opencv().INTER_AREA)


def enlarge(mask: Mask, shape: tuple[int, int]) -> Bool[np.ndarray, "new_height new_width"]:
    """A mask at (height, width) pixels, its outline smoothed on the way."""
    size = (shape[1], shape[0])
    return opencv().resize(mask.astype(np.float32), size, interpolation=opencv().INTER_LINEAR) >= 0.5


def contrast(photo: Photo, mask: Mask) -> float:
    """How far the thing's mean colour lies from that of a ring around it, in OpenCV's 8-bit Lab units."""
    cv2, kernel = opencv(), np.ones((3, 3), np.uint8)
    lab, inside = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB).astype(np.float32), mask.astype(np.uint8)
    near, far = cv2.dilate(inside, kernel) > 0, cv2.dilate(inside, kernel, iterations=6) > 0
    ring = far & ~near
    return float(np.linalg.norm(lab[mask].mean(0) - lab[ring].mean(0))) if mask.any() and ring.any() else 0.0


def _patches(small: Photo, seed: int) -> list[Mask]:
    """Connected patches of one colour that could be things, those that stand out first."""
    cv2 = opencv()
    lab = cv2.medianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), 5).astype(np.float32)
    lab[..., 0] *= 0.6  # light and shade count less than colour
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 1.0)
    found: list[tuple[float, Mask]] = []
    for count in COLOURS:
        cv2.setRNGSeed(seed % 2**31)
        _, label, _ = cv2.kmeans(lab.reshape(-1, 3), count, None, stop, 1, cv2.KMEANS_PP_CENTERS)
        for colour in range(count):
            same = (label.reshape(small.shape[:2]) == colour).astype(np.uint8)
            same = cv2.morphologyEx(same, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            pieces, piece, boxes, _ = cv2.connectedComponentsWithStats(same)
            for k in range(1, pieces):
                if _fits(boxes[k], small.shape[:2]):
                    mask = _filled(piece == k)
                    worth = _worth(small, mask)
                    found += [] if worth is None else [(worth, mask)]
    found.sort(key=lambda pair: -pair[0])
    kept: list[Mask] = []
    for _, mask in found:
        if len(kept) < CANDIDATES and all(_overlap(mask, other) < 0.5 for other in kept):
            kept.append(mask)
    return kept


def _fits(box: np.ndarray, shape: tuple[int, int]) -> bool:
    """Whether a piece (x, y, width, height, area) is of a good size and away from the frame."""
    x, y, width, height, area = (int(value) for value in box)
    apart = min(x, y, shape[1] - x - width, shape[0] - y - height) >= 3
    return apart and AREA[0] <= area / (shape[0] * shape[1]) <= AREA[1] and min(width, height) >= 8


def _grab(small: Photo, box: tuple[int, int, int, int], seed: int, patch: Mask) -> Mask:
    """GrabCut in a box, looking at the box and half its size around; it starts from the patch."""
    cv2, (rows, columns) = opencv(), small.shape[:2]
    x0, y0, x1, y1 = max(0, box[0]), max(0, box[1]), min(columns, box[2]), min(rows, box[3])
    margin = max(6, min(x1 - x0, y1 - y0) // 2)
    view = np.s_[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]
    state = np.full((rows, columns), cv2.GC_BGD, np.uint8)
    state[y0:y1, x0:x1] = cv2.GC_PR_BGD
    state[patch] = cv2.GC_PR_FGD
    whole, state = np.zeros((rows, columns), bool), np.ascontiguousarray(state[view])
    if (state == cv2.GC_BGD).sum() >= 5 and (state == cv2.GC_PR_FGD).sum() >= 5:  # five Gaussians for each
        cv2.setRNGSeed(seed % 2**31)
        empty = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(np.ascontiguousarray(small[view]), state, None, *empty, 3, cv2.GC_INIT_WITH_MASK)
        whole[view] = _filled((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD))
    return whole


def _filled(mask: Mask) -> Mask:
    """The largest piece of a mask without its thin threads, its holes filled."""
    cv2 = opencv()
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn = np.zeros(mask.shape, np.uint8)
    if outlines:
        cv2.drawContours(drawn, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return drawn > 0


def _worth(small: Photo, mask: Mask) -> float | None:
    """How well a mask could be edited: colour contrast plus compactness; None when it could not be."""
    cv2 = opencv()
    if not AREA[0] <= mask.mean() <= AREA[1]:
        return None
    stands_out = contrast(small, mask)
    if stands_out < CONTRAST or not LIGHT[0] <= small[mask].mean() <= LIGHT[1]:
        return None
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    compact = float(mask.sum()) / max(1.0, cv2.contourArea(cv2.convexHull(np.concatenate(outlines))))
    return None if compact < COMPACT else stands_out + 80 * min(1.0, compact)


def _overlap(one: Mask, other: Mask) -> float:
    """Shared pixels over all pixels of two masks."""
    return float((one & other).sum() / max(1, (one | other).sum()))
