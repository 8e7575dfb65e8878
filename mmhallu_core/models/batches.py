"""Which samples go through a model together: as many pictures in each, and texts of like length."""

from collections.abc import Iterator, Sequence

from PIL import Image
from tqdm.auto import tqdm

Pictures = Image.Image | Sequence[Image.Image]  # those of one prompt


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
