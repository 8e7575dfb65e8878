"""Asking a server that misbehaves: how many calls, which pauses, and never a text that no model said."""

import base64
import email.utils
import io
import json
import threading
import time
from dataclasses import replace

import pytest
from faulty_server import FaultyServer, body, completion, drip, drop, drop_in_body, good, hang, status
from PIL import Image

from mmhallu_core.clients.budget import Budget
from mmhallu_core.clients.client import CallFailed, Reply, Request, Stopped, opened
from mmhallu_core.clients.openai_client import OpenAiClient, Patience, retry_after
from mmhallu_core.clients.wire import data_url, read_reply, request_body
from mmhallu_core.types import CannotRun

CALM = Patience(connect=30.0, read=30.0, total=60.0, attempts=4, longest_pause=60.0)
SHORT = replace(CALM, read=0.3, total=0.6)  # for servers that keep us waiting
ASKED = Request("one", "What is it?", max_tokens=50)


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def ask(pauses):
    """Asks one request of a server with these steps; gives the reply, or the failure, and the server's calls."""

    def run(*steps, request=ASKED, **options):
        with FaultyServer(steps) as server:
            client = OpenAiClient(server.url, "m", **{"patience": CALM, "sleep": pauses.append, **options})
            try:
                return client.ask(request), server.calls
            except (CallFailed, Stopped) as failure:
                return failure, server.calls

    return run


def png(mode="RGB", size=(4, 3), kind="PNG", **options) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind, **options)
    return out.getvalue()


# ---------------------------------------------------------------- what is sent


def test_a_request_in_the_form_of_the_server(ask):
    picture = png()
    reply, (call,) = ask(request=Request("one", "What is it?", (picture,), "Be brief.", 50))
    assert reply == Reply("one", "a red car", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    assert call.path == "/v1/chat/completions"
    url = "data:image/png;base64," + base64.b64encode(picture).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert call.body == {"model": "m", "messages": messages, "max_tokens": 50, "temperature": 0.0}


def test_a_request_without_pictures_is_a_plain_string_and_fields_can_be_renamed_or_left_out():
    asked = request_body(Request("one", "Hi", temperature=None), "m", "max_completion_tokens")
    assert asked == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 512}


def test_the_idempotency_key_is_the_request_s_own(ask):
    def key(steps, **changes):
        request = Request(**{"id": "one", "prompt": "What is it?", **changes})
        return {call.headers["idempotency-key"] for call in ask(*steps, request=request)[1]}

    same = key([status(500), drop()])  # three calls, one key
    assert len(same) == 1 and key([]) == same
    assert not same & (key([], id="two") | key([], prompt="What?") | key([], images=(png(),)))


@pytest.mark.parametrize(
    "content, kind",
    [
        (png(), "png"),
        (png("L"), "png"),
        (png(kind="JPEG"), "jpeg"),
        (png(kind="WEBP"), "webp"),
        (png("CMYK", kind="JPEG"), None),
        (png("I;16"), None),
        (png("P", kind="GIF"), None),
        (png(kind="GIF", save_all=True, append_images=[Image.new("RGB", (4, 3), "red")]), None),
    ],
)
def test_pictures_are_sent_as_they_are_or_as_png(content, kind):
    head, data = data_url(content).split(",")
    sent = base64.b64decode(data)
    assert head == f"data:image/{kind or 'png'};base64"
    assert (sent == content) is (kind is not None)
    assert Image.open(io.BytesIO(sent)).convert("RGB").tobytes() == opened(content).image.tobytes()


@pytest.mark.parametrize("content", [b"", b"no picture", png(size=(90, 90))[:60], png(kind="JPEG")[:200]])
def test_a_damaged_picture_costs_nothing(ask, content, tmp_path):
    (tmp_path / "it.png").write_bytes(content)
    for picture in (str(tmp_path / "it.png"), str(tmp_path / "not-there.png")):
        failure, calls = ask(request=Request("one", "What?", (picture,)))
        assert failure.reason == "bad_picture" and picture in failure.detail and calls == []


# ---------------------------------------------------------------- what goes wrong


def test_retry_after_is_waited_for(ask, pauses):
    reply, calls = ask(status(429, {"Retry-After": "7"}), status(503, {"Retry-After": "2.5"}))
    assert (reply.text, reply.attempts, reply.possibly_paid_twice) == ("a red car", 3, 0)
    assert pauses == [7.0, 2.5] and len(calls) == 3


def test_retry_after_as_a_date():
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 28 < retry_after({"retry-after": soon}) <= 30
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "soon"}) is None and retry_after({}) is None


def test_a_pause_that_nobody_sits_through_ends_the_run(ask, pauses):
    stopped, calls = ask(status(429, {"Retry-After": "3600"}))
    assert isinstance(stopped, Stopped) and "wait 3600 seconds" in str(stopped)
    assert len(calls) == 1 and pauses == []


def test_without_retry_after_pauses_grow(ask, pauses):
    failure, calls = ask(*[status(500)] * 4)
    assert failure.reason == "unavailable" and "status 500: " in failure.detail and "not now" in failure.detail
    assert len(calls) == failure.attempts == 4 and len(pauses) == 3
    assert all(0 <= pause <= 2**number for number, pause in enumerate(pauses))


@pytest.mark.parametrize(
    "fault, reason, paid",
    [
        (status(408), "unavailable", 0),
        (status(409), "unavailable", 0),
        (status(502), "unavailable", 0),
        pytest.param(hang(), "timeout", 1, marks=pytest.mark.long),
        pytest.param(drip(), "timeout", 1, marks=pytest.mark.long),
        pytest.param(drip(headers=True), "timeout", 1, marks=pytest.mark.long),
        (drop(), "dropped", 1),
        (drop_in_body(), "dropped", 1),
        (body(completion("a red car")[:-20]), "unreadable", 1),
        (body(b'{"error": {"message": "overloaded"}}'), "unreadable", 1),
        (body(b'{"object": "chat.completion", "choices": []}'), "unreadable", 1),
        (body(b"<html>busy</html>"), "unreadable", 1),
        (body(b""), "unreadable", 1),
        (body(b"[1]"), "unreadable", 1),
        (body(b"\xff\xfe"), "unreadable", 1),
        (body(completion(None)), "unreadable", 1),
    ],
)
def test_what_may_pass_is_tried_again(ask, pauses, fault, reason, paid):
    # The good reply after a time-out needs time on a busy machine; where no good one comes, a short wait will do.
    reply, calls = ask(fault, patience=replace(CALM, read=3.0, total=3.0) if reason == "timeout" else CALM)
    assert (reply.text, reply.attempts, reply.possibly_paid_twice) == ("a red car", 2, paid)
    assert len(calls) == 2 and len(pauses) == 1
    failure, calls = ask(*[fault] * 4, patience=SHORT if reason == "timeout" else CALM)
    assert (failure.reason, failure.text, failure.attempts, failure.possibly_paid) == (reason, None, 4, 4 * paid)
    assert len(calls) == 4


@pytest.mark.parametrize("fault", [drip(), drip(headers=True)], ids=["body", "headers"])
def test_a_slow_drip_ends(ask, fault):
    failure, _ = ask(fault, patience=replace(CALM, total=0.6, attempts=1))
    assert failure.reason == "timeout" and "0.6 seconds" in failure.detail


@pytest.mark.parametrize(
    "fault, reason, text",
    [
        (good("a red", finish="length"), "cut", "a red"),
        (good("a", finish="content_filter"), "refused", "a"),
        (good(None, refusal="I cannot."), "refused", "a red car"),
        (status(400, message="too many pictures"), "bad_request", None),
        (status(413), "bad_request", None),
        (status(422), "bad_request", None),
    ],
)
def test_what_would_come_again_is_asked_once(ask, pauses, fault, reason, text):
    failure, calls = ask(fault)
    assert (failure.reason, failure.text, failure.attempts, len(calls)) == (reason, text, 1, 1)
    assert failure.possibly_paid == 0 and pauses == []


@pytest.mark.parametrize("fault", [status(401), status(403), status(404), status(429, message="insufficient_quota")])
def test_what_concerns_every_request_ends_the_run(ask, fault):
    stopped, calls = ask(fault)
    assert isinstance(stopped, Stopped) and "MMHALLU_API_KEY" in str(stopped) and len(calls) == 1


def test_a_server_that_is_not_there(pauses):
    with FaultyServer() as server:
        pass
    client = OpenAiClient(server.url, "m", patience=CALM, sleep=pauses.append)
    with pytest.raises(CallFailed, match=f"unavailable: {server.url}") as caught:
        client.ask(ASKED)
    assert caught.value.attempts == 4 and caught.value.possibly_paid == 0 and len(pauses) == 3


def test_an_empty_text_is_a_reply_and_usage_may_be_missing():
    assert read_reply(completion("")) == ("", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    bare = {"choices": [{"message": {"content": "yes"}}], "usage": None}
    assert read_reply(json.dumps(bare).encode()) == ("yes", {})


# ---------------------------------------------------------------- budget, key, address


def test_a_budget_of_calls_counts_every_attempt(ask):
    budget = Budget(requests=3)
    stopped, calls = ask(*[drop()] * 9, budget=budget)
    assert isinstance(stopped, Stopped) and len(calls) == 3 and stopped.possibly_paid == 3
    assert "3 of 3 calls" in str(stopped) and "run the same command again" in str(stopped)


def test_a_budget_of_tokens_stops_before_the_next_call(ask):
    budget = Budget(tokens=20)
    assert ask(budget=budget)[0].text == ask(budget=budget)[0].text == "a red car"
    stopped, calls = ask(budget=budget)
    assert "30 of 20 tokens" in str(stopped) and calls == []


def test_a_budget_of_tokens_needs_a_server_that_counts(ask):
    budget, silent = Budget(tokens=20), body(b'{"choices": [{"message": {"content": "yes"}}]}')
    assert ask(silent, budget=budget)[0].text == "yes"  # what was paid for is handed over
    stopped, calls = ask(budget=budget)
    assert "limit the number of calls" in str(stopped) and calls == []
    assert ask(silent, silent, budget=Budget(requests=1))[0].text == "yes"


def test_a_budget_of_seconds_ends_no_later_than_the_next_pause(ask, pauses):
    now = [0.0]
    budget = Budget(seconds=10, clock=lambda: now[0])
    stopped, calls = ask(status(429, {"Retry-After": "11"}), budget=budget)
    assert "a wait of 11 seconds" in str(stopped) and len(calls) == 1 and pauses == []
    now[0] = 10.0
    stopped, calls = ask(budget=budget)
    assert "budget of 10 seconds" in str(stopped) and calls == []


def test_the_key_is_sent_and_never_shown(ask, monkeypatch):
    monkeypatch.setenv("MMHALLU_API_KEY", "secret-1")
    (call,) = ask()[1]
    assert call.headers["authorization"] == "Bearer secret-1"
    (call,) = ask(api_key="secret-2")[1]
    assert call.headers["authorization"] == "Bearer secret-2"
    assert "secret" not in json.dumps(OpenAiClient("http://127.0.0.1:1/v1", "m", "secret").about)
    with pytest.raises(CannotRun, match="MMHALLU_API_KEY"):
        OpenAiClient("http://me:secret@127.0.0.1/v1", "m")


def test_addresses(monkeypatch):
    for wrong in ("127.0.0.1:8000", "ftp://x/v1", "", "http://"):
        with pytest.raises(CannotRun, match="not the address of a server"):
            OpenAiClient(wrong, "m")
    monkeypatch.setenv("MMHALLU_OFFLINE", "1")
    with pytest.raises(CannotRun, match="MMHALLU_OFFLINE is set, so models.example is not asked"):
        OpenAiClient("https://models.example/v1", "m")
    here = ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"]
    for host in here:
        assert OpenAiClient(f"http://{host}:8000/v1", "m").about["model"] == "m"
    elsewhere = ["127.0.0.1.models.example", "127.example", "127.1", "2130706433", "0x7f000001", "localhost.example"]
    for host in [*elsewhere, "10.0.0.1", "[::2]", "[::ffff:10.0.0.1]", "[fe80::1]", "0.0.0.0", "1270.0.0.1"]:
        with pytest.raises(CannotRun, match="is not asked"):
            OpenAiClient(f"http://{host}:8000/v1", "m")


def test_offline_no_proxy_is_asked_either(monkeypatch):
    with FaultyServer() as proxy, FaultyServer() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("MMHALLU_OFFLINE", "1")
        assert OpenAiClient(server.url, "m").ask(ASKED).text == "a red car"
    assert len(server.calls) == 1 and proxy.calls == []


def test_one_client_serves_many_threads():
    with FaultyServer(answer=lambda call: call.prompt) as server:
        client, found = OpenAiClient(server.url, "m"), {}
        names = [f"n{i}" for i in range(12)]
        threads = [
            threading.Thread(target=lambda name=name: found.update({name: client.ask(Request(name, name)).text}))
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {name: name for name in names}


def test_requests_are_checked():
    for wrong in ({"id": ""}, {"prompt": " "}, {"max_tokens": 0}):
        with pytest.raises(CannotRun):
            Request(**{"id": "one", "prompt": "What?", **wrong})
