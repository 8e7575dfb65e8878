"""The OpenAI form of a chat: a request becomes JSON, and JSON becomes a text or a named failure.

Pure functions, no network. A reply is read with suspicion, because servers and the proxies before them send a status
of 200 with all kinds of things inside: an error object, half a JSON text, no choice at all.
"""

import base64
import email.utils
import json
import re
import time
from collections.abc import Collection, Mapping
from typing import Any

from mmhallu_core.clients.client import CUT, REFUSED, UNREADABLE, CallFailed, Request, opened
from mmhallu_core.types import Picture

SHOWN = 200  # characters of a strange reply that an error message repeats
HALF = re.compile("[\ud800-\udfff]")  # half of a surrogate pair: JSON can write it, and no file can hold it
NOT_TAKEN = re.compile(
    r"support|deprecated|unexpected|unknown|unrecogni[sz]ed|not (?:allowed|permitted)", re.IGNORECASE
)


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


def data_url(picture: Picture) -> str:
    """A picture as a `data:` URL: its own bytes where every program sees the same in them, else a PNG of its pixels.

    Raises:
        CallFailed: as `opened`.
    """
    kind, content = opened(picture).portable
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def refused_field(said: str, sent: Mapping[str, Any]) -> str | None:
    """Which field a server does not take, by what it says with a status 400.

    OpenAI's newer models want another name for `max_tokens`, and name it; they take no `temperature` but their own.

    Args:
        said: the body of the reply.
        sent: the body of the request.
    """
    if "max_tokens" in sent and "max_completion_tokens" in said:
        return "max_tokens"
    if "temperature" in sent and "temperature" in said and NOT_TAKEN.search(said):
        return "temperature"
    return None


def without(body: Mapping[str, Any], refused: Collection[str]) -> dict[str, Any]:
    """The body of a request in a form that a server takes which refused these fields, see `refused_field`."""
    left = {name: value for name, value in body.items() if name not in refused}
    return left | ({"max_completion_tokens": body["max_tokens"]} if "max_tokens" in refused else {})


def parsed(content: bytes) -> Any:
    """The JSON of a reply; in place of half of a surrogate pair it has U+FFFD, because such a text cannot be written.

    Raises:
        CallFailed: `unreadable` when it is no JSON.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
        raise CallFailed(UNREADABLE, f"not whole JSON ({error}): {_shown(content)}") from error
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(HALF.sub("\ufffd", text)) if HALF.search(text) else value


def read_models(content: bytes) -> list[str] | None:
    """The names in a server's list of models; None when it is no such list."""
    try:
        data = json.loads(content).get("data")
        return [one["id"] for one in data if isinstance(one["id"], str)]
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return None


def read_reply(content: bytes) -> tuple[str, dict[str, int]]:
    """The text of a reply and the tokens that it used, from the body of a 200.

    Raises:
        CallFailed: `unreadable` when there is no text in it, `cut` when the reply reached its limit, `refused` when
            the model or a filter declined.
    """
    body = parsed(content)
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


def retry_after(headers: Any) -> float | None:
    """The seconds that a server asks to wait: a number, or a date from which today's is subtracted.

    Args:
        headers: of the reply, by lower-case name.

    Returns:
        At least 0, or None when the server does not say or says it unreadably.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        date = email.utils.parsedate_tz(value)
    return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


def _usage(usage: Any) -> dict[str, int]:
    """The token counts among what a server says about usage."""
    counts = usage.items() if isinstance(usage, dict) else ()
    return {name: value for name, value in counts if isinstance(value, int) and name.endswith("_tokens")}


def _shown(content: bytes) -> str:
    """The beginning of a reply for an error message."""
    text = content.decode("utf-8", errors="replace")
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")
