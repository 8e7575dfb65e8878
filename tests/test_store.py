"""Files are found or explained, downloads are checked, and a journal survives a kill at any byte."""

import errno
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from mmhallu_core import store
from mmhallu_core.store import Journal, JournalError, MissingFile
from mmhallu_core.types import CannotRun


@pytest.fixture
def server(tmp_path):
    """A web server on this machine that serves one small file, so that downloads are tested without a network."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "small.json").write_bytes(b'{"a": 1}')

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path / "c"))
    monkeypatch.delenv("MMHALLU_DATA", raising=False)
    assert store.data_folder() == tmp_path / "c" / "data"
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path / "d"))
    assert store.data_folder() == tmp_path / "d"


def test_a_missing_file_names_the_command_that_gets_it(monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    with pytest.raises(MissingFile, match="mmhallu data get pope"):
        store.data_file("pope/coco_pope_random.json")
    (tmp_path / "pope").mkdir()
    (tmp_path / "pope" / "x.json").write_text("{}", encoding="utf-8")
    assert store.data_file("pope/x.json").name == "x.json"
    with pytest.raises(MissingFile, match="mmhallu pretrain no-such-model"):
        store.checkpoint_folder("no-such-model")


def test_sha256_agrees_with_hashlib(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "x").write_bytes(content)
    assert store.sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_json_sha256_ignores_layout_but_not_content():
    assert store.json_sha256({"b": 1, "a": [1, 2]}) == store.json_sha256({"a": [1, 2], "b": 1})
    assert store.json_sha256({"a": [1, 2]}) != store.json_sha256({"a": [2, 1]})


def test_download_checks_the_content(server, tmp_path, monkeypatch):
    monkeypatch.delenv("MMHALLU_OFFLINE", raising=False)
    right = hashlib.sha256(b'{"a": 1}').hexdigest()
    store.download(f"{server}/small.json", tmp_path / "sub" / "got.json", right)
    assert (tmp_path / "sub" / "got.json").read_bytes() == b'{"a": 1}'
    with pytest.raises(CannotRun, match="thrown away"):
        store.download(f"{server}/small.json", tmp_path / "bad.json", "0" * 64)
    assert not (tmp_path / "bad.json").exists()
    with pytest.raises(CannotRun, match="could not fetch.*404"):
        store.download(f"{server}/absent.json", tmp_path / "absent.json", right)


def test_download_without_a_server_or_offline_explains(tmp_path, monkeypatch):
    monkeypatch.delenv("MMHALLU_OFFLINE", raising=False)
    with pytest.raises(CannotRun, match="online"):
        store.download("http://127.0.0.1:9/x", tmp_path / "x", None)
    monkeypatch.setenv("MMHALLU_OFFLINE", "1")
    with pytest.raises(CannotRun, match="MMHALLU_OFFLINE"):
        store.download("http://127.0.0.1:9/x", tmp_path / "x", None)


def test_a_journal_resumes_and_refuses_another_run(tmp_path):
    path = tmp_path / "runs" / "journal.jsonl"
    journal = Journal(path, {"seed": 1})
    journal.append({"step": 1, "text": "ünï\ncode"})
    journal.append({"step": 2})
    assert [r["step"] for r in Journal(path, {"seed": 1}).records()] == [1, 2]
    with pytest.raises(JournalError, match="another run"):
        Journal(path, {"seed": 2})


@pytest.mark.long
def test_a_journal_cut_at_any_byte_keeps_every_whole_record(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, {"seed": 1})
    for step in range(3):
        journal.append({"step": step})
    data, ends = path.read_bytes(), []
    for place, byte in enumerate(data):
        if byte == 10:
            ends.append(place + 1)
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends)
        resumed = Journal(path, {"seed": 1})
        assert len(resumed.records()) == max(0, whole - 1)
        resumed.append({"step": 99})
        assert Journal(path, {"seed": 1}).records()[-1] == {"step": 99}


def test_damage_in_the_middle_is_an_error_not_a_loss(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, {})
    for step in range(3):
        journal.append({"step": step})
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[2] = lines[2].replace('"step": 1', '"step": 7')
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    with pytest.raises(JournalError, match="line 3"):
        Journal(path, {})


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "journal.jsonl"
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from mmhallu_core.store import Journal
        journal = Journal(Path(sys.argv[1]), {"seed": 1})
        step = len(journal.records())
        while True:
            journal.append({"step": step, "filler": "x" * 5000})
            step += 1
            print(step, flush=True)
    """)
    for _ in range(2):  # Twice: some writers survive the first kill and lose data at the second.
        child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
        acknowledged = int(child.stdout.readline())
        time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")
        child.wait()
        child.stdout.close()
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        steps = [record["step"] for record in Journal(path, {"seed": 1}).records()]
        assert steps == list(range(len(steps))) and len(steps) >= acknowledged


def test_journal_lines_are_plain_json(tmp_path):
    Journal(tmp_path / "j", {"seed": 1}).append({"a": 1})
    lines = (tmp_path / "j").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["record"] for line in lines] == [{"seed": 1}, {"a": 1}]


def test_an_append_that_fails_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "j.jsonl", {"seed": 0})
    journal.append({"n": 1})
    before = journal.path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.append({"n": 2})
    assert journal.path.read_bytes() == before
    journal.append({"n": 3})
    assert Journal(journal.path, {"seed": 0}).records() == [{"n": 1}, {"n": 3}]
