"""A real server on this machine, `transformers serve` with tiny-llava, says what the model says in this process."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext

import pytest
import requests
import torch
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.clients.client import CallFailed, Client, Request, Stopped
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.clients.local import LocalClient
from mmhallu_core.clients.openai_client import OpenAiClient
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import checkpoint_folder
from mmhallu_core.types import CannotRun
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long

MODEL = str(checkpoint_folder("tiny-llava"))


@pytest.fixture(scope="module")
def local():
    return LocalClient(Vlm.load("tiny-llava", device="cpu"))


@contextmanager
def serving(folder, *model):
    """The address of a server that runs until the `with` block ends; without a model it loads what it is asked for."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = "from transformers.cli.transformers import main; main()"
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    here = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    with open(folder / "log.txt", "w", encoding="utf-8") as log:
        command = [sys.executable, "-c", start, "serve", *model, *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | here)
        try:
            for _ in range(600):
                try:
                    if requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok:
                        break
                except requests.ConnectionError:
                    assert process.poll() is None, (folder / "log.txt").read_text(encoding="utf-8")
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server of the model that runs until the module's tests are done."""
    with serving(tmp_path_factory.mktemp("serve"), MODEL) as url:
        yield url


def scene(seed: str) -> bytes:
    out = io.BytesIO()
    render(sample_scene(seed)).image.save(out, "PNG")
    return out.getvalue()


REQUESTS = [
    Request("caption", "Describe the image.", (scene("served/0"),), max_tokens=200),
    Request("another", "Describe the image.", (scene("served/1"),), max_tokens=200),
    Request("question", "Is there a dog?", (scene("served/0"),)),
    Request("no picture", "Is there a dog?"),
    Request("two pictures", "What is different?", (scene("served/0"), scene("served/1")), max_tokens=200),
]


def test_a_served_model_says_what_it_says_here(server, local, tmp_path):
    served = JournaledClient(OpenAiClient(server, MODEL), tmp_path / "journal.jsonl", workers=2)
    theirs = served.ask_all(REQUESTS)
    assert theirs == [local.ask(request) for request in REQUESTS]
    assert all(reply.text and reply.usage["completion_tokens"] > 1 for reply in theirs)
    tokens = {reply.id: reply.usage["prompt_tokens"] for reply in theirs}
    assert tokens["two pictures"] > tokens["question"] + 32 > tokens["no picture"] + 64  # a picture is many tokens


def test_a_reply_that_is_cut_is_a_failure_with_the_same_text(server, local):
    texts = []
    for client in (OpenAiClient(server, MODEL), local):
        with pytest.raises(CallFailed, match="cut: the reply reached max_tokens") as caught:
            client.ask(Request("short", "Describe the image.", (scene("served/0"),), max_tokens=3))
        texts.append(caught.value.text)
    assert texts[0] == texts[1] != ""


def test_what_a_local_model_refuses(local):
    assert isinstance(local, Client) and (local.about["kind"], local.about["model"]) == ("local", "tiny-llava")
    with pytest.raises(CannotRun, match="ask for temperature 0"):
        local.ask(Request("warm", "Is there a dog?", temperature=0.7))
    with pytest.raises(CallFailed, match="bad_request: .*sample sign"):
        local.ask(Request("sign", "Is there an <image>?", (scene("served/0"),)))
    with pytest.raises(CallFailed, match="bad_picture"):
        local.ask(Request("broken", "Is there a dog?", (scene("served/0")[:100],)))
    before = local.about["weights"]
    with torch.no_grad():
        next(local.vlm.model.parameters())[0] += 1  # a journal must not mix answers of two models of one name
        assert LocalClient(local.vlm).about["weights"] != before
        next(local.vlm.model.parameters())[0] -= 1
    told = local.ask(Request("told", "Is there a dog?", (scene("served/0"),), system="Answer the question."))
    same = local.ask(Request("told", "Answer the question.\n\nIs there a dog?", (scene("served/0"),)))
    assert told == same


def test_eval_by_a_server_scores_as_eval_here(server, tmp_path):
    words = ["eval", "pope-diorama", "--model", MODEL, "--limit", "6", "--json", "--out"]
    here = CliRunner().invoke(app, [*words, str(tmp_path / "here")])
    there = CliRunner().invoke(app, [*words, str(tmp_path / "there"), "--server", server])
    assert (here.exit_code, there.exit_code) == (0, 0), there.stderr
    scores, theirs = json.loads(here.stdout), json.loads(there.stdout)
    assert {key: theirs[key] for key in ("n", "official", "strict")} == {
        key: scores[key] for key in ("n", "official", "strict")
    }
    assert (tmp_path / "here" / "answers.jsonl").read_bytes() == (tmp_path / "there" / "answers.jsonl").read_bytes()


@pytest.mark.parametrize("pinned", [True, False])
def test_a_model_that_the_server_does_not_have_ends_the_run_at_once(tmp_path, request, pinned):
    """A server of one model says 400, one that loads any model says 500, as if it were out of order for a moment."""
    with nullcontext(request.getfixturevalue("server")) if pinned else serving(tmp_path) as url:
        wrong = OpenAiClient(url, "no/such-model")
        with pytest.raises(Stopped, match="model's name"):
            JournaledClient(wrong, tmp_path / "journal.jsonl", workers=2).ask_all(REQUESTS[2:4])
        assert wrong.budget.used_requests <= 2, "not six attempts each, with pauses"
