"""Gemini as an editor: the photo goes out in one of the shapes that it takes, and its reply is cut back to the photo.

It is MED's own editor (there Gemini Flash 2.0, over its chat page). It repaints the whole picture, at a size of its
own, and takes no seed that it promises anything about: the same request twice gives two pictures. So a run is only the
same again as long as its journal is kept. And each of its pictures carries a watermark that nobody sees (SynthID): a
model trained on such pairs could learn to find the mark instead of the edit.
"""

import base64
import binascii
from typing import Any

from PIL import Image

from mmhallu_core.clients.client import REFUSED, CallFailed, Client, Request
from mmhallu_core.clients.gemini_client import DATA_URL
from mmhallu_core.data.decode import BadPicture, as_png, decode
from mmhallu_core.edit.editors.editor import CannotEdit, NoEdit, Padding, plan_padding

PROMPT = """\
Edit this picture: {asked}. Change only that. Keep everything else as it is: place, size, light, colours and \
background. Give back the edited picture."""
MOST_TOKENS = 8192  # a picture takes some thousand


class GeminiEditor:
    """Edits through a client that answers with pictures.

    Args:
        client: a `GeminiClient`, or a `ChunkClient` or `JournaledClient` before one.
        at_once: pictures in flight.
    """

    resizes = True

    def __init__(self, client: Client, at_once: int = 4) -> None:
        self.client, self.at_once = client, at_once
        about = client.gate.about if hasattr(client, "gate") else client.about
        self.about: dict[str, Any] = about.get("client", about)

    def padding(self, size: tuple[int, int]) -> Padding:
        """See `Editor.padding`: one of the shapes that Gemini lists for `aspectRatio`."""
        return plan_padding(size)

    def edit(self, name: str, image: Image.Image, instruction: str, seed: int) -> Image.Image:
        """See `Editor.edit`; the seed is not used."""
        prompt = PROMPT.format(asked=instruction.rstrip("."))
        request = Request(f"{name}/edit", prompt, (as_png(image),), max_tokens=MOST_TOKENS, temperature=None)
        try:
            reply = self.client.ask(request)
        except CallFailed as failure:
            reason = NoEdit.REFUSED if failure.reason == REFUSED else NoEdit.NO_REPLY
            raise CannotEdit(reason, str(failure), failure.text) from failure
        return picture_in(reply.text)


def picture_in(text: str) -> Image.Image:
    """The picture in a reply.

    Raises:
        CannotEdit: when there is none, or a damaged one.
    """
    head, mark, data = text.partition(";base64,")
    if not mark or not head.startswith(DATA_URL):
        raise CannotEdit(NoEdit.NO_PICTURE, "the reply has no picture", text)
    try:
        return decode(base64.b64decode(data, validate=True)).image
    except (binascii.Error, BadPicture) as error:
        raise CannotEdit(NoEdit.DAMAGED, f"the reply's picture cannot be read: {error}") from error
