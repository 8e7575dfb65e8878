"""tiny-clip: a CLIP for Diorama, built with open_clip and reading tiny-llava's tokens.

It measures how alike two pictures are (MED's filter) and how well a sentence fits a picture.
"""

import copy
import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from safetensors.torch import load_file
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmhallu_core.models.tiny_llava import IMAGE_SIZE, PATCH
from mmhallu_core.store import checkpoint_folder
from mmhallu_core.types import CannotRun

TEXT_CONTEXT = 96
WIDTH = 128


def clip_config(vocabulary: int) -> dict:
    """open_clip's description of the model: two towers of four and three layers, width 128."""
    return {
        "embed_dim": WIDTH,
        "vision_cfg": {
            "image_size": IMAGE_SIZE, "patch_size": PATCH, "width": WIDTH, "layers": 4, "head_width": 32,
            "mlp_ratio": 4.0,
        },
        "text_cfg": {
            "context_length": TEXT_CONTEXT, "vocab_size": vocabulary, "width": WIDTH, "heads": 4, "layers": 3,
            "eos_id": 2, "pool_type": "eos", "hf_tokenizer_name": "tiny-clip",  # open_clip then takes the folder's own
        },
    }  # fmt: skip


class TinyClip:
    """An open_clip model with its tokenizer.

    Attributes:
        model: `open_clip.CLIP`.
        tokenizer: tiny-llava's.
    """

    def __init__(self, config: dict, tokenizer: PreTrainedTokenizerFast) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.model = open_clip.CLIP(**config)

    @classmethod
    def load(cls, folder: Path | str | None = None) -> "TinyClip":
        """Loads the shipped model, or a folder that `save` wrote.

        Raises:
            CannotRun: when the folder holds no tiny-clip.
        """
        folder = checkpoint_folder("tiny-clip") if folder is None else Path(folder)
        if not (folder / "open_clip_config.json").exists():
            raise CannotRun(f"{folder} holds no tiny-clip; `mmhallu pretrain tiny-clip --out DIR` makes one")
        config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
        clip = cls(config, PreTrainedTokenizerFast.from_pretrained(folder))
        clip.model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
        clip.model.eval()
        return clip

    def tokens(self, texts: list[str]) -> Int[Tensor, "batch tokens"]:
        """Token ids, started, ended, cut to TEXT_CONTEXT and padded with 0."""
        rows = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        bos, eos, pad = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        rows = [[bos, *row[: TEXT_CONTEXT - 2], eos] for row in rows]
        return torch.tensor([row + [pad] * (TEXT_CONTEXT - len(row)) for row in rows])

    def pixels(self, images: list[Image.Image]) -> UInt8[Tensor, "batch height width 3"]:
        """Pictures resized to 96 px."""
        resized = [image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC) for image in images]
        return torch.from_numpy(np.stack([np.asarray(image) for image in resized]))

    @torch.inference_mode()
    def embed_images(self, images: list[Image.Image], batch_size: int = 128) -> Float[Tensor, "n width"]:
        """Projected, normalized picture embeddings; their dot product is the similarity that MED filters by."""
        parts = []
        for start in range(0, len(images), batch_size):
            pixels = self.pixels(images[start : start + batch_size]).permute(0, 3, 1, 2).float() / 127.5 - 1.0
            parts.append(self.model.encode_image(pixels, normalize=True))
        return torch.cat(parts)

    @torch.inference_mode()
    def embed_texts(self, texts: list[str]) -> Float[Tensor, "n width"]:
        """Projected, normalized text embeddings."""
        return self.model.encode_text(self.tokens(texts), normalize=True)

    def save(self, folder: Path) -> None:
        """Writes the folder in open_clip's form: its `create_model` and `get_tokenizer` read "local-dir:FOLDER" too."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
        config = {"model_cfg": self.config, "preprocess_cfg": preprocess}
        (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        weights = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        save_file(weights, str(folder / "open_clip_model.safetensors"))
        _framing(self.tokenizer).save_pretrained(folder)


def _framing(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """A copy that starts and ends a text by itself, and pads it behind: open_clip leaves that to the tokenizer."""
    framing, ends = copy.deepcopy(tokenizer), (tokenizer.bos_token, tokenizer.eos_token)
    framing.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{ends[0]} $A {ends[1]}", special_tokens=[(end, tokenizer.convert_tokens_to_ids(end)) for end in ends]
    )
    framing.padding_side = "right"
    return framing
