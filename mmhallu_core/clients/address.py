"""The address of a server: one that can be written to a journal, and one that may be reached."""

import ipaddress
from urllib.parse import SplitResult, unquote, urlsplit

from mmhallu_core.clients.secret import Key
from mmhallu_core.store import is_offline
from mmhallu_core.types import CannotRun


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
    """The parts of an address.

    Raises:
        CannotRun: when it is none.
    """
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        good = False
    if not good:
        raise CannotRun("what was given is not the address of a server, such as http://127.0.0.1:8000/v1")
    return parts
