"""The OpenAI form of a chat: a request becomes JSON, and JSON becomes a text or a named failure.

Pure functions, no network. A reply is read with suspicion, because servers and the proxies before them send a status
of 200 with all kinds of things inside: an error object, half a JSON text, no choice at all.
"""

import json
from typing import Any

from mmhallu_core.clients.client import CUT, REFUSED, UNREADABLE, CallFailed, Request
from mmhallu_core.clients.pictures import data_url

SHOWN = 200  # characters of a strange reply that an error message repeats


def request_body(request: Request, model: str, limit_field: str = "max_tokens") -> dict[str, Any]:
    """The JSON body of one request; pictures as data URLs, before the text, in the order given.

    Args:
        request: what is asked.
        model: the server's name for the model.
        limit_field: the field for `max_tokens`; newer OpenAI models want "max_completion_tokens".

    Raises:
        CallFailed: when a picture is missing or damaged (`bad_picture`).
    """
    content: Any = request.prompt  # a plain string where that is enough: some servers of text models read no list
    if request.images:
        pictures = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in request.images]
        content = [*pictures, {"type": "text", "text": request.prompt}]
    messages = [] if request.system is None else [{"role": "system", "content": request.system}]
    body = {"model": model, "messages": [*messages, {"role": "user", "content": content}]}
    body[limit_field] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return body


def read_reply(content: bytes) -> tuple[str, dict[str, int]]:
    """The text of a reply and the tokens that it used, from the body of a 200.

    Raises:
        CallFailed: `unreadable` when there is no text in it, `cut` when the reply reached its limit, `refused` when
            the model or a filter declined.
    """
    try:
        body = json.loads(content)
    except ValueError as error:  # also bytes that are not UTF-8
        raise CallFailed(UNREADABLE, f"not whole JSON ({error}): {_shown(content)}") from error
    if not isinstance(body, dict):
        raise CallFailed(UNREADABLE, f"not a JSON object: {_shown(content)}")
    if body.get("error"):
        raise CallFailed(UNREADABLE, f"status 200 with an error in it: {_shown(content)}")
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise CallFailed(UNREADABLE, f"no choice with a message in it: {_shown(content)}")
    text, ended = message.get("content"), choice.get("finish_reason")
    said = text if isinstance(text, str) else None
    if message.get("refusal"):
        raise CallFailed(REFUSED, f"the model declined: {str(message['refusal'])[:SHOWN]}", said)
    if ended == "content_filter":
        raise CallFailed(REFUSED, "a content filter stopped the reply", said)
    if ended == "length":
        raise CallFailed(CUT, "the reply reached max_tokens; allow more", said)
    if said is None:
        raise CallFailed(UNREADABLE, f"a message without text: {_shown(content)}")
    return said, _usage(body.get("usage"))


def _usage(usage: Any) -> dict[str, int]:
    """The token counts among what a server says about usage."""
    counts = usage.items() if isinstance(usage, dict) else ()
    return {name: value for name, value in counts if isinstance(value, int) and name.endswith("_tokens")}


def _shown(content: bytes) -> str:
    """The beginning of a reply for an error message."""
    text = content.decode("utf-8", errors="replace")
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")
