"""MED's CLIP filter should cost little more than the CLIP inside it.

Measured as a ratio: pictures per second of the filter on distinct, decoded pictures (resize, normalize, embed, compare)
over those of its vision tower alone, on tensors that are ready, in the same batches. The two take turns, beginning with
the other each time, and medians are compared. Both have one thread, as in a worker of the pipeline, and are timed in
processor seconds, which other programs change little. ViT-B/32 is the size that the paper uses; its weights are random
here, which costs the same time. tiny-clip is so fast that preparing pictures weighs more.

A picture that comes in several pairs is embedded once. What that saves is measured apart, because it depends on the
data: here five edits of each original, read from PNG files, against as many pairs without a common picture.
"""

import functools
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from mmhallu_core.edit.similarity import ClipEmbedder, TinyClipEmbedder, similarities

BOUNDS = {"ViT-B/32": 0.9, "tiny-clip": 0.6}
ROUNDS = 5


def pictures(count: int, width: int, height: int) -> list[Image.Image]:
    """Distinct pictures with something to resize: smooth colours and some noise."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        small = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height))
        noise = random.integers(-8, 9, (height, width, 3))
        found.append(Image.fromarray(np.clip(np.asarray(small) + noise, 0, 255).astype(np.uint8)))
    return found


def vit_b_32(folder: Path) -> ClipEmbedder:
    """A CLIP whose vision tower is ViT-B/32 with random weights; the text tower, which is not used, is small."""
    text = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1}
    text |= {"vocab_size": 64, "bos_token_id": 0, "eos_token_id": 2}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text)).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return ClipEmbedder(str(folder))


def vision_tower(clip: ClipEmbedder, pixels: torch.Tensor) -> torch.Tensor:
    """What the filter asks of the model, on tensors that are ready."""
    return clip.model.visual_projection(clip.model.vision_model(pixel_values=pixels).pooler_output)


def compare(embed: Callable, tower: Callable, size: int, images: list[Image.Image], batch: int) -> float:
    """The median seconds of the tower over those of the filter."""
    parts = [images[start : start + batch] for start in range(0, len(images), batch)]
    tensors = [torch.randn(len(part), 3, size, size) for part in parts]

    def filtered() -> None:
        vectors = torch.cat([embed(part) for part in parts])
        (vectors[0::2] * vectors[1::2]).sum(dim=1).tolist()

    @torch.inference_mode()
    def alone() -> None:
        for tensor in tensors:
            tower(tensor)

    ways, seconds = {"filter": filtered, "tower": alone}, {"filter": [], "tower": []}
    for number in range(-1, ROUNDS):  # the first round warms up
        for name in sorted(ways, reverse=bool(number % 2)):
            started = time.process_time()
            ways[name]()
            if number >= 0:
                seconds[name].append(time.process_time() - started)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    rounds = [fast / slow for slow, fast in zip(seconds["filter"], seconds["tower"], strict=True)]
    speeds = " and ".join(f"{len(images) / medians[name]:.0f} by the {name}" for name in ways)
    print(f"    here {speeds}, pictures per second; rounds from {min(rounds):.2f} to {max(rounds):.2f}")
    return medians["tower"] / medians["filter"]


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def saved_by_embedding_once(embedder: TinyClipEmbedder, pairs: int = 150, edits: int = 5) -> float:
    """How many times as fast pairs with a common original are as pairs without."""
    files = [png(image) for image in pictures(2 * pairs, 96, 96)]
    apart = list(zip(files[:pairs], files[pairs:], strict=True))
    common = [(files[number // edits], files[pairs + number]) for number in range(pairs)]
    seconds = {"apart": [], "common": []}
    for number in range(ROUNDS):
        for name in sorted(seconds, reverse=bool(number % 2)):
            started = time.process_time()
            similarities(embedder, apart if name == "apart" else common)
            seconds[name].append(time.process_time() - started)
    return statistics.median(seconds["apart"]) / statistics.median(seconds["common"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("MED's CLIP filter on distinct, decoded pictures, over its vision tower alone", flush=True)
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        vit = vit_b_32(Path(scratch))
        found["ViT-B/32"] = compare(vit.embed, functools.partial(vision_tower, vit), 224, pictures(16, 480, 360), 16)
    tiny = TinyClipEmbedder()
    found["tiny-clip"] = compare(tiny.embed, tiny.tower, 96, pictures(256, 96, 96), 64)
    for name, ratio in found.items():
        print(f"  {name:<10} {ratio:.2f} of the tower's speed (bound {BOUNDS[name]})")
    print(f"  five edits of each original are {saved_by_embedding_once(tiny):.2f} times as fast as pairs apart")
    sys.exit(any(found[name] < bound for name, bound in BOUNDS.items()))
