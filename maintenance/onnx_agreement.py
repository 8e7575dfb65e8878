"""Does tiny-llava say the same as ONNX? Tower and decoder exported, run by onnxruntime, compared with torch.

`python -m maintenance.onnx_agreement --out results/tiny-llava/onnx.json` needs onnx, onnxscript and onnxruntime. It
exports each shipped base in two files, the vision tower with its connector and the decoder, and compares the logits of
a prompt with two pictures, and of one with one, on scenes that no training has seen.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from mmhallu_core.evaluate.diorama.exam import held_out
from mmhallu_core.models.loading import SHIPPED
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.recorded import versions, write
from mmhallu_core.store import checkpoint_folder, sha256

BAR = 1e-4  # of the largest difference between two logits
SCENES = 20
QUESTIONS = ("Describe the image.", "What is different between the two images?")


class Tower(nn.Module):
    """Pixels [pictures, 3, 96, 96] to the features that stand in for the image tokens, [pictures, tokens, width]."""

    def __init__(self, llava: nn.Module) -> None:
        super().__init__()
        self.tower, self.connector = llava.model.vision_tower, llava.model.multi_modal_projector
        self.layer = llava.config.vision_feature_layer

    def forward(self, pixels):
        """The connector's output of the layer that the model reads, without the class token."""
        states = self.tower(pixels, output_hidden_states=True).hidden_states[self.layer]
        return self.connector(states[:, 1:])


class Decoder(nn.Module):
    """Embedded tokens [1, tokens, width] to logits [1, tokens, vocabulary]."""

    def __init__(self, llava: nn.Module) -> None:
        super().__init__()
        self.decoder, self.head = llava.model.language_model, llava.lm_head

    def forward(self, embedded):
        """All logits of one sequence, without a cache."""
        return self.head(self.decoder(inputs_embeds=embedded, use_cache=False).last_hidden_state)


def exported(module: nn.Module, example: torch.Tensor, dimension: int, path: Path) -> onnxruntime.InferenceSession:
    """The module as an ONNX file whose dimension number `dimension` is free, opened by onnxruntime."""
    shapes = ({dimension: torch.export.Dim("n", min=1)},)
    torch.onnx.export(module, (example,), path, dynamo=True, dynamic_shapes=shapes, input_names=["x"], verbose=False)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def largest_difference(vlm: Vlm, folder: Path) -> float:
    """The largest difference between torch's and onnxruntime's logits over all scenes and both kinds of prompt."""
    llava, found = vlm.model.eval(), 0.0
    data = list(held_out(2 * SCENES, split="onnx").images.values())
    tower = decoder = None
    for first, second in zip(data[::2], data[1::2], strict=True):
        for images, text in zip(([first], [first, second]), QUESTIONS, strict=True):
            inputs = vlm.encode([images], [vlm.prompt(text, len(images))])
            ids, pixels = inputs["input_ids"], inputs["pixel_values"]
            tower = tower or exported(Tower(llava), torch.cat([pixels, pixels])[:2], 0, folder / "tower.onnx")
            embedded = llava.get_input_embeddings()(ids)
            features = torch.from_numpy(tower.run(None, {"x": pixels.numpy()})[0])
            embedded[ids == llava.config.image_token_id] = features.flatten(0, 1)
            decoder = decoder or exported(Decoder(llava), embedded, 1, folder / "decoder.onnx")
            said = decoder.run(None, {"x": embedded.numpy()})[0]
            found = max(found, float(np.abs(said - llava(**inputs).logits.numpy()).max()))
    return found


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    models = {}
    for name in SHIPPED:
        with tempfile.TemporaryDirectory() as folder:
            difference = largest_difference(Vlm.load(name, "cpu"), Path(folder))
        models[name] = {
            "base_sha256": sha256(checkpoint_folder(name) / "model.safetensors"), "largest_difference": difference,
            "met": difference <= BAR,
        }  # fmt: skip
        print(name, json.dumps(models[name]))
    record = {
        "kind": "recomputed", "command": f"python -m maintenance.onnx_agreement --out {out}", "bar": BAR,
        "scenes": SCENES, "versions": versions(("torch", "transformers", "onnx", "onnxruntime")), "models": models,
    }  # fmt: skip
    write(record, out)


if __name__ == "__main__":
    main()
