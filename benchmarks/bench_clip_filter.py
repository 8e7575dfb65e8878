"""MED's CLIP filter should cost little more than the CLIP inside it.

Measured as a ratio: pictures per second of the filter on distinct, decoded pictures (resize, normalize, embed, compare)
over those of its vision tower alone, on tensors that are ready, in the same batches. Both have one thread, as in a
worker of the pipeline, and are timed in processor seconds, which other programs change little. ViT-B/32 is the size
that the paper uses; its weights are random here, which costs the same time. tiny-clip is so fast that preparing
pictures weighs more.

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
from paired import Verdict, judge, ratios, rounds, status
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from mmhallu_core.edit.stages.similarity import ClipEmbedder, TinyClipEmbedder, similarities

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


def compare(
    embed: Callable, tower: Callable, size: int, images: list[Image.Image], batch: int, bound: float
) -> Verdict:
    """The seconds of the tower over those of the filter."""
    parts = [images[start : start + batch] for start in range(0, len(images), batch)]
    tensors = [torch.randn(len(part), 3, size, size) for part in parts]

    def filtered(number: int) -> None:
        vectors = torch.cat([embed(part) for part in parts])
        (vectors[0::2] * vectors[1::2]).sum(dim=1).tolist()

    @torch.inference_mode()
    def alone(number: int) -> None:
        for tensor in tensors:
            tower(tensor)

    seconds = rounds({"filter": filtered, "tower": alone}, ROUNDS, time.process_time)
    speeds = (f"{len(images) / statistics.median(taken):.0f} by the {name}" for name, taken in seconds.items())
    print(f"    here {' and '.join(speeds)}, pictures per second")
    return judge(ratios(seconds, "tower", "filter"), at_least=bound)


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def saved_by_embedding_once(embedder: TinyClipEmbedder, pairs: int = 150, edits: int = 5) -> Verdict:
    """How many times as fast pairs with a common original are as pairs without."""
    files = [png(image) for image in pictures(2 * pairs, 96, 96)]
    apart = list(zip(files[:pairs], files[pairs:], strict=True))
    common = [(files[number // edits], files[pairs + number]) for number in range(pairs)]
    ways = {"apart": lambda number: similarities(embedder, apart)}
    ways["common"] = lambda number: similarities(embedder, common)
    return judge(ratios(rounds(ways, ROUNDS, time.process_time), "apart", "common"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("MED's CLIP filter on distinct, decoded pictures, over its vision tower alone", flush=True)
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        vit, name = vit_b_32(Path(scratch)), "ViT-B/32"
        tower = functools.partial(vision_tower, vit)
        found[name] = compare(vit.embed, tower, 224, pictures(16, 480, 360), 16, BOUNDS[name])
    tiny, name = TinyClipEmbedder(), "tiny-clip"
    found[name] = compare(tiny.embed, tiny.tower, 96, pictures(256, 96, 96), 64, BOUNDS[name])
    for name, verdict in found.items():
        print(f"  {name}, of the tower's speed (bound {BOUNDS[name]}): {verdict}")
    print(f"  five edits of each original, times as fast as pairs apart: {saved_by_embedding_once(tiny)}")
    sys.exit(status(list(found.values())))
