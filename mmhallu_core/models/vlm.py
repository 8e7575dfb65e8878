"""Ask a vision-language model about pictures, in batches, whatever family it is of.

`Vlm` holds a model with its processor. `encode` turns pictures and prompts into what the model reads, `answer`
writes answers, `image_tokens` says which tokens are which part of a picture; see also `score.py` and `record.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from PIL import Image
from transformers import BatchFeature, PreTrainedModel, ProcessorMixin

from mmhallu_core.data.answers import OPEN, split_thought
from mmhallu_core.models.adapter_folders import adapter_folder, base_hash, chain
from mmhallu_core.models.edits import EditStack, edit_base
from mmhallu_core.models.families import Family, family_of
from mmhallu_core.models.fit import Pictures, batches, cut_share, picture_groups, say_cut
from mmhallu_core.models.greedy import Decoding, generate, own_settings, text_of
from mmhallu_core.models.image_tokens import ImageTokens, locate
from mmhallu_core.models.loading import SHIPPED, load_parts, pick_device
from mmhallu_core.types import CannotRun

__all__ = ["SHIPPED", "Pictures", "Vlm", "pick_device"]


@dataclass
class Vlm:
    """A model with its processor.

    Attributes:
        name: what it was loaded as.
        model: any of transformers' image-text-to-text models of a known family.
        processor: its processor, with a chat template.
        adapters: folders of the adapters that were added into its weights, in their order.
        keep_generation_config: let the model's own settings for writing act, see `greedy.py`.
        edits: the edits that are in its weights and can be taken out; None where there are none.
        decoding: greedy search, or one of `methods/baselines` around it.
    """

    name: str
    model: PreTrainedModel
    processor: ProcessorMixin
    adapters: tuple[Path, ...] = ()
    keep_generation_config: bool = False
    edits: EditStack | None = None
    decoding: Decoding = Decoding()

    @classmethod
    def load(
        cls,
        name: str | Path = "tiny-llava",
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        device_map: str | dict[str, Any] | None = None,
        attention: str | None = None,
        adapters: Sequence[Path | str] = (),
        edits: Sequence[Path | str] = (),
    ) -> "Vlm":
        """Loads a shipped model by name, a folder that `from_pretrained` reads, or a model of the hub by its id.

        The folder of an adapter is a model too: its base model, with the adapter's changes added into its weights.
        That base may be such a folder again. The processor is the base model's. The folder of an edit is a model, too.

        Args:
            name: such as "tiny-llava", "runs/mine" or "HuggingFaceTB/SmolVLM-Instruct".
            device: "cpu", "cuda", ...; CUDA when there is one and neither this nor `device_map` is given.
            dtype: such as "bfloat16"; what the files say when None.
            device_map: how `accelerate` should spread the model over devices, such as "auto".
            attention: "sdpa", "eager", "flash_attention_2", ...; what suits the machine when None.
            adapters: folders of adapters to add, one after the other, whatever base model they name themselves.
            edits: folders of edits to put in after them, see `edits.py`.

        Raises:
            CannotRun: when there is no such model, its files are damaged, its family is not known, or an adapter does
                not fit; see `adapters.put_on`.
        """
        if (base := edit_base(name)) is not None:
            return cls.load(base, device, dtype, device_map, attention, adapters, [name, *edits])
        base, own = chain(name)
        try:
            model, processor = load_parts(base, device, dtype, device_map, attention)
        except CannotRun as error:
            if not own:
                raise
            raise CannotRun(f"{name} is an adapter, and its base model does not load: {error}") from error
        family_of(model)
        vlm = cls(base, model, processor)
        for folder in own:
            vlm = vlm.with_adapter(folder)
        vlm.name = str(name)
        for folder in adapters:
            vlm = vlm.with_adapter(folder)
        if edits:
            vlm.edits = EditStack(vlm.model, base_hash(vlm.model, vlm.adapters), edits)
            vlm.name = " with ".join([vlm.name, *(Path(folder).name for folder in edits)])
        return vlm

    def with_adapter(self, folder: Path | str) -> "Vlm":
        """The model with an adapter added into its weights, before any edits; see `adapters.put_on`. It is used up."""
        from mmhallu_core.models.adapters import put_on  # here, not above: peft takes a while to import

        if self.edits and self.edits.edits:
            raise CannotRun("an adapter goes in before edits: take the edits out first, or load both in one call")
        folder = adapter_folder(folder) or Path(folder)
        model = put_on(self.model, folder, self.adapters).eval()
        return Vlm(f"{self.name} with {folder.name}", model, self.processor, (*self.adapters, folder))

    @property
    def family(self) -> Family:
        """Where things are in this model."""
        return family_of(self.model)

    def prompt(self, question: str, images: int = 1, answer: str | None = None) -> str:
        """The model's chat form of a question about some pictures; with `answer`, of both turns of the conversation."""
        content = [{"type": "image"}] * images + [{"type": "text", "text": question}]
        turns = [{"role": "user", "content": content}]
        if answer is not None:
            turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        return self.chat(turns, asks=answer is None)

    def chat(self, turns: list[dict[str, Any]], asks: bool = False) -> str:
        """The model's chat form of some messages; with `asks`, up to where its next answer begins.

        Raises:
            CannotRun: when the model's chat template cannot write them.
        """
        try:
            return self.processor.apply_chat_template(turns, add_generation_prompt=asks)
        except (TemplateError, TypeError, ValueError) as error:
            raise CannotRun(
                f"the chat template of {self.name} cannot write a question with pictures ({error}); get the model's "
                "chat_template.jinja again, or put one that takes pictures beside its config.json"
            ) from error

    @property
    def opens_thought(self) -> bool:
        """Whether the chat form itself begins a thought, so that what the model writes begins inside of one."""
        return self.prompt("?", 0).rstrip().endswith(OPEN)

    @property
    def generation(self) -> dict[str, Any]:
        """For a result: the model's own settings for writing (`settings`), whether they act, and another `decode`."""
        found = {"kept": self.keep_generation_config, "settings": own_settings(self.model)}
        return found | ({"decode": self.decoding.about} if self.decoding.about else {})

    def cut_share(self, image: Image.Image) -> float:
        """The share of a picture that the processor cuts off at its edges, so that the model never sees it."""
        return cut_share(self.processor.image_processor, image.size[::-1]) if self.family.cuts else 0.0

    def encode(
        self,
        images: Sequence[Pictures],
        prompts: Sequence[str],
        side: str = "left",
        names: Sequence[str] | None = None,
    ) -> BatchFeature:
        """What the model reads, on its device and in its dtype: `input_ids` (batch, tokens), pixels, and the rest.

        Args:
            images: for each prompt its picture, or the sequence of its pictures.
            prompts: in the model's chat form, see `prompt`.
            side: where short rows are padded: "left" to generate, "right" to train or score.
            names: what to call the samples in an error; their numbers when None.

        Raises:
            ValueError: when there are not as many pictures as prompts.
            CannotRun: when a prompt contains the image placeholder, or is longer than the model reads, so that nothing
                is ever cut; the message names the sample.
        """
        groups = picture_groups(images, len(prompts))
        names = [str(i) for i in range(len(prompts))] if names is None else names
        if self.family.cuts:
            say_cut(self.name, self.processor.image_processor, [one for group in groups for one in group])
        for name, group, text in zip(names, groups, prompts, strict=True):
            mark = self.processor.image_token
            if (marks := text.count(mark)) != len(group):
                found = f"the prompt contains the image placeholder {mark} {marks} times"
                raise CannotRun(f"sample {name}: {len(group)} pictures, but {found}")
        options: dict[str, Any] = {"padding": True, "padding_side": side, "return_tensors": "pt"}
        options |= self.special_tokens(prompts)
        try:
            inputs = self._process(groups, prompts, options)
        except (ValueError, TypeError):  # Idefics3's looks for the lost tokens and finds None
            self._blame(groups, prompts, options, names)
            raise
        self._require_room(inputs, groups, names)
        return inputs.to(self.model.device, dtype=self.model.dtype)

    def special_tokens(self, prompts: Sequence[str]) -> dict[str, bool]:
        """What to tell the tokenizer of prompts in chat form, so that each begins with one begin-of-text token.

        Llama's tokenizers put one before every text, and the chat templates of some families write it too. Where the
        prompts have theirs, the tokenizer adds none, as in `apply_chat_template(tokenize=True)`.
        """
        bos = self.processor.tokenizer.bos_token
        return {"add_special_tokens": bos is None or not all(text.startswith(bos) for text in prompts)}

    def image_tokens(
        self, inputs: BatchFeature, images: Sequence[Pictures], names: Sequence[str] | None = None
    ) -> list[list[ImageTokens]]:
        """Which tokens of each prompt are which part of which picture.

        Args:
            inputs: what `encode` made of them.
            images: as given to `encode`.
            names: what to call the samples in an error.

        Returns:
            For each prompt, one `ImageTokens` for each of its pictures.

        Raises:
            CannotRun: when image tokens are missing, or the family does not turn pictures into tokens.
        """
        if self.family.image_positions is None:
            raise CannotRun(f"{self.name} looks at pictures by cross-attention: none of its tokens is a picture")
        groups = picture_groups(images, len(inputs["input_ids"]))
        sizes = [[(image.height, image.width) for image in group] for group in groups]
        return locate(self.family.image_positions, self.processor, inputs, sizes, names)

    def answer(
        self,
        images: Sequence[Pictures],
        questions: Sequence[str],
        max_new_tokens: int = 100,
        batch_size: int = 32,
        progress: str | None = None,
    ) -> list[str]:
        """Greedy answers to questions, one picture (or one sequence of pictures) for each.

        What a model thinks aloud is not part of its answer; an answer that is cut before it begins is empty.

        Args:
            images: as many as questions.
            questions: plain text; the chat template is applied here.
            max_new_tokens: where to cut an answer that does not end.
            batch_size: questions per forward pass; those with the same number of pictures go together.
            progress: label of a progress bar, none when None.

        Raises:
            ValueError: when there are not as many pictures as questions.
            CannotRun: see `encode`; samples are named by their number.
        """
        return [split_thought(text)[0] for text in self.say(images, questions, max_new_tokens, batch_size, progress)]

    @torch.inference_mode()
    def say(
        self,
        images: Sequence[Pictures],
        questions: Sequence[str],
        max_new_tokens: int = 100,
        batch_size: int = 32,
        progress: str | None = None,
    ) -> list[str]:
        """As `answer`, with what the model thought aloud, between its tags; see `data.answers.split_thought`."""
        groups, said, opened = picture_groups(images, len(questions)), [""] * len(questions), self.opens_thought
        for rows in batches(groups, [len(question) for question in questions], batch_size, progress):
            inputs = self.encode(
                [groups[i] for i in rows],
                [self.prompt(questions[i], len(groups[i])) for i in rows],
                names=[str(i) for i in rows],
            )
            with self.decoding.begin(self, inputs) as (read, steps):
                new = generate(self.model, read, max_new_tokens, self.keep_generation_config, logits_processor=steps)
            for i, ids in zip(rows, new[: len(rows), inputs["input_ids"].shape[1] :].tolist(), strict=True):
                said[i] = text_of(self.processor.tokenizer, ids, opened)
        return said

    def _process(self, groups: list[list[Image.Image]], prompts: Sequence[str], options: dict) -> BatchFeature:
        """Calls the processor. The nesting matters: some families lay out a picture by how many it stands beside."""
        return self.processor(images=groups if any(groups) else None, text=list(prompts), **options)

    def _blame(self, groups: list[list[Image.Image]], prompts: Sequence[str], options: dict, names: Sequence[str]):
        """Raises for the first sample that the processor refuses by itself."""
        for name, group, text in zip(names, groups, prompts, strict=True):
            try:
                self._process([group], [text], options)
            except (ValueError, TypeError) as error:
                raise CannotRun(f"sample {name} cannot be encoded: {error}") from error

    def _require_room(self, inputs: BatchFeature, groups: list[list[Image.Image]], names: Sequence[str]) -> None:
        """Raises when a prompt has more tokens than the decoder has positions."""
        most = self.model.config.get_text_config().max_position_embeddings
        for name, group, tokens in zip(names, groups, inputs["attention_mask"].sum(1).tolist(), strict=True):
            if tokens > most:
                raise CannotRun(
                    f"sample {name}: {len(group)} pictures and their text make {tokens} tokens; {self.name} reads "
                    f"{most}. Give fewer pictures, or a shorter text."
                )
