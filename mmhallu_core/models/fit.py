"""Pictures on their way into a model: which go together, what a processor cuts off of them, and padding instead.

CLIP's processor, and LLaVA-1.5's, cuts a square out of the middle: of a picture twice as wide as high the outer
quarters are never seen. LLaVA's own program pads to a square with the processor's mean colour, which shows all of it,
smaller. One model, two scores: so what is cut is said, and which of the two was done is recorded.

Source of the padding: `expand2square` in LLaVA's `mm_utils.py`, and the `image_aspect_ratio` "pad" of its checkpoints.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from mmhallu_core.data.decode import say_once
from mmhallu_core.models.image_tokens import WHOLE, Box, Size
from mmhallu_core.types import CannotRun

Pictures = Image.Image | Sequence[Image.Image]  # those of one prompt
PROCESSOR, PAD = "processor", "pad"
FITS = (PROCESSOR, PAD)
LEAST = 0.005  # a share below it is a rounding of pixels


def require_fit(fit: str) -> None:
    """Raises CannotRun for a word that is none of `FITS`."""
    if fit not in FITS:
        raise CannotRun(f"no way to fit a picture called {fit!r}; choose one of {', '.join(FITS)}")


def center_crop(images: Any, size: Size) -> Box:
    """The part of a picture that is left when its short side is fitted and the middle is cut out.

    Args:
        images: an image processor of CLIP's kind.
        size: height and width of the picture.

    Returns:
        x0 y0 x1 y1 as shares of the picture.
    """
    if not getattr(images, "do_center_crop", False):
        return WHOLE
    height, width = size
    short = images.size.get("shortest_edge")
    if short is None:
        height, width = images.size["height"], images.size["width"]
    else:
        height, width = height * short / min(size), width * short / min(size)
    top, left = (1 - images.crop_size["height"] / height) / 2, (1 - images.crop_size["width"] / width) / 2
    return (left, top, 1 - left, 1 - top)


def cut_share(images: Any, size: Size) -> float:
    """The share of a picture that `center_crop` leaves out, 0 where it is next to nothing."""
    left, top, right, bottom = center_crop(images, size)
    seen = (min(right, 1) - max(left, 0)) * (min(bottom, 1) - max(top, 0))
    return 1 - seen if 1 - seen >= LEAST else 0.0


def say_cut(name: str, images: Any, pictures: Iterable[Image.Image]) -> None:
    """Says once for each model which share of a picture it never sees; of several pictures, the largest share."""
    pictures = list(pictures)
    share, size = max(((cut_share(images, one.size[::-1]), one.size) for one in pictures), default=(0.0, (0, 0)))
    if share:
        say_once(
            f"{name} cuts",
            f"{name} cuts a square out of the middle of a picture: {share:.0%} of one of {size[0]} x {size[1]} pixels "
            "is never seen. With --fit pad (`ask`, `eval`, `med build`) it is seen whole, and smaller. (Said once.)",
        )


def fitted(image: Image.Image, images: Any, fit: str) -> Image.Image:
    """A picture as a processor shall get it: `padded`, or as it is."""
    return padded(image, images) if fit == PAD else image


def padded(image: Image.Image, images: Any) -> Image.Image:
    """The picture in the middle of a square of the processor's mean colour; a square picture as it is.

    Args:
        image: RGB.
        images: the image processor.
    """
    wide, high = image.size
    if wide == high:
        return image
    side = max(wide, high)
    colour = tuple(int(255 * part) for part in getattr(images, "image_mean", None) or (0.5, 0.5, 0.5))
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - wide) // 2, (side - high) // 2))
    return square


def picture_groups(images: Sequence[Pictures], prompts: int) -> list[list[Image.Image]]:
    """The pictures of each prompt as lists.

    Raises:
        ValueError: when there are not as many entries as prompts.
    """
    groups = [[one] if isinstance(one, Image.Image) else list(one) for one in images]
    if len(groups) != prompts:
        raise ValueError(f"{len(groups)} pictures for {prompts} questions")
    return groups


def batches(
    groups: list[list[Image.Image]], lengths: Sequence[int], size: int, progress: str | None
) -> Iterator[list[int]]:
    """Numbers of samples in batches: as many pictures in each, and of like length, so that little is padding.

    Args:
        groups: the pictures of each sample.
        lengths: how long each sample's text is.
        size: samples a batch, at most.
        progress: label of a progress bar, none when None.
    """
    order = sorted(range(len(groups)), key=lambda i: (len(groups[i]), lengths[i]))
    found: list[list[int]] = []
    for i in order:
        if not found or len(found[-1]) == size or len(groups[found[-1][0]]) != len(groups[i]):
            found.append([])
        found[-1].append(i)
    yield from tqdm(found, desc=progress, disable=progress is None, unit="batch")
