"""A long run: the same bytes however it is cut and shared, clear refusals, nothing lost when the disk is full."""

import errno
import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import edit_pipeline
import pytest
from edit_pipeline import Broken, Fatal, Paid, Slow, plain
from faulty_server import FaultyServer, good, status
from PIL import Image
from test_decode import JPEG, REFUSED, WHOLE, picture, png_of, saved

from mmhallu_core.clients.client import Request, Stopped
from mmhallu_core.data import decode as decoder
from mmhallu_core.data.decode import Reason, decode
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.engine import work
from mmhallu_core.edit.engine.folder import FolderSource
from mmhallu_core.edit.engine.run import build
from mmhallu_core.store import JournalError, Lock, Locked, sha256
from mmhallu_core.types import CannotRun, EditSample, read_jsonl, write_jsonl

pytestmark = pytest.mark.long

N = 105
RESULTS = ("samples.jsonl", "rejected.jsonl", "manifest.json")


def make(n=N, seed=0):
    return functools.partial(plain, n, seed)


def content(out: Path) -> dict[str, str]:
    """Every result file of a run: its hash by name. Journals say who did what when, so they are none."""
    files = [out / name for name in RESULTS] + sorted(out.glob("images/**/*.*")) + sorted(out.glob("masks/**/*.*"))
    return {path.relative_to(out).as_posix(): sha256(path) for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run in one process, which nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return out, build(make(), out, workers=0, chunk=8)


# ---------------------------------------------------------------- results


def test_results_are_samples_rejections_pictures_and_a_manifest(whole):
    out, result = whole
    samples, rejected = read_jsonl(out / "samples.jsonl", EditSample), read_jsonl(out / "rejected.jsonl", Rejected)
    none = {i for i in range(N) if i % 7 == 3}
    unplanned = {i for i in range(N) if i % 5 == 4} - none
    assert [one.id for one in samples] == [f"d{i}" for i in range(N) if i not in none | unplanned]
    assert [one.id for one in rejected] == [f"d{i}" for i in range(N) if i in none | unplanned]
    reasons = {"plan: no_plan": len(unplanned), "source: no_picture": len(none)}
    assert result["reasons"] == reasons and result["n"] == N
    assert (result["samples"], result["rejected"]) == (len(samples), len(rejected)) == (N - 33, 33)
    assert {one.text for one in rejected} == {None, "I would rather not."}
    for one in samples[:3]:
        index = int(one.id[1:])
        assert one.caption == f"number {index}, and é" and one.answer == f"The grey of {one.id}."
        assert one.provenance == {"editor": "grey", "mask": f"masks/{index // 8:06d}/{index:06d}.png"}
        for name in (one.image, one.edited_image, one.provenance["mask"]):
            with Image.open(out / name) as image:
                assert image.size == (8, 8)
        assert (out / one.image).read_bytes() == edit_pipeline.Plain(N).draft(index).image
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"]["samples.jsonl"] == result["sha256"] == sha256(out / "samples.jsonl")
    assert manifest["reasons"] == reasons and manifest["run"]["source"] == {"kind": "plain", "seed": 0}
    assert not (out / "chunks").exists() and not list(out.rglob("*.part"))
    assert len(list(out.glob("images/*/*"))) == 2 * len(samples)
    written = io.StringIO()
    path = out.parent / "again.jsonl"
    write_jsonl(path, samples)
    assert path.read_bytes() == (out / "samples.jsonl").read_bytes(), written


def test_the_same_bytes_whatever_the_workers_and_the_order(whole, tmp_path):
    shared = tmp_path / "shared"
    assert build(make(), shared, workers=3, chunk=8)["samples"] == N - 33
    lines = [json.loads(line)["record"] for line in (shared / "journal.jsonl").read_text("utf-8").splitlines()]
    assert sorted(line["chunk"] for line in lines[1:]) == list(range(14))
    assert content(shared) == content(whole[0])


def test_a_finished_run_is_not_repeated(whole, tmp_path):
    out, first = whole
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")}
    again = build(make(), out, workers=0, chunk=8)
    assert again["resumed"] == N and first["resumed"] == 0
    assert {**again, "seconds": 0, "resumed": 0} == {**first, "seconds": 0, "resumed": 0}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")} == before


def test_damage_to_a_chunk_or_a_result_is_repaired(whole, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError):  # chunk 1 fails, chunk 0 is done
        build(Broken(16, "bug"), out, workers=0, chunk=8)
    (out / "chunks" / "000000.samples.jsonl").write_bytes(b"nonsense")
    monkeypatch.setattr(
        Broken, "__call__", lambda self: (edit_pipeline.Plain(16), [*edit_pipeline.STAGES, ("fail", list)])
    )
    assert build(Broken(16, "none"), out, workers=0, chunk=8)["resumed"] == 0
    once = content(out)
    (out / "samples.jsonl").unlink()
    assert build(Broken(16, "none"), out, workers=0, chunk=8)["samples"] == 11 and content(out) == once


@pytest.mark.parametrize(
    "name", ["images/000002/000016.png", "images/000002/000018-edited.png", "masks/000002/000016.png"]
)
def test_a_picture_that_was_deleted_is_made_again(whole, tmp_path, name):
    once, _ = whole
    out = shutil.copytree(once, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in out.glob("images/**/*.*")}
    (out / name).unlink()
    again = build(make(), out, workers=0, chunk=8)
    assert again["resumed"] == N - 8 and (again["samples"], again["rejected"]) == (N - 33, 33)
    assert content(out) == content(once) and not (out / "chunks").exists()
    touched = {path for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert {path.parent.name for path in touched} <= {"000002"}  # one chunk, not all of them
    assert build(make(), out, workers=0, chunk=8)["resumed"] == N


def test_a_picture_that_was_deleted_before_the_end_is_made_again(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError):  # chunk 1 fails, chunk 0 is done
        build(Broken(16, "bug"), out, workers=0, chunk=8)
    (out / "images" / "000000" / "000000.png").unlink()
    monkeypatch.setattr(
        Broken, "__call__", lambda self: (edit_pipeline.Plain(16), [*edit_pipeline.STAGES, ("fail", list)])
    )
    assert build(Broken(16, "none"), out, workers=0, chunk=8)["resumed"] == 0
    assert (out / "images" / "000000" / "000000.png").is_file()


def test_a_deleted_picture_costs_no_call_and_other_replies_are_not_mixed_in(tmp_path):
    with FaultyServer(answer=lambda call: call.prompt) as server:
        paid = Paid(9, server.url)
        build(paid, tmp_path / "out", workers=0, chunk=3)
        once, calls = content(tmp_path / "out"), len(server.calls)
        (tmp_path / "out" / "images" / "000001" / "000005.png").unlink()
        build(paid, tmp_path / "out", workers=0, chunk=3)
        assert content(tmp_path / "out") == once and len(server.calls) == calls
        (tmp_path / "out" / "images" / "000001" / "000005.png").unlink()
        (tmp_path / "out" / "calls" / "000001-0.jsonl").unlink()
        server.answer = lambda call: "something else"
        with pytest.raises(CannotRun, match="chunk 1 does not come out as it was. Run the same command again"):
            build(paid, tmp_path / "out", workers=0, chunk=3)
        assert build(paid, tmp_path / "out", workers=0, chunk=3)["resumed"] == 0
    captions = {one.id: one.edited_caption for one in read_jsonl(tmp_path / "out" / "samples.jsonl", EditSample)}
    assert {name for name, text in captions.items() if text == "something else"} == {"d5"}  # d3 has none, d4 no plan


def test_numbers_out_of_bounds_are_refused(tmp_path):
    for wrong in ({"workers": -1}, {"chunk": 0}, {"chunk": -8}):
        with pytest.raises(CannotRun, match="at least"):
            build(make(), tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_what_lacks_a_field_becomes_a_rejection(tmp_path):
    def unfinished():
        return edit_pipeline.Plain(3), edit_pipeline.STAGES[:2]

    result = build(unfinished, tmp_path / "out", workers=0)
    assert result["samples"] == 0 and result["reasons"] == {"finish: not_a_sample": 3}
    (first, *_) = read_jsonl(tmp_path / "out" / "rejected.jsonl", Rejected)
    assert "edited_caption" in first.detail and not list((tmp_path / "out").glob("images/*/*"))


def test_half_a_surrogate_pair_in_a_reply_is_kept(tmp_path):
    def odd():
        return edit_pipeline.Plain(3), [
            ("odd", lambda some: [Rejected(d.id, "odd", "odd", "x", "\ud83d") for d in some])
        ]

    build(odd, tmp_path / "out", workers=0)
    assert [one.text for one in read_jsonl(tmp_path / "out" / "rejected.jsonl", Rejected)] == ["\ud83d"] * 3


@pytest.mark.parametrize(
    "end, ending", [(WHOLE, ".png"), (JPEG, ".jpg"), (saved(picture(), "WEBP"), ".webp"), (b"?", ".bin")]
)
def test_pictures_are_named_by_what_they_are(end, ending):
    found = work.picture_files(Draft("x", end), "0/1")
    assert found == {"image": ("images/0/1" + ending, end)}


# ---------------------------------------------------------------- refusals


def test_another_configuration_is_refused_and_named(whole):
    out, _ = whole
    before = content(out)
    for other, said in (
        (make(seed=1), "source: there .*'seed': 0.*now .*'seed': 1"),
        (make(n=7), "n: there 105, now 7"),
    ):
        with pytest.raises(CannotRun, match=r"holds another run: use a new --out, or the options") as caught:
            build(other, out, workers=0, chunk=8)
        assert caught.match(said)
    with pytest.raises(CannotRun, match="chunk: there 8, now 9"):
        build(make(), out, workers=0, chunk=9)
    assert content(out) == before


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years", encoding="utf-8")
    with pytest.raises(CannotRun, match=r"holds 'thesis.txt' and no run"):
        build(make(), tmp_path, workers=0)
    with pytest.raises(CannotRun, match="is a file, not a folder"):
        build(make(), tmp_path / "thesis.txt", workers=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("[1", encoding="utf-8")
    with pytest.raises(CannotRun, match="is not what a run wrote"):
        build(make(), tmp_path / "run", workers=0)


def test_a_changed_journal_is_refused(tmp_path):
    with pytest.raises(ZeroDivisionError):
        build(Broken(32, "bug"), tmp_path / "out", workers=0, chunk=4)
    journal = tmp_path / "out" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    journal.write_bytes(b"".join([lines[0], lines[1].replace(b'"samples": 3', b'"samples": 9'), *lines[2:]]))
    with pytest.raises(JournalError, match="line 2: the line was changed"):
        build(Broken(32, "bug"), tmp_path / "out", workers=0, chunk=4)


def test_no_such_engine(tmp_path):
    with pytest.raises(CannotRun, match="no such engine: 'spark'; choose one of local, ray"):
        build(make(), tmp_path / "out", engine="spark")


RUN = """
import sys, functools
sys.path.insert(0, sys.argv[1])
import edit_pipeline
from mmhallu_core.edit.engine.run import build
if __name__ == "__main__":
    build(edit_pipeline.Slow(160, 0.2), sys.argv[2], workers=int(sys.argv[3]), chunk=8)
"""


def started(out, workers) -> subprocess.Popen:
    """A slow run in another process, well under way."""
    script = out.parent / "run_it.py"  # a file: spawned workers import the main module again
    script.write_text(RUN, encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(script), str(Path(__file__).parent), str(out), str(workers)])
    journal, deadline = out / "journal.jsonl", time.monotonic() + 120
    while (not journal.exists() or journal.read_bytes().count(b"\n") < 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    return process


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes_refuse_each_other_and_a_dead_one_bars_nobody(tmp_path, workers):
    out = tmp_path / "out"
    process = started(out, workers)
    try:
        with pytest.raises(Locked, match=rf"is in use by process {process.pid}: wait for it"):
            build(Slow(160, 0.2), out, workers=0, chunk=8)
    finally:
        process.kill()
        process.wait()
    result = build(Slow(160, 0.2), out, workers=0, chunk=8)
    assert result["resumed"] >= 8 and result["n"] == 160
    build(Slow(160, 0.0), tmp_path / "calm", workers=0, chunk=8)
    assert content(out) == content(tmp_path / "calm")


def test_a_lock_is_given_back_and_waited_for(tmp_path):
    path = tmp_path / "locks" / "run"
    for _ in range(2):
        with Lock(path, "it"):
            with pytest.raises(Locked, match=f"it is in use by process {os.getpid()}"), Lock(path, "it", 0.05):
                pass


# ---------------------------------------------------------------- workers that fail


@pytest.mark.long
def test_a_worker_that_dies_costs_its_chunk_and_no_more(whole, tmp_path):
    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    result = build(Fatal(N, 2, marks), out, workers=2, chunk=8)
    assert len(list(marks.iterdir())) == 2 and result["samples"] == N - 33
    assert (out / "samples.jsonl").read_bytes() == (whole[0] / "samples.jsonl").read_bytes()
    for one in marks.iterdir():
        one.unlink()
    with pytest.raises(CannotRun, match=r"3 workers died on chunk 1 \(the last with status 9\).*Try fewer --workers"):
        build(Fatal(N, 3, marks), tmp_path / "deadly", workers=1, chunk=8)


@pytest.mark.long
def test_what_a_worker_says_is_said_here(tmp_path):
    with pytest.raises(RuntimeError, match="ZeroDivisionError: in a stage"):
        build(Broken(N, "bug"), tmp_path / "a", workers=1, chunk=8)
    with pytest.raises(CannotRun, match="the disk of .* is full .*Make room and run the same command again"):
        build(Broken(N, "disk"), tmp_path / "b", workers=1, chunk=8)
    with pytest.raises(RuntimeError, match="stage fail must answer the drafts that it got"):
        build(Broken(N, "lost"), tmp_path / "c", workers=1, chunk=8)


# ---------------------------------------------------------------- the disk


@pytest.mark.parametrize(
    "name", ["000002.samples.jsonl", "000001/000008.png", "out/journal.jsonl", "out/rejected.jsonl", "manifest.json"]
)
def test_a_full_disk_loses_nothing(whole, tmp_path, monkeypatch, name):
    """The first write to a file of that name, of a journal the third, finds no room after half of its bytes."""
    opened, writes = open, []

    class Full(io.FileIO):
        def write(self, data):
            writes.append(self.name)
            if len(writes) >= (3 if name == "out/journal.jsonl" else 1):
                super().write(bytes(data)[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.name))
            return super().write(data)

    def small(file, mode="r", *rest, **options):
        if Path(file).as_posix().removesuffix(".part").endswith(name) and mode in ("wb", "ab"):
            return Full(str(file), mode)
        return opened(file, mode, *rest, **options)

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", small)
        with pytest.raises(CannotRun, match="is full .*No space left.*Make room and run the same command again"):
            build(make(), out, workers=0, chunk=8)
    result = build(make(), out, workers=0, chunk=8)
    assert content(out) == content(whole[0]) and not list(out.rglob("*.part"))
    assert name == "manifest.json" or result["resumed"] > 0


def test_a_full_disk_between_calls_leaves_a_journal_that_can_be_read(tmp_path, monkeypatch):
    """Four requests are in flight; a reply finds no room, and there is room again for the lines of the others."""
    opened, lost = open, []

    class FullOnce(io.FileIO):
        def write(self, data):
            if b'"event": "reply"' in bytes(data) and not lost:
                lost.append(data)
                super().write(bytes(data)[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.name))
            return super().write(data)

    def small(file, mode="r", *rest, **options):
        if mode == "ab" and "calls" in Path(file).parts:
            return FullOnce(str(file), mode)
        return opened(file, mode, *rest, **options)

    out = tmp_path / "out"
    with FaultyServer(seconds=0.05) as server:
        with monkeypatch.context() as patched:
            patched.setattr("builtins.open", small)
            with pytest.raises(CannotRun, match="is full"):
                build(Paid(35, server.url, in_flight=4), out, workers=0)
        result = build(Paid(35, server.url, in_flight=4), out, workers=0)
        repeated = len(server.calls) - result["samples"]
    assert 0 < repeated <= result["spent"]["possibly_paid_twice"] <= 4


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def closed(path, content):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("mmhallu_core.edit.engine.run.write_whole", closed)
    with pytest.raises(CannotRun, match="cannot be written .*Read-only.*or use another --out"):
        build(make(), tmp_path / "out", workers=0)


def test_other_errors_of_files_keep_their_name(tmp_path):
    def elsewhere():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "weights.bin")

    with pytest.raises(FileNotFoundError, match="weights.bin"):
        build(elsewhere, tmp_path / "out", workers=0)


# ---------------------------------------------------------------- memory


PEAK = """
import functools, sys, tracemalloc
sys.path.insert(0, sys.argv[1])
import edit_pipeline
from mmhallu_core.edit.engine.run import build
tracemalloc.start()
build(functools.partial(edit_pipeline.plain, int(sys.argv[2])), sys.argv[3], workers=0)
print(tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    """Ten times as many drafts, and less than 100 bytes more for each: a draft and its pictures have 2,000 or so, and
    what a run must remember of a chunk of 64 drafts is one number."""
    peaks, counts = [], (2_000, 20_000)
    for n in counts:
        command = [sys.executable, "-c", PEAK, str(Path(__file__).parent), str(n), str(tmp_path / str(n))]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert peaks[1] - peaks[0] < 100 * (counts[1] - counts[0]), peaks


# ---------------------------------------------------------------- calls


def test_calls_are_kept_chunk_by_chunk_and_counted(tmp_path):
    with FaultyServer(answer=lambda call: f"said {call.prompt}") as server:
        result = build(Paid(35, server.url, in_flight=4), tmp_path / "out", workers=0, chunk=8)
        samples = read_jsonl(tmp_path / "out" / "samples.jsonl", EditSample)
        assert [one.edited_caption for one in samples] == [f"said Describe {one.id}!" for one in samples]
        assert len(server.calls) == len(samples) == result["samples"]
        calls = len(samples)
        assert result["spent"] == {
            **{"calls": calls, "possibly_paid_twice": 0},
            **{"prompt_tokens": 10 * calls, "completion_tokens": 5 * calls, "total_tokens": 15 * calls},
        }
        build(Paid(35, server.url, in_flight=4), tmp_path / "out", workers=0, chunk=8)
        assert len(server.calls) == calls


def test_a_failed_call_is_a_rejection_and_the_run_goes_on(tmp_path):
    with FaultyServer([good("fine"), status(400), good("half", finish="length")], lambda call: "fine") as server:
        result = build(Paid(7, server.url), tmp_path / "out", workers=0, chunk=8)
    assert result["reasons"] == {
        **{"ask: bad_request": 1, "ask: cut": 1, "plan: no_plan": 1, "source: no_picture": 1},
    }
    found = {one.reason: one.text for one in read_jsonl(tmp_path / "out" / "rejected.jsonl", Rejected)}
    assert found["cut"] == "half"


def test_a_server_that_will_not_serve_ends_the_run_which_goes_on_later(tmp_path):
    out = tmp_path / "out"
    with FaultyServer([good("one")] * 8 + [status(401)], lambda call: "one") as server:
        with pytest.raises(CannotRun, match="the server will not serve us.*same command again"):
            build(Paid(35, server.url), out, workers=0, chunk=8)
        assert len(server.calls) == 9
        result = build(Paid(35, server.url), out, workers=0, chunk=8)
        assert result["resumed"] == 8 and len(server.calls) == result["samples"] + 1
        assert result["spent"]["possibly_paid_twice"] == 0


def test_a_server_that_is_broken_ends_the_run_and_no_draft_pays_for_it(tmp_path):
    out = tmp_path / "out"
    with FaultyServer([good("one")] * 5 + [status(503)] * 40, lambda call: "one") as server:
        with pytest.raises(CannotRun, match="5 requests in a row have no usable reply; the last: unavailable"):
            build(Paid(35, server.url), out, workers=0, chunk=16)
        server.steps = []
        result = build(Paid(35, server.url), out, workers=0, chunk=16)
    assert set(result["reasons"]) == {"plan: no_plan", "source: no_picture"}


def test_what_may_pass_is_asked_once_more_before_a_draft_ends(tmp_path):
    with FaultyServer([good("one"), status(503), status(503)], lambda call: "one") as server:
        result = build(Paid(7, server.url), tmp_path / "out", workers=0)
    assert set(result["reasons"]) == {"plan: no_plan", "source: no_picture"} and result["spent"]["calls"] == 5 + 2


def test_a_closed_gate_lets_nothing_through(tmp_path):
    with FaultyServer() as server:
        pipeline = Paid(8, server.url)()
        (client,) = pipeline.clients
        with pytest.raises(RuntimeError, match="request r outside of a chunk"):
            client.ask(Request("r", "Who is there?"))
        client.halt()
        with client.at(tmp_path / "calls.jsonl", 0), pytest.raises(Stopped, match="the run is ending"):
            pipeline.stages[-1][1]([Draft("d1", WHOLE)])
        assert not server.calls


# ---------------------------------------------------------------- pictures found in a folder


def filled(folder: Path) -> Path:
    """A folder with one file for each way to be useless, and some pictures."""
    folder.mkdir()
    for number, (_, (bad, _)) in enumerate(REFUSED.items()):
        (folder / f"bad-{number:02d}.png").write_bytes(bad)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "a.PNG").write_bytes(WHOLE)
    (folder / "deep" / "er" / "b.jpeg").write_bytes(JPEG)
    (folder / "grey.png").write_bytes(saved(picture("L")))
    (folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (folder / "notes.txt").write_text("not a picture", encoding="utf-8")
    (folder / ".hidden.png").write_bytes(WHOLE)
    (folder / ".trash").mkdir()
    (folder / ".trash" / "old.png").write_bytes(WHOLE)
    return folder


def test_every_bad_picture_is_one_rejection_and_the_run_goes_on(tmp_path):
    photos = filled(tmp_path / "photos")
    result = build(lambda: (FolderSource(photos), []), tmp_path / "out", workers=0)
    rejected = read_jsonl(tmp_path / "out" / "rejected.jsonl", Rejected)
    found = {one.id: one.reason for one in rejected if one.stage == "source"}
    wanted = {f"bad-{number:02d}.png": str(reason) for number, (_, reason) in enumerate(REFUSED.values())}
    assert found == {**wanted, "photo.heic": "unknown_format"}
    assert result["n"] == len(REFUSED) + 4 and result["reasons"]["finish: not_a_sample"] == 3  # no stage filled them in
    assert all(type(one.reason) is str and len(one.detail) > 10 for one in rejected)


def test_drafts_of_a_folder_have_what_everybody_sees(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    contents = {
        **{"a.png": WHOLE, "b.jpg": JPEG, "c.jpg": saved(picture(), "JPEG", exif=turned), "d.png": saved(picture("L"))},
        **{"e.bmp": saved(picture(), "BMP"), "f.png": saved(picture("P")), "g.png": saved(picture("RGBA"))},
    }
    for name, bytes_ in contents.items():
        (tmp_path / name).write_bytes(bytes_)
    source = FolderSource(tmp_path)
    drafts = {one.id: one for one in map(source.draft, range(len(source)))}
    assert list(drafts) == sorted(contents)
    for name, one in drafts.items():
        assert (one.image == contents[name]) == (name in ("a.png", "b.jpg", "d.png")), "those need no change"
        with Image.open(io.BytesIO(one.image)) as image:
            assert image.convert("RGB").tobytes() == decode(contents[name]).image.tobytes()
            assert one.provenance["source"] == {
                **{"file": name, "size": list(image.size)},
                "sha256": hashlib.sha256(contents[name]).hexdigest(),
            }


def test_a_folder_is_known_by_names_and_sizes(tmp_path):
    photos = filled(tmp_path / "photos")
    about = FolderSource(photos).about
    assert about["pictures"] == len(REFUSED) + 4 and about["other_files"] == 2
    assert photos.rename(tmp_path / "moved") and FolderSource(tmp_path / "moved").about == about
    first = FolderSource(tmp_path / "moved", 2)
    assert len(first) == 2 and first.about != about and first.draft(1).id == "bad-01.png"
    (tmp_path / "moved" / "grey.png").write_bytes(WHOLE + b"x")
    assert FolderSource(tmp_path / "moved").about != about
    with pytest.raises(CannotRun, match="is not a folder"):
        FolderSource(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").touch()
    with pytest.raises(CannotRun, match="holds no picture, only 1 other files"):
        FolderSource(tmp_path / "empty")


def test_a_file_that_would_fill_the_memory_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_BYTES", 50)
    (tmp_path / "large.png").write_bytes(WHOLE)
    found = FolderSource(tmp_path).draft(0)
    assert (found.reason, found.stage) == (Reason.HUGE, "source")
    (tmp_path / "bomb.png").write_bytes(png_of(60_000, 60_000)[:49])
    tracemalloc.start()
    assert FolderSource(tmp_path).draft(0).reason in (Reason.HUGE, Reason.CORRUPT)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_a_lost_file_and_a_strange_name(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    named = os.fsencode(tmp_path) + b"/c-\xff.png"
    try:
        Path(os.fsdecode(named)).write_bytes(WHOLE)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    result = build(lambda: (FolderSource(tmp_path), []), tmp_path.with_name("out"), workers=0)
    found = {one.id: one.reason for one in read_jsonl(tmp_path.with_name("out") / "rejected.jsonl", Rejected)}
    assert found == {"a.png": "missing_image", "b.png": "missing_image", "c-\\udcff.png": "not_a_sample"}
    assert result["n"] == 3
