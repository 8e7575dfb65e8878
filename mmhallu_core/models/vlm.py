"""Ask a vision-language model about pictures, in batches.

One small class over transformers' image-text-to-text models: load a folder or one of the shipped names, then
`answer` questions. What a chapter does with tiny-llava it does with any LLaVA-type model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from tqdm.auto import tqdm
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from mmhallu_core.store import checkpoint_folder
from mmhallu_core.types import CannotRun

SHIPPED = ("tiny-llava", "tiny-llava-control")


def open_image(path: Path | str) -> Image.Image:
    """Reads a picture as RGB.

    Raises:
        CannotRun: when the file is missing or is not a complete picture.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise CannotRun(f"there is no picture at {path}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise CannotRun(f"{path} cannot be read as a picture ({error}); save it again as PNG or JPEG") from None


def pick_device(name: str | None = None) -> torch.device:
    """The device to run on: `name` when given, else CUDA when there is one, else the CPU (mps only on request)."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


@dataclass
class Vlm:
    """A model with its processor.

    Attributes:
        name: what it was loaded as.
        model: any of transformers' image-text-to-text models.
        processor: its processor, with a chat template.
    """

    name: str
    model: PreTrainedModel
    processor: ProcessorMixin

    @classmethod
    def load(cls, name: str | Path = "tiny-llava", device: str | None = None) -> "Vlm":
        """Loads a shipped model by name, or any folder that `from_pretrained` reads.

        Raises:
            CannotRun: when the folder is not there or is not a model.
        """
        folder = checkpoint_folder(str(name)) if str(name) in SHIPPED else Path(name)
        if not (folder / "config.json").exists():
            raise CannotRun(f"{name} is neither a shipped model ({', '.join(SHIPPED)}) nor a folder with a config.json")
        try:
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CannotRun(f"{folder} does not load as an image-text-to-text model: {error}") from None
        return cls(str(name), model.to(pick_device(device)).eval(), processor)

    def prompt(self, question: str, images: int = 1) -> str:
        """The model's chat form of one question about some pictures."""
        content = [{"type": "image"}] * images + [{"type": "text", "text": question}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    @torch.inference_mode()
    def answer(
        self,
        images: Sequence[Image.Image | Sequence[Image.Image]],
        questions: Sequence[str],
        max_new_tokens: int = 100,
        batch_size: int = 32,
        progress: str | None = None,
    ) -> list[str]:
        """Greedy answers to questions, one picture (or one sequence of pictures) for each.

        Args:
            images: as many as questions.
            questions: plain text; the chat template is applied here.
            max_new_tokens: where to cut an answer that does not end.
            batch_size: questions per forward pass; those with the same number of pictures go together.
            progress: label of a progress bar, none when None.

        Raises:
            ValueError: when there are not as many pictures as questions.
        """
        groups = [[one] if isinstance(one, Image.Image) else list(one) for one in images]
        if len(groups) != len(questions):
            raise ValueError(f"{len(groups)} pictures for {len(questions)} questions")
        order = sorted(range(len(questions)), key=lambda i: (len(groups[i]), len(questions[i])))
        answers = [""] * len(questions)
        starts = range(0, len(order), batch_size)
        for start in tqdm(starts, desc=progress, disable=progress is None, unit="batch"):
            rows = order[start : start + batch_size]
            inputs = self.processor(
                images=[image for i in rows for image in groups[i]],
                text=[self.prompt(questions[i], len(groups[i])) for i in rows],
                padding=True,
                return_tensors="pt",
            ).to(self.model.device)
            new = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
            texts = self.processor.batch_decode(new[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            for i, text in zip(rows, texts, strict=True):
                answers[i] = text.strip()
        return answers
