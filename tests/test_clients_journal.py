"""The journal before a client: no reply is lost, none is paid twice, and a kill shows what was in flight."""

import json
import os
import random
import subprocess
import sys
import threading
import time

import pytest
from faulty_server import FaultyServer, drop, good, hang, status
from PIL import Image

from mmhallu_core.clients.budget import Budget
from mmhallu_core.clients.client import Reply, Request, Stopped
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.clients.openai_client import OpenAiClient, Patience
from mmhallu_core.store import JournalError

CALM = Patience(connect=30.0, read=30.0, total=60.0, attempts=2)


def requests(count: int, prompt: str = "What is number {}?") -> list[Request]:
    return [Request(f"r{i}", prompt.format(i)) for i in range(count)]


def client_of(server, path, workers=1, about=None, **options) -> JournaledClient:
    inner = OpenAiClient(server.url, "m", patience=CALM, sleep=lambda seconds: None, **options)
    return JournaledClient(inner, path, about, workers)


def events(path) -> list[str]:
    lines = [json.loads(line)["record"] for line in path.read_text(encoding="utf-8").splitlines()]
    return [f"{record['event']} {record['id']}" for record in lines[1:]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "journal.jsonl"


class Scripted:
    """A client without a network: `answer` is called with each request."""

    def __init__(self, answer):
        self.about = {"kind": "scripted"}
        self.answer = answer
        self.asked = []

    def ask(self, request):
        self.asked.append(request.id)
        return self.answer(request)


def test_a_reply_is_on_disk_before_it_is_used(path):
    def answer(request):
        assert events(path)[-1] == f"begun {request.id}"  # before the call
        return Reply(request.id, "yes")

    client = JournaledClient(Scripted(answer), path)
    for request in requests(3):
        client.ask(request)
        assert events(path)[-1] == f"reply {request.id}"
    assert events(path) == [f"{event} r{i}" for i in range(3) for event in ("begun", "reply")]


def test_no_journaled_reply_is_asked_again(path):
    with FaultyServer(answer=lambda call: call.prompt[-2]) as server:
        first = client_of(server, path).ask_all(requests(4))
        assert [reply.text for reply in first] == ["0", "1", "2", "3"] and len(server.calls) == 4
        before = path.read_bytes()
        again = client_of(server, path)
        assert again.ask_all(requests(4)) == first and again.ask(requests(4)[2]) == first[2]
        assert len(server.calls) == 4 and path.read_bytes() == before
        assert len(again.ask_all(requests(6))) == 6 and len(server.calls) == 6
        assert again.counts() == {"reply": 6, "possibly_paid_twice": 0}


def test_another_configuration_or_input_is_refused(path):
    with FaultyServer() as server:
        client_of(server, path, about={"questions": "abc"}).ask_all(requests(1))
        with pytest.raises(JournalError, match="belongs to another run; use a new --out"):
            client_of(server, path, about={"questions": "abd"})
        with pytest.raises(JournalError, match="belongs to another run"):
            JournaledClient(OpenAiClient(server.url, "another"), path, {"questions": "abc"})
        again = client_of(server, path, about={"questions": "abc"})
        with pytest.raises(JournalError, match="r0 was asked with another prompt, picture or setting"):
            again.ask_all(requests(1, "Where is number {}?"))
        with pytest.raises(JournalError, match="another"):
            again.ask(Request("r0", "What is number 0?", max_tokens=9))
        assert len(server.calls) == 1


def test_failures_are_kept_with_their_text_and_only_those_that_may_pass_are_asked_again(path):
    steps = [good("half", finish="length"), status(400), status(500), status(500), drop(), drop(), good("fine")]
    with FaultyServer(steps) as server:
        cut, wrong, down, dropped, fine = client_of(server, path).ask_all(requests(5))
        assert (cut.reason, cut.text, wrong.reason) == ("cut", "half", "bad_request")
        assert (down.reason, down.attempts, dropped.reason) == ("unavailable", 2, "dropped")
        assert fine.text == "fine" and len(server.calls) == 7
        again = client_of(server, path)
        assert again.counts() == {
            **{"cut": 1, "bad_request": 1, "unavailable": 1, "dropped": 1, "reply": 1},
            "possibly_paid_twice": 2,
        }
        cut, wrong, down, dropped, fine = again.ask_all(requests(5))
        assert len(server.calls) == 9  # two more
        assert (cut.reason, cut.text, cut.attempts, wrong.reason) == ("cut", "half", 0, "bad_request")
        assert (down.text, down.possibly_paid_twice) == ("a red car", 0)
        assert (dropped.text, dropped.possibly_paid_twice) == ("a red car", 2)


def test_a_spent_budget_says_how_to_go_on_and_the_next_run_does(path):
    with FaultyServer() as server:
        with pytest.raises(Stopped, match=r"3 of 3 calls.*same command again.*3 of 8 requests are answered") as caught:
            client_of(server, path, workers=2, budget=Budget(requests=3)).ask_all(requests(8))
        assert str(path) in str(caught.value) and len(server.calls) == 3
        stopped = [event for event in events(path) if event.startswith("stopped")]
        assert 1 <= len(stopped) <= 2  # one a worker: the others never began
        replies = client_of(server, path).ask_all(requests(8))
        assert len(server.calls) == 8 and all(reply.possibly_paid_twice == 0 for reply in replies)


def test_a_stop_in_the_middle_of_attempts_remembers_what_may_be_paid(path):
    with FaultyServer([drop()]) as server:
        with pytest.raises(Stopped):
            client_of(server, path, budget=Budget(requests=1)).ask_all(requests(1))
        (reply,) = client_of(server, path).ask_all(requests(1))
        assert reply.possibly_paid_twice == 1 and client_of(server, path).counts()["possibly_paid_twice"] == 1


@pytest.mark.long
def test_a_broken_server_ends_the_run_and_a_model_that_declines_does_not(path, tmp_path):
    with FaultyServer([status(500)] * 100) as server:
        with pytest.raises(
            Stopped, match="5 requests in a row have no usable reply; the last: unavailable: status 500"
        ):
            client_of(server, path).ask_all(requests(20))
        assert 10 <= len(server.calls) <= 14  # five requests of two attempts, and at most two that had begun
    with FaultyServer([good(None, refusal="no")] * 100) as server:
        found = client_of(server, tmp_path / "other.jsonl").ask_all(requests(20))
        assert {failure.reason for failure in found} == {"refused"} and len(server.calls) == 20


@pytest.mark.long
def test_as_many_requests_as_workers_are_in_flight(path):
    with FaultyServer(seconds=0.3) as server:
        client_of(server, path, workers=3).ask_all(requests(9))
        assert server.most_at_once == 3


def test_a_damaged_picture_is_one_failure_and_may_be_repaired(path, tmp_path):
    picture = tmp_path / "it.png"
    asked = [Request("r0", "What?", (str(picture),)), Request("r1", "What?")]
    with FaultyServer() as server:
        for content in (None, b"broken"):
            if content is not None:
                picture.write_bytes(content)
            failure, reply = client_of(server, path).ask_all(asked)
            assert failure.reason == "bad_picture" and reply.text == "a red car"
        Image.new("RGB", (4, 4)).save(picture)
        assert client_of(server, path).ask(asked[0]).text == "a red car"
        assert len(server.calls) == 2


def test_ids_are_unique(path):
    client = JournaledClient(Scripted(lambda request: Reply(request.id, "yes")), path)
    with pytest.raises(ValueError, match="1 ids come more than once, the first is 'r0'"):
        client.ask_all(requests(2) + requests(1))
    entered, leave = threading.Event(), threading.Event()

    def slow(request):
        entered.set()
        assert leave.wait(30)
        return Reply(request.id, "yes")

    client.client.answer = slow
    other = threading.Thread(target=client.ask, args=(requests(1)[0],))
    other.start()
    assert entered.wait(30)
    with pytest.raises(ValueError, match="r0 is being asked already"):
        client.ask(requests(1)[0])
    leave.set()
    other.join()


def test_an_error_of_ours_ends_the_run_and_leaves_the_request_open(path):
    def answer(request):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        JournaledClient(Scripted(answer), path).ask_all(requests(1))
    again = JournaledClient(Scripted(lambda request: Reply(request.id, "yes")), path)
    assert again.ask(requests(1)[0]).possibly_paid_twice == 1


# ---------------------------------------------------------------- killed

RUN = """
import sys
from mmhallu_core.clients.client import Request
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.clients.openai_client import OpenAiClient
client = JournaledClient(OpenAiClient(sys.argv[1], "m"), sys.argv[2], workers=3)
client.ask_all([Request(f"r{i}", f"What is number {i}?") for i in range(int(sys.argv[3]))])
"""


posix = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")


def started(server, path, count: int) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", RUN, server.url, str(path), str(count)])


def replies_in(path) -> dict[str, dict]:
    """The replies in a journal by id; its last line may be torn."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    records = [json.loads(line)["record"] for line in lines if line.endswith("}}")]
    return {record["id"]: record["reply"] for record in records if record["event"] == "reply"}


def check_end(server, path, count: int, kept: dict[str, dict]) -> dict[str, int]:
    """What must hold however often a run was killed; gives the number of calls for each request."""
    replies = replies_in(path)
    assert set(replies) == {f"r{i}" for i in range(count)}
    assert all(replies[name] == reply for name, reply in kept.items())  # nothing was lost or changed
    for name in replies:
        keys = [
            call.headers["idempotency-key"] for call in server.calls if call.prompt == f"What is number {name[1:]}?"
        ]
        assert len(set(keys)) == 1 <= len(keys) <= 1 + replies[name]["possibly_paid_twice"]
    return {name: reply["possibly_paid_twice"] for name, reply in replies.items()}


@posix
@pytest.mark.long
def test_kills_repeat_only_what_was_in_flight(path):
    """Two kills in a row, each while three workers wait for a reply; the third process finishes."""
    count, kept = 12, {}
    with FaultyServer([good()] * 4 + [hang()] * 3 + [good()] * 4 + [hang()] * 3) as server:
        for calls in (7, 14):  # the last three of them hang, so all replies before are in the journal
            process = started(server, path, count)
            deadline = time.monotonic() + 120
            while len(server.calls) < calls and time.monotonic() < deadline:
                time.sleep(0.02)
            process.kill()
            process.wait()
            assert len(server.calls) == calls
            first = dict(kept)
            kept |= replies_in(path)
        assert (len(first), len(kept)) == (4, 8)
        assert started(server, path, count).wait(timeout=120) == 0
        paid = check_end(server, path, count, kept)
        assert len(server.calls) == count + 6  # those in flight came twice, and no others
        # Which three of the workers' requests were in flight is theirs to say; how many, and that none was in the
        # journal by then, is not.
        assert sum(paid.values()) == 6 and not any(paid[name] for name in first)


@posix
@pytest.mark.slow
def test_kills_at_any_moment(path):
    """Twelve kills at random moments, in the middle of writes too."""
    count, kept, moments = 60, {}, random.Random(0)
    with FaultyServer(seconds=0.05) as server:
        for _ in range(12):
            process = started(server, path, count)
            begun = len(server.calls)
            while len(server.calls) == begun and process.poll() is None:
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.1))
            process.kill()
            process.wait()
            kept |= replies_in(path)
        assert started(server, path, count).wait(timeout=120) == 0
        assert sum(check_end(server, path, count, kept).values()) >= len(server.calls) - count > 0
