"""Scenes drawn once and read many times: the pictures that pretraining looks at.

Drawing costs as much as a training step, so a run first draws a pool of scenes into its folder (about
28 kB each) and then asks new questions about the same pictures. The pool is made again from its seed.
"""

import functools
import json
import multiprocessing
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int8, UInt8
from tqdm.auto import tqdm

from mmhallu_core.models.tiny_llava import GRID, IMAGE_SIZE
from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import Scene

CELL = IMAGE_SIZE // GRID
CHUNK = 256
SEEN = 0.2  # a cell belongs to the thing that fills most of it, if that is at least this share
NOTHING = -1


@dataclass(frozen=True)
class PoolSpec:
    """What a pool holds: `scenes` single scenes, then `pairs` micro-edits (before, after), from one seed."""

    scenes: int
    pairs: int
    seed: int
    prior: float


def scene_seed(spec: PoolSpec, index: int) -> str:
    """The seed of training scene number `index`; no test set uses names that start with "pretrain"."""
    return f"pretrain/{spec.seed}/{index}"


@functools.lru_cache(maxsize=4096)
def pair_of(spec: PoolSpec, index: int):
    """Training micro-edit number `index`; the categories take turns."""
    return sample_edit(CATEGORIES[index % len(CATEGORIES)], f"pretrain/{spec.seed}/pair/{index}", prior=spec.prior)


def cells_of(masks: np.ndarray) -> Int8[np.ndarray, "cells"]:
    """Which thing each of the 8 x 8 cells shows (index into the scene's things), or NOTHING.

    Every visible thing gets at least the cell that shows most of it, however small it is.
    """
    count = len(masks)
    if count == 0:
        return np.full(GRID * GRID, NOTHING, np.int8)
    share = masks.reshape(count, GRID, CELL, GRID, CELL).mean(axis=(2, 4)).reshape(count, GRID * GRID)
    cells = np.where(share.max(axis=0) >= SEEN, share.argmax(axis=0), NOTHING).astype(np.int8)
    for index, row in enumerate(share):
        if row.max() > 0 and not (cells == index).any():
            cells[row.argmax()] = index
    return cells


def draw(scene: Scene) -> tuple[UInt8[np.ndarray, "h w 3"], Int8[np.ndarray, "cells"]]:
    """A scene's picture, and what each of its cells shows, see `cells_of`."""
    drawn = render(scene, IMAGE_SIZE)
    return np.array(drawn.image), cells_of(drawn.masks)


def _draw_chunk(spec: PoolSpec, start: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Draws pool entries start .. start + CHUNK; runs in a worker process."""
    total = spec.scenes + 2 * spec.pairs
    drawn = []
    for index in range(start, min(start + CHUNK, total)):
        if index < spec.scenes:
            drawn.append(draw(sample_scene(scene_seed(spec, index), spec.prior)))
        else:
            pair, second = divmod(index - spec.scenes, 2)
            edit = pair_of(spec, pair)
            drawn.append(draw(edit.after if second else edit.before))
    return start, np.stack([image for image, _ in drawn]), np.stack([cells for _, cells in drawn])


class Pool:
    """Pictures and cell labels of a `PoolSpec`, drawn into `folder` on first use, memory-mapped afterwards.

    Attributes:
        images: uint8 [scenes + 2 * pairs, 96, 96, 3].
        cells: int8 [scenes + 2 * pairs, 64], see `cells_of`.
    """

    def __init__(self, spec: PoolSpec, folder: Path) -> None:
        self.spec = spec
        done = folder / "pool.json"
        if not done.exists() or json.loads(done.read_text(encoding="utf-8")) != asdict(spec):
            self._fill(folder)
            done.write_text(json.dumps(asdict(spec)), encoding="utf-8")  # last: marks the pool as complete
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.cells = np.load(folder / "cells.npy")

    def _fill(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pool.json").unlink(missing_ok=True)
        spec, total = self.spec, self.spec.scenes + 2 * self.spec.pairs
        images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (total, IMAGE_SIZE, IMAGE_SIZE, 3))
        cells = np.full((total, GRID * GRID), NOTHING, np.int8)
        starts = range(0, total, CHUNK)
        workers = min(os.cpu_count() or 1, 8)
        with multiprocessing.get_context("spawn").Pool(workers) as processes:
            work = processes.imap_unordered(functools.partial(_draw_chunk, spec), starts)
            for start, chunk, cell_chunk in tqdm(work, total=len(starts), desc="drawing scenes", unit="chunk"):
                images[start : start + len(chunk)] = chunk
                cells[start : start + len(chunk)] = cell_chunk
        images.flush()
        np.save(folder / "cells.npy", cells)

    def scene(self, index: int) -> Scene:
        """The scene behind picture number `index` (single scenes only)."""
        return sample_scene(scene_seed(self.spec, index), self.spec.prior)
