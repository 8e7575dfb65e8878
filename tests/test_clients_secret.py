"""A key is sent and appears nowhere else: not in a file, not on the terminal, whatever a server does with it."""

import base64
import json
import traceback
from urllib.parse import quote

import pytest
from faulty_server import FaultyServer, body, completion, echo, good, status
from test_clients_cli import eight, run, words

from mmhallu_core.clients.client import CallFailed, Request, Stopped
from mmhallu_core.clients.gemini_client import GeminiClient
from mmhallu_core.clients.openai_client import OpenAiClient, Patience
from mmhallu_core.types import CannotRun

KEY = "sk-Tt7/w\"x'\\9+q="  # with all that JSON, an address and repr write in another way
ASKED = Request("one", "What is it?")


def spelt(key: str) -> set[str]:
    """The key as different programs write it."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
    return {key, quote(key, safe=""), json.dumps(key)[1:-1], repr(key)[1:-1], escaped}


def page(said: str) -> bytes:
    return f"<html><pre>Authorization: {said}</pre></html>".encode()


def unicode_escaped(said: str) -> bytes:
    """The reply of a server that writes each character of the header as an escape."""
    whole = completion("SAID", "stop").decode()
    return whole.replace("SAID", "".join(f"\\u{ord(letter):04x}" for letter in said)).encode()


ECHOES = {
    "reply": good,
    "cut reply": lambda said: good(said, finish="length"),
    "escaped reply": lambda said: body(unicode_escaped(said)),
    "refusal": lambda said: good(None, refusal=said),
    "refusal, cut in the key": lambda said: good(None, refusal="x" * 185 + said),
    "bad request": lambda said: status(400, message=said),
    "bad request, cut in the key": lambda said: status(400, message="x" * 155 + said),
    "a page": lambda said: body(page(said)),
    "a page, cut in the key": lambda said: body(b"<p>" + b"x" * 180 + page(said)),
    "error in a 200": lambda said: body(json.dumps({"error": {"message": said}}).encode()),
    "escaped bad request": lambda said: lambda handler, call: handler.reply(400, unicode_escaped(said)),
    "quoted": lambda said: status(422, message=quote(said)),
    "no key": lambda said: status(401, message=f"Incorrect API key provided: {said}"),
    "not there": lambda said: status(404, message=said),
    "server error": lambda said: status(500, message=said),
    "name of a count": lambda said: body(
        json.dumps({**json.loads(completion("a")), "usage": {f"{said}_tokens": 3}}).encode()
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", ECHOES)
def test_a_server_that_echoes_the_key(tmp_path, monkeypatch, name):
    monkeypatch.setenv("MMHALLU_API_KEY", KEY)
    monkeypatch.setattr("mmhallu_core.clients.openai_client.Patience", lambda: Patience(attempts=2, longest_pause=0))
    files = eight(tmp_path)
    with FaultyServer([echo(ECHOES[name])] * 99) as server:
        shown = "".join(out + err for _, out, err in (run(*words(files, server)), run(*words(files, server, "--json"))))
        assert {call.headers["authorization"] for call in server.calls} == {f"Bearer {KEY}"}
    kept = [path.read_text(encoding="utf-8") for path in (files / "out").rglob("*") if path.is_file()]
    assert kept and shown
    for text in [shown, *kept]:
        assert not [one for one in spelt(KEY) if one in text]
        assert "sk-Tt7" not in text  # nor its beginning, where a message is cut


def test_no_traceback_shows_it(tmp_path):
    with FaultyServer([echo(ECHOES["bad request"]), echo(ECHOES["no key"])]) as server:
        client = OpenAiClient(server.url, "m", KEY)
        for kind in (CallFailed, Stopped):
            with pytest.raises(kind) as caught:
                client.ask(ASKED)
            assert "[key]" in str(caught.value)
            assert "sk-Tt7" not in "".join(traceback.format_exception(caught.value))


def test_gemini_too(tmp_path):
    picture = {"candidates": [{"content": {"parts": [{"text": "SAID"}]}, "finishReason": "STOP"}]}
    steps = [
        echo(lambda said: body(json.dumps(picture).replace("SAID", said).encode())),
        echo(lambda said: status(400, message=said)),
    ]
    with FaultyServer(steps) as server:
        client = GeminiClient("m", "sk-Tt7-wx9q", server.url)
        assert client.ask(ASKED).text == "[key]"
        with pytest.raises(CallFailed, match=r"\[key\]") as caught:
            client.ask(ASKED)
        assert "sk-Tt7" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {} ", "\t{}", "\ufeff{}", "{}\u00a0"])
def test_blanks_around_a_key_are_no_part_of_it(monkeypatch, around):
    monkeypatch.setenv("MMHALLU_API_KEY", around.format("sk-plain-key"))
    with FaultyServer() as server:
        assert OpenAiClient(server.url, "m").ask(ASKED).text == "a red car"
    assert [call.headers["authorization"] for call in server.calls] == ["Bearer sk-plain-key"]


@pytest.mark.parametrize("key", ["sk-two lines", "sk-two\nlines", "sk-größe", "sk-\x1bescape", "sk-zero\u200bwidth"])
def test_a_key_that_no_header_can_hold(monkeypatch, key):
    monkeypatch.setenv("MMHALLU_API_KEY", key)
    with FaultyServer() as server, pytest.raises(CannotRun, match="the key in MMHALLU_API_KEY holds") as caught:
        OpenAiClient(server.url, "m").ask(ASKED)
    assert "sk-" not in str(caught.value) and server.calls == []


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_a_server_that_wants_no_key(monkeypatch, key):
    monkeypatch.setenv("MMHALLU_API_KEY", key)
    with FaultyServer([good("none, said the key")]) as server:
        assert OpenAiClient(server.url, "m").ask(ASKED).text == "none, said the key"


def test_a_placeholder_may_stand_in_a_reply():
    with FaultyServer([good("EMPTY"), status(400, message="EMPTY")]) as server:
        client = OpenAiClient(server.url, "m", "EMPTY")
        assert client.ask(ASKED).text == "EMPTY"  # what the model said is not touched for the sake of no secret
        with pytest.raises(CallFailed, match=r"\[key\]"):
            client.ask(ASKED)


@pytest.mark.parametrize(
    "address",
    [
        "http://me:sk-Tt7-wx9q@127.0.0.1:1/v1",
        "http://sk-Tt7-wx9q@127.0.0.1:1/v1",
        "http://127.0.0.1:1/v1?api_key=sk-Tt7-wx9q",
        "http://127.0.0.1:1/v1#sk-Tt7-wx9q",
        "http://127.0.0.1:1/sk-Tt7-wx9q/v1",
        "http://127.0.0.1:1/%73k-Tt7-wx9q/v1",
        "http://sk-Tt7-wx9q.models.example/v1",
        "sk-Tt7-wx9q",
        "me:sk-Tt7-wx9q@127.0.0.1",
        "http://[::sk-Tt7-wx9q/v1",
        "http://127.0.0.1:sk-Tt7-wx9q/v1",
    ],
)
def test_a_key_in_the_address_is_refused_and_not_shown(monkeypatch, address):
    monkeypatch.setenv("MMHALLU_API_KEY", "sk-Tt7-wx9q")
    with pytest.raises(CannotRun, match="MMHALLU_API_KEY|not the address of a server") as caught:
        OpenAiClient(address, "m")
    assert "sk-Tt7" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(CannotRun, match="MMHALLU_API_KEY"):
        OpenAiClient("http://127.0.0.1:1/v1", "sk-Tt7-wx9q")  # as the model's name


def test_a_key_in_another_alphabet_is_not_looked_for():
    """What is hidden is the key itself; a text that happens to be near it stays."""
    with FaultyServer([good(base64.b64encode(b"sk-Tt7").decode() + " SK-TT7-WX9Q")]) as server:
        said = OpenAiClient(server.url, "m", "sk-Tt7-wx9q").ask(ASKED).text
    assert said == base64.b64encode(b"sk-Tt7").decode() + " SK-TT7-WX9Q"
