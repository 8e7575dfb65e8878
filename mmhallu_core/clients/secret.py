"""The key that a server wants: looked at before it is used, and hidden in all that comes back.

A key travels in a header, and a server can repeat headers: in an error, on a proxy's page, even in a reply. What comes
back is written to journals and shown on terminals, so the key's value is taken out of it first.
"""

import json
from urllib.parse import quote

from mmhallu_core.types import CannotRun

HIDDEN = "[key]"
SHORTEST = 8  # characters of a secret; shorter ones are placeholders ("none", "EMPTY") and words that a model may say
AROUND = "\ufeff"  # a byte order mark, which some editors put before a text; `strip` takes blanks and line breaks


class Key:
    """A key, and how to keep it out of texts.

    Args:
        value: as it was given; blanks and line breaks around it are no part of it.
        variable: the environment variable that holds keys of this kind, for messages.

    Raises:
        CannotRun: when it holds a character that no header can carry. The message does not show the key.
    """

    def __init__(self, value: str, variable: str) -> None:
        self.value = value.strip().strip(AROUND).strip()
        for place, letter in enumerate(self.value, start=1):
            if not "!" <= letter <= "~":
                what = "a blank or line break" if letter.isspace() else f"U+{ord(letter):04X}"
                raise CannotRun(f"the key in {variable} holds {what} at character {place}: copy it once more")
        self.is_secret = len(self.value) >= SHORTEST
        quoted = {quote(self.value), quote(self.value, safe="")}
        spelt = {self.value, json.dumps(self.value)[1:-1], repr(self.value)[1:-1]} | quoted
        self._spelt = sorted(spelt - {""}, key=len, reverse=True)

    def hidden(self, text: str) -> str:
        """A text without the key, however it is spelt: as it is, in an address, in JSON, in Python."""
        for one in self._spelt:
            text = text.replace(one, HIDDEN)
        return text

    def hidden_in_body(self, content: bytes) -> bytes:
        """The body of a reply without the key; unchanged where the key is no secret or not in it.

        JSON can write each letter as an escape, so what is searched is what it means.
        """
        if not self.is_secret:
            return content
        try:
            text = json.dumps(json.loads(content), ensure_ascii=False)
        except (ValueError, RecursionError):
            text = content.decode("utf-8", errors="replace")
        found = self.hidden(text)
        return content if found == text else found.encode("utf-8", errors="backslashreplace")
