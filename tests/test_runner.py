"""The runner: the answers of a loop, one look at each picture, and nothing lost whatever happens on the way."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate import runner
from mmhallu_core.evaluate.answer_journal import SILENT, picture_hashes, read, weights_sha256
from mmhallu_core.evaluate.pope import question_about
from mmhallu_core.evaluate.runner import Group, grouped, run, take
from mmhallu_core.models.greedy import NotFinite
from mmhallu_core.models.score import score
from mmhallu_core.models.shared_prefix import answers
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import Journal, JournalError, Locked, run_lock
from mmhallu_core.types import Answer, CannotRun, read_jsonl, write_jsonl
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long

TOKENS = 4
ASKED = ("dog", "umbrella", "tree", "car")


@pytest.fixture(scope="module")
def vlm():
    return Vlm.load("tiny-llava", device="cpu")


@pytest.fixture
def folder(tmp_path):
    """Five pictures, numbered."""
    for number in range(5):
        render(sample_scene(f"test/runner/{number}"), 96).image.save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.fixture
def questions(folder):
    """Four questions about each of four pictures, one about the fifth, in an order that mixes the pictures."""
    mixed = [
        Question(f"{number}/{name}", question_about(name), "yes", (str(folder / f"{number}.png"),))
        for name in ASKED
        for number in range(4)
    ]
    return [*mixed, Question("4/all", "Describe the image.", "", (str(folder / "4.png"),))]


@pytest.fixture
def asked(monkeypatch):
    """Every question that reaches the model, in batches."""
    seen = []

    def spy(vlm, images, texts, *rest):
        seen.append([text for some in texts for text in some])
        return answers(vlm, images, texts, *rest)

    monkeypatch.setattr(runner, "answers", spy)
    return seen


def go(questions, vlm, out, batch_size=8, **options):
    return run(questions, vlm, out, batch_size, TOKENS, progress=False, **options)


def said(out):
    return {one.id: one.answer for one in read_jsonl(out / "answers.jsonl", Answer)}


def one_by_one(questions, vlm):
    """The reference: `Vlm.answer`, one question at a time."""
    return {
        one.id: vlm.answer([[decode(path).image for path in one.images]], [one.prompt], TOKENS, batch_size=1)[0]
        for one in questions
    }


# ---------------------------------------------------------------- answers


def test_answers_are_those_of_a_loop_at_every_batch_size(questions, vlm, tmp_path):
    files = []
    for size in (1, 3, 32):
        result = go(questions, vlm, tmp_path / str(size), size)
        assert result["model"] == "tiny-llava" and result["n"] == len(questions) and result["seconds"] > 0
        assert result["errors"] == result["asked_again"] == result["halvings"] == 0
        files.append((tmp_path / str(size) / "answers.jsonl").read_bytes())
    assert files[0] == files[1] == files[2]
    assert said(tmp_path / "1") == one_by_one(questions, vlm)
    assert list(said(tmp_path / "1")) == [one.id for one in questions], "in the order of the questions"


def test_every_picture_goes_through_the_vision_tower_once(questions, vlm, tmp_path):
    copied = tmp_path / "copy.png"
    shutil.copy(questions[0].images[0], copied)  # the same picture under another name, and as bytes
    more = [Question("path", "Where is it?", "", (str(copied),)), Question("b", "Where?", "", (copied.read_bytes(),))]
    looks = []
    tower = vlm.model.get_submodule(vlm.family.vision_tower)
    handle = tower.register_forward_pre_hook(
        lambda module, args, kwargs: looks.append(len(args[0] if args else kwargs["pixel_values"])), with_kwargs=True
    )
    try:
        result = go([*questions, *more], vlm, tmp_path / "one", 4)  # four questions a batch, six about one picture
    finally:
        handle.remove()
    assert looks == [1] * 5 and result["vision_calls"] == 5, "five pictures, one look at each"


def test_questions_without_a_picture_or_with_two(questions, vlm, tmp_path):
    pair = (questions[0].images[0], questions[1].images[0])
    more = [
        Question("none", "Is the sky blue?", "yes"),
        Question("none too", "Is the sea blue?", "yes"),
        Question("two", "What is different between the two images?", "", pair),
        Question("two too", "Are the two images the same?", "no", pair),
        Question("turned", "Are the two images the same?", "no", pair[::-1]),
    ]
    go([*questions, *more], vlm, tmp_path / "out")
    assert said(tmp_path / "out") == one_by_one([*questions, *more], vlm)


def test_batches_are_filled_with_like_groups():
    def one(name, count, pictures=1):
        return Group(name, tuple(Question(f"{name}{i}", "Where?", "", ("p",) * pictures) for i in range(count)))

    waiting = [one("a", 3), one("b", 3), one("c", 3), one("d", 9), one("e", 1), one("f", 1), one("g", 2, 2)]
    batches = []
    while waiting:
        batches.append("".join(some.pictures for some in take(waiting, 6)))
    assert batches == ["ab", "c", "d", "ef", "g"]


def test_groups_stand_by_kind_and_length(questions):
    known = read(Path("nowhere"), {})
    groups = grouped(questions, known, picture_hashes(questions))
    assert [len(one.questions) for one in groups] == [4, 4, 4, 4, 1]
    known.answers[questions[0].id] = "Yes."
    groups = grouped(questions, known, picture_hashes(questions))
    assert sorted(len(one.questions) for one in groups) == [1, 3, 4, 4, 4], "what is answered is left out"


def test_questions_without_pictures_are_journaled_batch_by_batch(vlm, tmp_path, asked):
    blind = [Question(f"blind/{number}", f"Is number {number} in the image?", "yes") for number in range(7)]
    go(blind, vlm, tmp_path / "out", 3)
    assert [len(batch) for batch in asked] == [3, 3, 1] and said(tmp_path / "out") == one_by_one(blind, vlm)


# ---------------------------------------------------------------- stopping and going on


def stop_after(monkeypatch, batches):
    """The machine stops while the model answers the batch after so many."""
    left = [batches]

    def dying(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return answers(*arguments)

    monkeypatch.setattr(runner, "answers", dying)


def test_what_is_answered_is_not_asked_again(questions, vlm, tmp_path, monkeypatch, request):
    go(questions, vlm, tmp_path / "whole", 4)
    with monkeypatch.context() as stopped:
        stop_after(stopped, 2)
        with pytest.raises(KeyboardInterrupt):
            go(questions, vlm, tmp_path / "out", 4)
    assert not (tmp_path / "out" / "answers.jsonl").exists()
    seen = request.getfixturevalue("asked")
    result = go(questions, vlm, tmp_path / "out", 4)
    assert sum(map(len, seen)) == len(questions) - 8, "two batches of four had been answered"
    assert result["asked_again"] == 4 and result["n"] == len(questions), "the third batch was in flight"
    assert (tmp_path / "out" / "answers.jsonl").read_bytes() == (tmp_path / "whole" / "answers.jsonl").read_bytes()
    seen.clear()
    result = go(questions, vlm, tmp_path / "out", 4)
    assert seen == [] and result["asked_again"] == 4 and result["n"] == len(questions)


def test_a_torn_last_line_is_asked_again(questions, vlm, tmp_path):
    go(questions, vlm, tmp_path / "out")
    journal = tmp_path / "out" / "journal.jsonl"
    whole, before = journal.read_bytes(), (tmp_path / "out" / "answers.jsonl").read_bytes()
    for cut in (1, 40, len(whole.splitlines()[-1]) + 1):
        journal.write_bytes(whole[:-cut])
        result = go(questions, vlm, tmp_path / "out")
        assert result["asked_again"] == 1, "the last batch holds the question about the fifth picture"
        assert (tmp_path / "out" / "answers.jsonl").read_bytes() == before


def test_another_configuration_is_refused(questions, vlm, tmp_path, monkeypatch):
    go(questions, vlm, tmp_path / "out", about={"benchmark": "mine"})
    with pytest.raises(JournalError, match="another run"):
        run(questions, vlm, tmp_path / "out", 8, TOKENS + 1, False, {"benchmark": "mine"})
    with pytest.raises(JournalError, match="another run"):
        go(questions[1:], vlm, tmp_path / "out", about={"benchmark": "mine"})
    with pytest.raises(JournalError, match="another run"):
        go(questions, vlm, tmp_path / "out", about={"benchmark": "yours"})
    with monkeypatch.context() as other:
        other.setattr(vlm.processor, "chat_template", vlm.processor.chat_template + " ")
        with pytest.raises(JournalError, match="another run"):
            go(questions, vlm, tmp_path / "out", about={"benchmark": "mine"})
    weight = next(vlm.model.parameters()).data.view(-1)
    before, first = weights_sha256(vlm.model), weight[0].clone()
    weight[0] += 1
    try:
        with pytest.raises(JournalError, match="another run"):
            go(questions, vlm, tmp_path / "out", about={"benchmark": "mine"})
    finally:
        weight[0] = first
    assert weights_sha256(vlm.model) == before
    assert go(questions, vlm, tmp_path / "out", 2, about={"benchmark": "mine"})["asked_again"] == 0


def test_ids_must_be_unique(questions, vlm, tmp_path):
    with pytest.raises(CannotRun, match="1 question ids come more than once: 0/dog"):
        go([*questions, questions[0]], vlm, tmp_path / "out")


def test_two_runs_in_one_folder_at_once_are_refused(questions, vlm, tmp_path, asked):
    with run_lock(tmp_path / "out"), pytest.raises(Locked, match=f"{tmp_path / 'out'} is in use by process"):
        go(questions, vlm, tmp_path / "out")
    assert asked == [] and {path.name for path in (tmp_path / "out").iterdir()} == {"lock"}, "nothing was asked"
    assert go(questions, vlm, tmp_path / "out")["n"] == len(questions), "and the folder is free again"


def test_answers_of_nobody_knows_whom_are_not_written_over(questions, vlm, tmp_path):
    (tmp_path / "answers.jsonl").write_text('{"id": "mine", "answer": "Yes."}\n', encoding="utf-8")
    with pytest.raises(CannotRun, match="no journal that says whose they are"):
        go(questions, vlm, tmp_path)
    assert said(tmp_path) == {"mine": "Yes."}


# ---------------------------------------------------------------- what goes wrong with one question


def test_a_bad_picture_costs_its_own_questions(questions, vlm, tmp_path, folder):
    whole = go(questions, vlm, tmp_path / "whole")
    good = {number: (folder / f"{number}.png").read_bytes() for number in (1, 2)}
    (folder / "1.png").unlink()
    (folder / "2.png").write_bytes(good[2][:200])
    bad = Question("bytes", "Where?", "", (b"not a picture",))
    result = go([*questions, bad], vlm, tmp_path / "out")
    assert result["errors"] == 9 and result["n"] == len(questions) - 8
    errors = [json.loads(line) for line in (tmp_path / "out" / "errors.jsonl").read_text("utf-8").splitlines()]
    reasons = {one["id"].split("/")[0]: one["error"] for one in errors}
    assert len(errors) == 9 and set(reasons) == {"1", "2", "bytes"}
    assert "there is no picture at" in reasons["1"] and "cannot be read as a picture" in reasons["2"]
    assert reasons["bytes"].startswith("the 13 bytes given as a picture cannot be read")
    rest = {name: text for name, text in said(tmp_path / "whole").items() if name[0] not in "12"}
    assert said(tmp_path / "out") == rest
    for number, content in good.items():  # put right, and run again: only what was missing is asked
        (folder / f"{number}.png").write_bytes(content)
    result = go([*questions, bad], vlm, tmp_path / "out")
    assert result["errors"] == 1 and result["n"] == len(questions) == whole["n"]
    assert said(tmp_path / "out") == said(tmp_path / "whole")


def test_errors_file_goes_when_all_is_well(questions, vlm, tmp_path, folder):
    content = (folder / "4.png").read_bytes()
    (folder / "4.png").unlink()
    assert go(questions, vlm, tmp_path / "out")["errors"] == 1 and (tmp_path / "out" / "errors.jsonl").exists()
    (folder / "4.png").write_bytes(content)
    assert go(questions, vlm, tmp_path / "out")["errors"] == 0 and not (tmp_path / "out" / "errors.jsonl").exists()


def test_a_prompt_that_the_model_cannot_read_costs_itself_alone(questions, vlm, tmp_path):
    long = Question("long", "Is there a dog? " * 400, "yes", questions[0].images)
    result = go([*questions, long], vlm, tmp_path / "out", 32)
    assert result["errors"] == 1 and said(tmp_path / "out") == one_by_one(questions, vlm)
    assert "reads 1024" in (tmp_path / "out" / "errors.jsonl").read_text("utf-8")


def test_a_picture_that_changed_is_refused(questions, vlm, tmp_path, folder):
    go(questions, vlm, tmp_path / "out")
    shutil.copy(folder / "3.png", folder / "2.png")
    with pytest.raises(CannotRun, match="the pictures of 4 answered questions changed: 2/"):
        go(questions, vlm, tmp_path / "out")


@pytest.fixture
def broken(tmp_path_factory):
    """tiny-llava with one weight that is no number, as a folder."""
    vlm = Vlm.load("tiny-llava", device="cpu")
    with torch.no_grad():
        vlm.model.get_output_embeddings().weight[7, 0] = float("nan")
    folder = tmp_path_factory.mktemp("broken")
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    return folder


def test_a_model_without_finite_numbers_is_an_error_and_writes_no_answer(questions, broken, tmp_path):
    vlm = Vlm.load(broken, device="cpu")
    assert all(torch.isfinite(value).all() for name, value in vlm.model.named_parameters()) is False
    for ask in (lambda: vlm.answer([decode(questions[0].images[0]).image], ["Is there a dog?"]),
                lambda: score(vlm, [[decode(questions[0].images[0]).image]], ["What?"], ["A dog."])):  # fmt: skip
        with pytest.raises(NotFinite, match="the model gives no finite numbers"):
            ask()
    with pytest.raises(NotFinite):
        go(questions, vlm, tmp_path / "out")
    assert not (tmp_path / "out" / "answers.jsonl").exists()
    journal = (tmp_path / "out" / "journal.jsonl").read_text("utf-8")
    assert "answered" not in journal and journal.count("refused") == SILENT, "it is not asked thousands of times"


def test_numbers_that_end_with_one_picture_cost_its_own_questions(questions, vlm, tmp_path):
    """As in float16, where some pictures overflow and others do not."""
    tower = vlm.model.get_submodule(vlm.family.vision_tower)
    bright = tmp_path / "bright.png"
    Image.new("RGB", (96, 96), "white").save(bright)
    more = [Question(f"bright/{i}", question_about(name), "yes", (str(bright),)) for i, name in enumerate(ASKED)]

    def overflow(module, args, kwargs, output):
        seen = args[0] if args else kwargs["pixel_values"]
        output.last_hidden_state[seen.flatten(1).amin(1) == seen.amax()] = float("inf")
        return output

    handle = tower.register_forward_hook(overflow, with_kwargs=True)
    try:
        result = go([*more, *questions], vlm, tmp_path / "out")
    finally:
        handle.remove()
    assert (result["errors"], result["n"]) == (len(more), len(questions)) and set(said(tmp_path / "out")) == {
        one.id for one in questions
    }


# ---------------------------------------------------------------- memory


def short_of_memory(monkeypatch, most, error):
    """Batches of more than `most` questions raise."""
    sizes = []

    def limited(vlm, images, texts, max_new_tokens, batch_size):
        sizes.append(min(batch_size, sum(map(len, texts))))
        if sizes[-1] > most:
            raise error
        return answers(vlm, images, texts, max_new_tokens, batch_size)

    monkeypatch.setattr(runner, "answers", limited)
    return sizes


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        RuntimeError("[enforce fail] data. DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        MemoryError(),
    ],
    ids=["cuda", "linux", "windows", "python"],
)
def test_the_batch_is_halved_when_memory_runs_out(questions, vlm, tmp_path, monkeypatch, error):
    go(questions, vlm, tmp_path / "whole")
    sizes = short_of_memory(monkeypatch, 3, error)
    result = go(questions, vlm, tmp_path / "out", 16)
    assert sizes[:4] == [16, 8, 4, 2] and max(sizes[4:]) <= 2, "smaller from there on"
    assert result["halvings"] == 3 and result["asked_again"] == 0
    assert (tmp_path / "out" / "answers.jsonl").read_bytes() == (tmp_path / "whole" / "answers.jsonl").read_bytes()


def test_memory_for_less_than_one_question_is_a_clear_end(questions, vlm, tmp_path, monkeypatch):
    short_of_memory(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(CannotRun, match="not enough memory for one question at a time"):
        go(questions, vlm, tmp_path / "out")


def test_other_errors_are_not_taken_for_lack_of_memory(questions, vlm, tmp_path, monkeypatch):
    short_of_memory(monkeypatch, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        go(questions, vlm, tmp_path / "out")


# ---------------------------------------------------------------- progress


def test_progress_goes_to_the_error_stream_with_the_time_left(questions, vlm, tmp_path, capsys, monkeypatch):
    from tqdm import tqdm

    errors = io.StringIO()
    monkeypatch.setattr(runner, "tqdm", lambda **options: tqdm(**{**options, "disable": False}, file=errors))
    run(questions, vlm, tmp_path / "out", 4, TOKENS, progress=True)
    assert capsys.readouterr().out == ""
    assert "17/17" in errors.getvalue() and "question/s" in errors.getvalue() and "<" in errors.getvalue()


def test_the_journal_is_a_journal_that_anyone_can_check(questions, vlm, tmp_path):
    go(questions, vlm, tmp_path / "out", 4)
    lines = [
        json.loads(line)["record"] for line in (tmp_path / "out" / "journal.jsonl").read_text("utf-8").splitlines()
    ]
    assert {"weights", "processor", "questions", "max_new_tokens", "dtype"} == set(lines[0])
    records = Journal(tmp_path / "out" / "journal.jsonl", lines[0]).records()
    answered = [row[0] for line in records for row in line.get("answered", ())]
    assert sorted(answered) == sorted(one.id for one in questions)


# ---------------------------------------------------------------- several processes, and kills

ALONE = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "GLOO_SOCKET_IFNAME": "lo"}
ONE_OF_TWO = """
import sys
from pathlib import Path

from mmhallu_core.data.decode import decode
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.runner import run
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import read_jsonl

questions = read_jsonl(sys.argv[1], Question)
result = run(questions, Vlm.load("tiny-llava", device="cpu"), Path(sys.argv[2]), 4, int(sys.argv[3]), progress=False)
assert result["n"] == len(questions), result
"""


@pytest.mark.long(15)
def test_two_processes_write_the_file_of_one(questions, vlm, tmp_path, monkeypatch):
    with monkeypatch.context() as stopped:  # a run of one process stops, and two go on
        stop_after(stopped, 1)
        with pytest.raises(KeyboardInterrupt):
            go(questions, vlm, tmp_path / "two", 4)
    write_jsonl(tmp_path / "questions.jsonl", questions)
    (tmp_path / "script.py").write_text(ONE_OF_TWO, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        port,
    ]
    arguments = [str(tmp_path / "script.py"), str(tmp_path / "questions.jsonl"), str(tmp_path / "two"), str(TOKENS)]
    done = subprocess.run([sys.executable, *launch, *arguments], env=ALONE, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    go(questions, vlm, tmp_path / "one", 4)
    assert (tmp_path / "two" / "answers.jsonl").read_bytes() == (tmp_path / "one" / "answers.jsonl").read_bytes()
    names = ["journal.jsonl", "journal-1-of-2.jsonl", "journal-2-of-2.jsonl"]
    asked = [(tmp_path / "two" / name).read_text("utf-8").count("answered") for name in names]
    assert asked[0] == 1 and asked[1] >= 1 and asked[2] >= 1, "both took a share of what was left"
    result = go(questions, vlm, tmp_path / "two", 4)  # and one process reads what two wrote
    assert result["n"] == len(questions) and result["asked_again"] == 4


def survive(kills, pictures, out):
    module = ["-m", "maintenance.runner_kills", "--kills", str(kills), "--pictures", str(pictures)]
    done = subprocess.run([sys.executable, *module, "--out", str(out)], env=ALONE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    result = json.loads((out / "kills.json").read_text("utf-8"))
    assert result["kills"] == kills and result["lost"] == result["asked_after_answer"] == result["changed"] == 0
    assert result["files_equal"] and sum(result["landed"].values()) == kills
    return result


@pytest.mark.long(10)
def test_five_kills_lose_nothing(tmp_path):
    survive(5, 16, tmp_path)


@pytest.mark.slow
def test_fifty_kills_lose_nothing(tmp_path):
    assert {"at the start", "in a batch"} <= set(survive(50, 40, tmp_path)["landed"])


@pytest.mark.gpu
def test_the_runner_on_cuda(questions, tmp_path):
    fast = Vlm.load("tiny-llava", device="cuda", dtype=torch.float32)
    go(questions, fast, tmp_path / "out")
    assert said(tmp_path / "out") == one_by_one(questions, fast)
