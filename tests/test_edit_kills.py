"""SIGKILL at random moments: the results of a run are the same bytes, and no reply is paid for twice unknowingly."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from edit_pipeline import Paid
from faulty_server import FaultyServer

from maintenance.med_kills import Copied, Served, content, look, survive, unharmed
from mmhallu_core.edit.engine.local import await_old_workers
from mmhallu_core.edit.engine.run import build
from mmhallu_core.store import results_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
N, KILLS = 150, 5

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import edit_pipeline
from mmhallu_core.edit.engine.run import build
if __name__ == "__main__":
    build(edit_pipeline.Paid(int(sys.argv[3]), sys.argv[4], in_flight=3), sys.argv[2], workers=2, chunk=6)
"""


def started(out: Path, url: str) -> subprocess.Popen:
    script = out.parent / "run_it.py"  # a file: spawned workers import the main module again
    script.write_text(RUN, encoding="utf-8")
    return subprocess.Popen([sys.executable, str(script), str(Path(__file__).parent), str(out), str(N), url])


@pytest.mark.long(25)
def test_five_kills_change_nothing(tmp_path):
    """Two workers ask a server; the first process is killed five times in a row, its workers must notice."""
    out, moments, before = tmp_path / "out", random.Random(0), {}
    with FaultyServer(answer=lambda call: f"said {call.prompt}", seconds=0.1) as server:
        for _ in range(KILLS):
            process, begun = started(out, server.url), len(server.calls)
            while len(server.calls) == begun and process.poll() is None:
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.25))
            process.kill()
            process.wait()
            await_old_workers(out)  # raises unless they end
            calls = len(server.calls)
            found = look(out, before)
            assert (found["lost"], found["late"]) == (0, 0)
            before = found
            time.sleep(0.1)
            assert len(server.calls) == calls, "a worker without a run still asks"
        assert 0 < len(before["kept"]) and before["chunks"] < N // 6, "the kills fell into the run"
        assert started(out, server.url).wait(timeout=240) == 0
        asked = len(server.calls)
        result = build(Paid(N, server.url, 3), out, workers=0, chunk=6)
        assert result["resumed"] == N and len(server.calls) == asked
        build(Paid(N, server.url), tmp_path / "calm", workers=0, chunk=6)
    wanted, got = content(tmp_path / "calm"), content(out)
    assert got == wanted
    keys = defaultdict(Counter)
    for call in server.calls[:asked]:
        keys[call.prompt][call.headers["idempotency-key"]] += 1
    assert all(len(used) == 1 for used in keys.values()), "a request that is asked again has the same key"
    repeated = asked - len(keys)
    assert 0 <= repeated <= result["spent"]["possibly_paid_twice"] <= KILLS * 2 * 3


@pytest.mark.slow
@pytest.mark.parametrize("start, drafts, kills", [(Copied, 96, 60), (Served, 48, 40)])
def test_a_hundred_kills(tmp_path, start, drafts, kills):
    found = survive(start(drafts), kills, tmp_path)
    assert found["kills"] == kills and found["in_a_row"] > 1 and unharmed(found), found


def test_the_record_of_a_hundred_kills():
    record = json.loads((results_folder() / "med-pipeline" / "kills.json").read_text(encoding="utf-8"))
    parts = record["parts"].values()
    assert sum(part["kills"] for part in parts) >= 100 and min(part["in_a_row"] for part in parts) >= 2
    assert all(map(unharmed, parts)) and all(part["runs"] > 0 for part in parts)
    assert set(record["parts"]) == {"world", "paid"}


def test_a_record_tells_harm():
    good = {"lost": 0, "asked_after_reply": 0, "unaccounted": 0, "files_equal": True}
    assert unharmed(good)
    assert not any(map(unharmed, [good | {"lost": 1}, good | {"unaccounted": 1}, good | {"files_equal": False}]))
