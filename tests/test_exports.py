"""Training data in the forms of other tools: what is written is read back, by their own readers where they are here."""

import io
import json

import pyarrow.parquet
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data import exports
from mmhallu_core.data.chats import Chat
from mmhallu_core.data.check import read_training_file
from mmhallu_core.data.exports import to_datasets, to_llamafactory
from mmhallu_core.types import CannotRun, EditSample, write_jsonl


@pytest.fixture
def edits(tmp_path):
    """A file of two edit samples, one of them with a mask, options and a similarity."""
    for name, colour in (("a", "red"), ("b", "blue"), ("m", "white")):
        Image.new("RGB", (40, 32), colour).save(tmp_path / f"{name}.png")
    fields = dict(
        image="a.png", edited_image="b.png", category="Object", edit_instruction="Add.", caption="Ein süßer Tisch.",
        edited_caption="A table with a cup.", difference="A cup is new.", question="What differs?",
    )  # fmt: skip
    write_jsonl(
        tmp_path / "edits.jsonl",
        [
            EditSample(id="one", answer="There is a new cup.", **fields),
            EditSample(
                id="two", answer="B", options=("a dog", "a cup"), similarity=0.9, provenance={"mask": "m.png"}, **fields
            ),
        ],
    )
    return tmp_path / "edits.jsonl"


def export(*words):
    result = CliRunner().invoke(app, ["data", "export", *map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_llamafactory_reads_what_train_sft_would_train_on(edits, tmp_path):
    from mmhallu_core.methods.med.examples import EditExamples

    out = tmp_path / "out"
    (out).mkdir()
    (out / "dataset_info.json").write_text('{"other": {"file_name": "x.json"}}', encoding="utf-8")
    assert export(edits, "--as", "llamafactory", "--out", out) | {"file": ""} == {
        "name": "mmhallu", "n": 12, "images": 2, "file": "",
    }  # fmt: skip
    info = json.loads((out / "dataset_info.json").read_text(encoding="utf-8"))
    assert set(info) == {"other", "mmhallu"}
    entry = info["mmhallu"]
    assert entry["formatting"] == "sharegpt" and entry["columns"] == {"messages": "messages", "images": "images"}
    rows = [json.loads(line) for line in (out / entry["file_name"]).read_text(encoding="utf-8").splitlines()]
    role, content = entry["tags"]["role_tag"], entry["tags"]["content_tag"]
    for row in rows:
        said = [message[content] for message in row["messages"]]
        assert [message[role] for message in row["messages"]] == [
            entry["tags"]["user_tag"],
            entry["tags"]["assistant_tag"],
        ]
        assert said[0].count("<image>") == len(row["images"])
        for path in row["images"]:
            assert Image.open(out / path).size == (40, 32)
    assert any("süß" in row["messages"][1]["content"] for row in rows)
    # The tool's own form is one that we read, and it says what we would train on.
    back = read_training_file(out / "mmhallu.jsonl")
    shown = list(EditExamples(read_training_file(edits), edits.parent).chats())
    assert [(chat.id, chat.turns) for chat in back] == [(chat.id, chat.turns) for chat in shown]
    for chat, ours in zip(back, shown, strict=True):
        for mine, theirs in zip(ours.images, chat.images, strict=True):
            assert (edits.parent / mine).read_bytes() == (out / theirs).read_bytes()


def test_datasets_reads_edit_samples_with_their_pictures(edits, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "ROWS", 1)
    found = export(edits, "--as", "datasets", "--out", tmp_path / "out")
    assert found["n"] == 2 and found["files"] == ["train-00000.parquet", "train-00001.parquet"]
    tables = [pyarrow.parquet.read_table(tmp_path / "out" / "data" / name) for name in found["files"]]
    rows = pyarrow.concat_tables(tables).to_pylist()
    for row, sample in zip(rows, read_training_file(edits), strict=True):
        for name in ("id", "category", "caption", "edited_caption", "difference", "question", "answer", "similarity"):
            assert row[name] == getattr(sample, name)
        assert row["options"] == (None if sample.options is None else list(sample.options))
        assert json.loads(row["provenance"]) == sample.provenance
        assert row["image"]["bytes"] == (edits.parent / "a.png").read_bytes() and row["image"]["path"] == "a.png"
    assert rows[0]["mask"] is None and Image.open(io.BytesIO(rows[1]["mask"]["bytes"])).size == (40, 32)
    again = CliRunner().invoke(app, ["data", "export", str(edits), "--as", "datasets", "--out", str(tmp_path / "out")])
    assert again.exit_code == 2 and "use a new --out" in again.output


def test_an_option_that_cannot_act_is_refused(edits, tmp_path):
    (tmp_path / "talks.jsonl").write_text(json.dumps(talk(str(edits.parent / "a.png"))), encoding="utf-8")
    for file, form in ((edits, "datasets"), (tmp_path / "talks.jsonl", "llamafactory")):
        for option in ("--seed", "--same"):
            words = ["data", "export", file, "--as", form, "--out", tmp_path / "out", option, 1]
            result = CliRunner().invoke(app, [*map(str, words)])
            assert result.exit_code == 2 and f"{option} is only" in result.output


@pytest.mark.long
def test_hugging_faces_own_reader_sees_pictures(edits, tmp_path):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is not installed")
    export(edits, "--as", "datasets", "--out", tmp_path / "out")
    read = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(read.features["image"], datasets.Image) and isinstance(read.features["mask"], datasets.Image)
    assert read[0]["image"].getpixel((0, 0)) == (255, 0, 0) and read[1]["edited_image"].getpixel((0, 0)) == (0, 0, 255)
    assert read[1]["options"] == ["a dog", "a cup"] and read[0]["mask"] is None and read[1]["similarity"] == 0.9
    read.save_to_disk(str(tmp_path / "disk"))
    assert datasets.load_from_disk(str(tmp_path / "disk"))[1]["mask"].size == (40, 32)
    chats = [Chat("k", ("a.png", "b.png"), (("<image><image>What?", "A cup."),))]
    to_datasets(chats, edits.parent, tmp_path / "chats")
    row = datasets.load_dataset(str(tmp_path / "chats"), split="train", cache_dir=str(tmp_path / "cache2"))[0]
    assert row["images"][1].getpixel((0, 0)) == (0, 0, 255)
    assert row["messages"] == [
        {"role": "user", "content": "<image><image>What?"},
        {"role": "assistant", "content": "A cup."},
    ]


def test_what_cannot_be_exported_says_so(edits, tmp_path):
    (edits.parent / "odd.png").write_bytes(b"words")
    chats = [Chat("k", ("odd.png",), (("<image>What?", "A cup."),))]
    with pytest.raises(CannotRun, match="none of PNG, JPEG"):
        to_llamafactory(chats, edits.parent, tmp_path / "out")
    (tmp_path / "out" / "dataset_info.json").write_text("{", encoding="utf-8")
    with pytest.raises(CannotRun, match="is not JSON"):
        to_llamafactory([], edits.parent, tmp_path / "out")
    with pytest.raises(CannotRun, match="sample k: .*no picture at gone.png"):
        to_datasets([Chat("k", ("gone.png",), (("<image>What?", "A."),))], edits.parent, tmp_path / "d")
    with pytest.raises(CannotRun, match="no record"):
        to_datasets([], edits.parent, tmp_path / "e")
    result = CliRunner().invoke(app, ["data", "export", str(edits), "--as", "csv", "--out", str(tmp_path / "f")])
    assert result.exit_code == 2 and "is not one of 'llamafactory'" in result.output


# ---------------------------------------------------------------- what may go along

SECRET = "the-contents-of-a-private-file"


@pytest.fixture
def mine(tmp_path):
    """A folder of records, and beside it files that are nobody's business."""
    folder, outside = tmp_path / "records", tmp_path / "private"
    folder.mkdir(), outside.mkdir()
    for place in (folder, outside):
        Image.new("RGB", (40, 32), "red").save(place / "a.png")
    Image.new("RGB", (40, 32), "blue").save(folder / "b.png")
    for place in (folder, outside, tmp_path):
        (place / "secret.txt").write_text(SECRET, encoding="utf-8")
    return folder


def refused(folder, form, record, *more):
    """What the command says about one record; nothing of the private file may be in what it wrote."""
    (folder / "r.jsonl").write_text(json.dumps(record), encoding="utf-8")
    out = folder.parent / "out"
    result = CliRunner().invoke(
        app, ["data", "export", str(folder / "r.jsonl"), "--as", form, "--out", str(out), *more]
    )
    written = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert result.exit_code == 2 and not any(SECRET.encode() in one for one in written)
    return result.stderr


def talk(*images):
    return {"id": "t", "images": list(images), "question": "What is new?", "answer": "A cup."}


def edit(image="a.png", edited="b.png", mask=None):
    sample = {"id": "t", "image": image, "edited_image": edited, "category": "Object", "edit_instruction": "Add it."}
    sample |= dict.fromkeys(("caption", "edited_caption", "difference", "question", "answer"), "A cup.")
    sample["edited_caption"] = "No cup."
    return sample | ({"provenance": {"mask": mask}} if mask else {})


@pytest.mark.parametrize("form", ["datasets", "llamafactory"])
@pytest.mark.parametrize("kind", ["talk", "image", "edited", "mask", "absolute", "link", "link to a folder"])
def test_a_file_from_elsewhere_does_not_go_along(mine, form, kind):
    private = mine.parent / "private"
    if kind.startswith("link"):
        try:
            (mine / "l").symlink_to(private if "folder" in kind else private / "a.png")
        except OSError:
            pytest.skip("this system makes no links")
    record = {
        "talk": talk("../secret.txt"),
        "image": edit("../private/a.png"),
        "edited": edit(edited="../secret.txt"),
        "mask": edit(mask="../private/secret.txt"),
        "absolute": talk(str(private / "a.png")),
        "link": talk("l"),
        "link to a folder": talk("l/a.png"),
    }[kind]
    if (form, kind) == ("llamafactory", "mask"):
        record = edit("b.png", "../private/a.png")  # masks stay here: that form has none
    said = refused(mine, form, record)  # what is no picture is not packed from anywhere, and is said first
    assert ("cannot be read as a picture" if "secret" in json.dumps(record) else "leads out of") in said


@pytest.mark.parametrize("form", ["datasets", "llamafactory"])
@pytest.mark.parametrize("named", ["secret.txt", "signed.png", "r.jsonl"])
def test_only_a_picture_goes_along(mine, form, named):
    (mine / "signed.png").write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET.encode())  # begins as one, and is none
    assert "cannot be read as a picture" in refused(mine, form, talk(named))
    assert "cannot be read as a picture" in refused(mine, form, edit(edited=named))


@pytest.mark.parametrize("form", ["datasets", "llamafactory"])
def test_a_folder_that_is_named_may_go_along(mine, form):
    private = mine.parent / "private"
    (mine / "r.jsonl").write_text(json.dumps(talk("../private/a.png", str(mine / "b.png"))), encoding="utf-8")
    out = mine.parent / "out"
    assert export(mine / "r.jsonl", "--as", form, "--out", out, "--allow", private)["n"] == 1
    another = mine.parent / "another"
    assert "leads out of" in refused(mine, form, talk("../private/a.png"), "--allow", str(another))


def test_a_benchmark_takes_no_file_from_elsewhere_either(mine):
    from mmhallu_core.data.question import Question
    from mmhallu_core.edit.benchmark.build import write_benchmark

    asked = [Question("q", "What?", "A", images=("a.png", "../private/a.png"), options=("x", "y"))]
    with pytest.raises(CannotRun, match="leads out of"):
        write_benchmark(asked, mine.parent / "bench", "mine", {}, folder=mine)
    assert not (mine.parent / "bench").exists()
