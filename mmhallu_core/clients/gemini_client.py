"""Gemini's image models over their own HTTP form, as a client: a picture and words go in, a picture comes out.

    POST {base}/models/{model}:generateContent     x-goog-api-key: the key, from GEMINI_API_KEY

    {"contents": [{"parts": [{"text": ...}, {"inlineData": {"mimeType": "image/png", "data": base64}}]}],
     "generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "4:3"}}}

The reply has `candidates`, the first one with `content.parts`; one of them may hold `inlineData`. When the model, or a
filter behind it, declines, the status is still 200: `finishReason` or `promptFeedback.blockReason` tells. A `Reply`
holds the picture as a `data:` URL, so that a journal keeps it like any other reply; when there is no picture, it holds
the words that came instead, and whoever wanted a picture must look.

Source: the Gemini API's reference of `models.generateContent`, and its guide to image generation. Attempts, pauses,
time limits and the budget are those of `OpenAiClient`; its package carries the bytes here, too.
"""

import base64
import re
from collections.abc import Callable
from math import gcd
from typing import Any
from urllib.parse import quote

from mmhallu_core.clients.budget import Budget
from mmhallu_core.clients.client import CUT, REFUSED, UNREADABLE, CallFailed, Request, Stopped, opened
from mmhallu_core.clients.openai_client import OpenAiClient, Patience
from mmhallu_core.clients.wire import SHOWN, parsed
from mmhallu_core.types import CannotRun

ADDRESS = "https://generativelanguage.googleapis.com/v1beta"
# Reasons of an end that a filter or the model gives; STOP, NO_IMAGE and OTHER only mean that there is no picture.
DECLINED = frozenset(
    "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII LANGUAGE IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT "
    "IMAGE_RECITATION".split()
)
DATA_URL = "data:"
TOKENS = {
    "promptTokenCount": "prompt_tokens",
    "candidatesTokenCount": "completion_tokens",
    "totalTokenCount": "total_tokens",
}


class GeminiClient(OpenAiClient):
    """Asks an image model of Gemini; safe to use from several threads.

    Args:
        model: such as "gemini-2.5-flash-image". Previews are switched off after some months, so there is no default.
        api_key: the key; `GEMINI_API_KEY` when None. It is never written anywhere.
        base_url: another address that speaks the same form.
        patience, budget, sleep: see `OpenAiClient`.

    Raises:
        CannotRun: when there is no model or no key, or `MMHALLU_OFFLINE` is set and the address is not here.
    """

    KEY = "GEMINI_API_KEY"

    def __init__(
        self,
        model: str,
        api_key: str | None = None,
        base_url: str = ADDRESS,
        patience: Patience | None = None,
        budget: Budget | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        more = {} if sleep is None else {"sleep": sleep}
        super().__init__(base_url, model, api_key, patience, budget, **more)
        if not model or not self._key.value:
            raise CannotRun(f"Gemini needs the name of a model and a key; put the key into {self.KEY}")
        self.about = {"kind": "gemini", "base_url": base_url, "model": model}

    def _body(self, request: Request) -> dict[str, Any]:
        pictures = [_inline(image) for image in request.images]
        settings: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"], "maxOutputTokens": request.max_tokens}
        if request.temperature is not None:
            settings["temperature"] = request.temperature
        if pictures:
            settings["imageConfig"] = {"aspectRatio": pictures[-1][1]}
        parts = [{"text": request.prompt}, *(part for part, _ in pictures)]
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}], "generationConfig": settings}
        if request.system is not None:
            body["systemInstruction"] = {"parts": [{"text": request.system}]}
        return body

    def _read(self, content: bytes) -> tuple[str, dict[str, int]]:
        return read_generated(content)

    async def _require_model(self) -> None:
        """Nothing: Gemini says 404 of a model that it does not have."""

    async def _send(self, body: dict[str, Any], headers: dict[str, str]) -> bytes:
        import openai

        path = f"/models/{quote(self._model, safe='')}:generateContent"
        own = {"x-goog-api-key": self._key.value, "Authorization": openai.Omit(), **headers}
        kind = openai.HttpxBinaryResponseContent
        reply = await self._openai.post(path, cast_to=kind, body=body, options={"headers": own})
        return reply.content

    def _refusal(self, error: Any) -> CallFailed | Stopped:
        """As the base class, and the pause that Gemini asks for in the body of a 429 ("retryDelay": "36s")."""
        outcome = super()._refusal(error)
        pause = re.search(r'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"', error.response.text)
        if isinstance(outcome, CallFailed) and outcome.retry_after is None and pause:
            outcome.retry_after = float(pause[1])
        return outcome


def read_generated(content: bytes) -> tuple[str, dict[str, int]]:
    """The picture of a reply as a `data:` URL, or the words that came instead; and the tokens used.

    Raises:
        CallFailed: `unreadable` when the body has not the form, `refused` when a filter or the model declined, `cut`
            when the reply reached its limit.
    """
    body = parsed(content)
    if not isinstance(body, dict) or body.get("error"):
        raise CallFailed(UNREADABLE, f"not a reply: {content[:SHOWN]!r}")
    feedback = body.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        raise CallFailed(REFUSED, f"the request was blocked: {feedback['blockReason']}")
    candidates = body.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    if not isinstance(first, dict):
        raise CallFailed(UNREADABLE, f"no candidate in it: {content[:SHOWN]!r}")
    held = first.get("content")
    parts = held.get("parts") if isinstance(held, dict) else None
    parts = [part for part in parts or [] if isinstance(part, dict) and not part.get("thought")]  # drafts of its own
    words = " ".join(part["text"] for part in parts if isinstance(part.get("text"), str)).strip()
    ended = str(first.get("finishReason", "STOP"))
    if ended in DECLINED:
        raise CallFailed(REFUSED, f"the model declined: {ended}", words or None)
    pictures = [part.get("inlineData") or part.get("inline_data") for part in parts]
    pictures = [one for one in pictures if isinstance(one, dict) and isinstance(one.get("data"), str)]
    if not pictures and ended == "MAX_TOKENS":
        raise CallFailed(CUT, "the reply reached its limit before a picture; allow more", words or None)
    usage = body.get("usageMetadata")
    counts = usage.items() if isinstance(usage, dict) else ()
    used = {TOKENS[name]: value for name, value in counts if name in TOKENS and isinstance(value, int)}
    if not pictures:
        return words, used
    kind = pictures[-1].get("mimeType") or pictures[-1].get("mime_type") or "image/png"
    return f"{DATA_URL}{kind};base64,{pictures[-1]['data']}", used


def _inline(picture: Any) -> tuple[dict[str, Any], str]:
    """A picture as a part of a request, and its shape as "4:3"."""
    found = opened(picture)
    (across, down), (kind, content) = found.image.size, found.portable
    ratio = f"{across // gcd(across, down)}:{down // gcd(across, down)}"
    return {"inlineData": {"mimeType": f"image/{kind}", "data": base64.b64encode(content).decode("ascii")}}, ratio
