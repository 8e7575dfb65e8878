"""A model in this process as a client, so that a judge or an annotator needs no server."""

import threading
from typing import Any

import torch
from PIL import Image

from mmhallu_core.clients.client import BAD_REQUEST, CUT, CallFailed, Reply, Request, opened
from mmhallu_core.models.adapter_folders import weights_sha256
from mmhallu_core.models.greedy import generate, text_of
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun


class LocalClient:
    """Asks a `Vlm`, one request at a time and greedily. What the model is told about its task goes before the prompt.

    Args:
        vlm: the model.
    """

    def __init__(self, vlm: Vlm) -> None:
        self.vlm = vlm
        self.about: dict[str, Any] = {"kind": "local", "model": vlm.name, "weights": weights_sha256(vlm.model)}
        self._one_at_a_time = threading.Lock()

    @torch.inference_mode()
    def ask(self, request: Request) -> Reply:
        """Answers one request.

        Raises:
            CallFailed: when a picture is damaged, the prompt does not fit the model, or the reply reaches its limit.
            CannotRun: when the request wants a temperature.
        """
        if request.temperature:
            raise CannotRun(f"request {request.id}: a local model answers greedily; ask for temperature 0")
        images = [opened(image).image for image in request.images]
        prompt = request.prompt if request.system is None else f"{request.system}\n\n{request.prompt}"
        with self._one_at_a_time:
            return self._reply(request, images, prompt)

    def _reply(self, request: Request, images: list[Image.Image], prompt: str) -> Reply:
        try:
            inputs = self.vlm.encode([images], [self.vlm.prompt(prompt, len(images))], names=[request.id])
        except CannotRun as error:  # too long, or the prompt contains the image placeholder
            raise CallFailed(BAD_REQUEST, str(error)) from error
        tokens = generate(self.vlm.model, inputs, request.max_tokens)[0]
        asked, ends = inputs["input_ids"].shape[1], self.vlm.model.generation_config.eos_token_id
        new = tokens[asked:].tolist()
        text = text_of(self.vlm.processor.tokenizer, new, self.vlm.opens_thought)
        if len(new) >= request.max_tokens and new[-1] not in (ends if isinstance(ends, list) else [ends]):
            raise CallFailed(CUT, "the reply reached max_tokens; allow more", text)
        usage = {"prompt_tokens": asked, "completion_tokens": len(new), "total_tokens": asked + len(new)}
        return Reply(request.id, text, usage)
