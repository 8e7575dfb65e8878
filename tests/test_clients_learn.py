"""What a client learns from a server's first refusals: another name for a field, a field too many, a wrong model."""

import json

import pytest
from faulty_server import FaultyServer, completion, drop, good, status
from test_clients_cli import eight, rated, run, words

from mmhallu_core.clients.client import CallFailed, Request, Stopped
from mmhallu_core.clients.gemini_client import GeminiClient
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.clients.openai_client import OpenAiClient, Patience

ASKED = Request("one", "What is it?", max_tokens=50)
CALM = Patience(attempts=6, longest_pause=60.0)


@pytest.fixture
def files(tmp_path):
    return eight(tmp_path)


def error(message: str, field: str | None = None, code: str | None = None, number: int = 400):
    """An error in the form that OpenAI documents: a message, the field it is about, and a code."""
    content = {"error": {"message": message, "type": "invalid_request_error", "param": field, "code": code}}
    return lambda handler, call: handler.reply(number, json.dumps(content).encode())


def newer(handler, call):
    """A newer model behind OpenAI's form, by its documentation: it takes `max_completion_tokens`, and no temperature
    but 1."""
    if "max_tokens" in call.body:
        advice = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
        error(advice, "max_tokens", "unsupported_parameter")(handler, call)
    elif call.body.get("temperature", 1) != 1:
        advice = "Unsupported value: 'temperature' does not support 0 with this model."
        error(advice, "temperature", "unsupported_value")(handler, call)
    else:
        good()(handler, call)


def refused(server) -> int:
    return sum("max_tokens" in call.body or "temperature" in call.body for call in server.calls)


def test_a_newer_model_is_understood_and_each_refusal_costs_one_call(tmp_path):
    pauses = []
    with FaultyServer([newer] * 99) as server:
        client = OpenAiClient(server.url, "m", patience=CALM, sleep=pauses.append)
        reply = client.ask(ASKED)
        assert (reply.text, reply.attempts, reply.refused_fields) == ("a red car", 3, ("max_tokens", "temperature"))
        assert server.calls[-1].body["max_completion_tokens"] == 50 and len(server.calls) == 3 and not pauses
        keys = [call.headers["idempotency-key"] for call in server.calls]
        assert len(set(keys)) == 3  # a server that knows a key refuses another body under it
        for name in ("two", "three"):
            assert client.ask(Request(name, "What?")).attempts == 1
        assert len(server.calls) == 5 and refused(server) == 2


def test_many_at_once_and_a_second_run_that_costs_nothing(tmp_path):
    requests = [Request(f"q{i}", f"What is {i}?") for i in range(12)]
    with FaultyServer([newer] * 99, seconds=0.02) as server:
        for _ in range(2):
            asking = JournaledClient(OpenAiClient(server.url, "m"), tmp_path / "journal.jsonl", workers=4)
            assert [reply.text for reply in asking.ask_all(requests)] == ["a red car"] * 12
            assert asking.spent()["without_temperature"] == 12
            assert asking.spent()["calls"] == len(server.calls) <= 12 + 2 * 4  # each worker may be told twice


def test_the_judge_s_command_says_that_replies_are_drawn(files):
    with FaultyServer([newer] * 99, rated) as server:
        code, out, _ = run(*words(files, server, "--workers", "1"))
        assert code == 0 and "8 replies are drawn" in out and len(server.calls) == 10
        code, out, _ = run(*words(files, server, "--json"))
        assert code == 0 and json.loads(out)["without_temperature"] == 8 and len(server.calls) == 10


def test_the_judge_s_options_ask_rightly_at_once(files):
    more = ["--limit-field", "max_completion_tokens", "--no-temperature", "--max-tokens", "3000", "--json"]
    with FaultyServer([newer] * 99, rated) as server:
        code, out, _ = run(*words(files, server, *more))
        assert code == 0 and len(server.calls) == 8 and refused(server) == 0
        assert {call.body["max_completion_tokens"] for call in server.calls} == {3000}
        assert "without_temperature" not in json.loads(out)  # it was asked for


@pytest.mark.parametrize(
    "more, words_",
    [
        (["--limit-field", "max_new_tokens"], "max_completion_tokens"),
        (["--workers", "0"], "workers"),
        (["--calls", "-1"], "calls"),
        (["--tokens", "-1"], "tokens"),
        (["--seconds", "-1"], "seconds"),
        (["--max-tokens", "0"], "max-tokens"),
    ],
)
def test_the_judge_s_options_are_bounded(files, more, words_):
    with FaultyServer(answer=rated) as server:
        code, _, err = run(*words(files, server, *more))
    assert code == 2 and words_ in err and server.calls == []


@pytest.mark.parametrize("option", [["--calls", "3"], ["--tokens", "9"], ["--seconds", "9"], ["--no-temperature"]])
def test_options_for_a_server_need_one(files, option):
    given = ["--questions", files / "response_template.json", "--answers", files / "answers.jsonl"]
    code, _, err = run("judge", "mmhal", *given, "--model", "tiny-llava", "--out", files / "out", *option)
    assert code == 2 and f"{option[0]}: only with --server" in err


@pytest.mark.parametrize(
    "message",
    ["too many pictures", "The prompt about the temperature of water is too long", "max_tokens must be below 10"],
)
def test_another_bad_request_is_asked_once(message):
    with FaultyServer([error(message)] * 9) as server, pytest.raises(CallFailed, match="bad_request") as caught:
        OpenAiClient(server.url, "m", patience=CALM).ask(ASKED)
    assert len(server.calls) == caught.value.attempts == 1


def test_a_server_that_is_never_content_is_asked_once_more():
    always = error("'temperature' is not supported", "temperature", "unsupported_parameter", 422)
    with FaultyServer([always, always, good(), good()]) as server:
        client = OpenAiClient(server.url, "m", patience=CALM)
        with pytest.raises(CallFailed, match="bad_request") as caught:
            client.ask(ASKED)
        assert len(server.calls) == caught.value.attempts == 2
        assert client.ask(Request("two", "What?")).refused_fields is None  # what did not help is not kept
        assert server.calls[-1].body["temperature"] == 0


# ---------------------------------------------------------------- a wrong model under status 500


def test_a_wrong_model_s_name_ends_the_run_at_once(tmp_path):
    requests = [Request(f"q{i}", f"What is {i}?") for i in range(12)]
    with FaultyServer([status(500)] * 99, models=["llava", "qwen"]) as server:
        client = OpenAiClient(server.url, "lava", patience=CALM, sleep=lambda seconds: None)
        with pytest.raises(Stopped, match=r"'lava' is not among its models \(llava, qwen\)"):
            JournaledClient(client, tmp_path / "journal.jsonl", workers=4).ask_all(requests)
    assert len(server.calls) <= 4 and server.listings == 1


def test_a_server_in_trouble_with_its_models_too():
    with FaultyServer([status(500)] * 9, models=500) as server, pytest.raises(Stopped, match="status 500, and 500"):
        OpenAiClient(server.url, "m", patience=CALM).ask(ASKED)
    assert len(server.calls) == server.listings == 1


@pytest.mark.parametrize("models", [["llava", "m"], 404, 405, 501, 401])
def test_a_right_name_or_no_list_and_a_moment_of_trouble(models):
    with FaultyServer([status(500), status(500)], models=models) as server:
        reply = OpenAiClient(server.url, "m", patience=CALM, sleep=lambda seconds: None).ask(ASKED)
    assert (reply.text, reply.attempts, server.listings) == ("a red car", 3, 1)


@pytest.mark.parametrize("listed", [b"", b"[]", b"null", b'{"data": 3}', b'{"data": [3]}', b'{"data": [{}]}', b"<p>"])
def test_a_list_that_is_none_says_nothing(listed):
    with FaultyServer([status(500)]) as server:
        server.models = listed
        assert OpenAiClient(server.url, "m", patience=CALM, sleep=lambda seconds: None).ask(ASKED).attempts == 2


def test_whoever_has_replied_knows_the_model():
    with FaultyServer([good(), status(500)], models=["another"]) as server:
        client = OpenAiClient(server.url, "m", patience=CALM, sleep=lambda seconds: None)
        assert client.ask(ASKED).attempts == 1 and client.ask(Request("two", "What?")).attempts == 2
    assert server.listings == 0


def test_gemini_says_404_itself():
    with FaultyServer([status(500), drop()], models=500) as server:
        client = GeminiClient("m", "a-key", server.url, patience=CALM, sleep=lambda seconds: None)
        with pytest.raises(CallFailed, match="unreadable"):  # the third reply has OpenAI's form
            client.ask(ASKED)
    assert server.listings == 0


def test_an_address_that_sends_us_on_is_not_followed():
    with FaultyServer() as other:
        moved = [lambda handler, call: handler.reply(307, b"", {"Location": other.url + "/chat/completions"})]
        with FaultyServer(moved) as server, pytest.raises(Stopped, match=f"sends us on to {other.url}"):
            OpenAiClient(server.url, "m", patience=CALM).ask(ASKED)
    assert other.calls == []


# ---------------------------------------------------------------- texts that no file can hold


@pytest.mark.long
@pytest.mark.parametrize("half", ["\\ud83d", "\\udc00 and \\ud800", "\\ude00\\ud83d"])
def test_half_of_a_surrogate_pair_in_a_reply(files, half):
    content = completion("HALF It names.\nRating: 4").replace(b"HALF", half.encode())
    with FaultyServer([lambda handler, call: handler.reply(200, content)] * 8) as server:
        code, out, _ = run(*words(files, server, "--json"))
        assert code == 0 and json.loads(out)["official"]["score"] == 4
        assert run(*words(files, server, "--json"))[0] == 0 and len(server.calls) == 8
    assert "\ufffd" in (files / "out" / "verdicts.jsonl").read_text(encoding="utf-8")


def test_a_whole_pair_stays():
    with FaultyServer([lambda handler, call: handler.reply(200, completion("\U0001f600"))]) as server:
        assert OpenAiClient(server.url, "m").ask(ASKED).text == "\U0001f600"


def test_half_of_a_pair_in_a_prompt_is_one_failure_and_in_an_id_none(tmp_path):
    requests = [Request("bad", "What is \ud83d?"), Request("odd \ud83d", "What?"), Request("good", "What?")]
    with FaultyServer() as server:
        asking = JournaledClient(OpenAiClient(server.url, "m"), tmp_path / "journal.jsonl", workers=1)
        outcomes = asking.ask_all(requests)
        assert outcomes[0].reason == "bad_request" and "surrogate" in outcomes[0].detail
        assert [outcome.text for outcome in outcomes[1:]] == ["a red car"] * 2 and len(server.calls) == 2
        again = JournaledClient(OpenAiClient(server.url, "m"), tmp_path / "journal.jsonl", workers=1)
        assert [reply.id for reply in again.ask_all(requests[1:])] == ["odd \ud83d", "good"] and len(server.calls) == 2


def test_nested_without_end_is_unreadable():
    deep = b'{"choices": ' + b"[" * 200_000
    with FaultyServer([lambda handler, call: handler.reply(200, deep)] * 2) as server:
        client = OpenAiClient(server.url, "m", "sk-a-long-key", patience=Patience(attempts=1))
        with pytest.raises(CallFailed, match="unreadable"):
            client.ask(ASKED)


def test_no_workers_is_said(tmp_path):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        JournaledClient(OpenAiClient("http://127.0.0.1:1/v1", "m"), tmp_path / "journal.jsonl", workers=0)
