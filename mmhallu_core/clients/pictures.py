"""Pictures on their way to a model: decoded here first, so that a damaged file costs nothing."""

import base64

from mmhallu_core.clients.client import BAD_PICTURE, CallFailed
from mmhallu_core.data.decode import BadPicture, Decoded, decode
from mmhallu_core.types import Picture


def opened(picture: Picture) -> Decoded:
    """A picture as `decode` reads it.

    Raises:
        CallFailed: when it cannot be read (`bad_picture`).
    """
    try:
        return decode(picture)
    except BadPicture as bad:
        raise CallFailed(BAD_PICTURE, str(bad)) from bad


def data_url(picture: Picture) -> str:
    """A picture as a `data:` URL: its own bytes where every program sees the same in them, else a PNG of its pixels.

    Raises:
        CallFailed: as `opened`.
    """
    kind, content = opened(picture).portable
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
