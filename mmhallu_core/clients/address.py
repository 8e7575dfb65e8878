"""The address of a server, and the key that it wants: both looked at before anything is sent.

An address is written to journals, and it may be reached. A key travels in a header, and a server can repeat headers: in
an error, on a proxy's page, even in a reply. What comes back is written to journals and shown on terminals, so the
key's value is taken out of it first.
"""

import ipaddress
import json
from urllib.parse import SplitResult, quote, unquote, urlsplit

from mmhallu_core.store import is_offline
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


def require_address(base_url: str, key: Key, variable: str) -> None:
    """Looks at an address before anything is sent to it. No message repeats the address: a key may stand in it.

    Args:
        base_url: such as "http://127.0.0.1:8000/v1".
        key: the key that will be sent.
        variable: the environment variable for keys.

    Raises:
        CannotRun: when it is no address, holds a name, a password or a key, or `MMHALLU_OFFLINE` is set and it is not
            on this machine.
    """
    parts = _parts(base_url)
    if "@" in parts.netloc or parts.query or parts.fragment or (key.is_secret and key.value in unquote(base_url)):
        raise CannotRun(
            f"an address is written to journals, so it must hold no name, password or key and no part after ? or #; "
            f"put the key into {variable}"
        )
    if is_offline() and not is_this_machine(str(parts.hostname)):
        raise CannotRun(
            f"MMHALLU_OFFLINE is set, so {parts.hostname} is not asked. Unset it and run the command again."
        )


def is_this_machine(host: str) -> bool:
    """Whether a host of an address is this machine itself: `localhost`, or an address of its loopback.

    >>> [is_this_machine(host) for host in ("localhost", "127.0.0.2", "::1", "127.0.0.1.example.com", "10.0.0.1")]
    [True, True, True, False, False]
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name: only a name server knows whose it is, and one may say anything
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _parts(base_url: str) -> SplitResult:
    """The parts of an address; CannotRun when it is none."""
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        good = False
    if not good:
        raise CannotRun("what was given is not the address of a server, such as http://127.0.0.1:8000/v1")
    return parts
