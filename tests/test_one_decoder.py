"""One file, one picture: every entrance of the library gives a model the same pixels, and refuses the same files."""

import ast
import base64
import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from faulty_server import FaultyServer
from PIL import EpsImagePlugin, Image
from PIL.PngImagePlugin import PngInfo
from test_decode import UPRIGHT, png16, png_of, saved, turned
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.clients.client import CallFailed, Request
from mmhallu_core.clients.gemini_client import GeminiClient
from mmhallu_core.clients.local import LocalClient
from mmhallu_core.clients.openai_client import OpenAiClient, Patience
from mmhallu_core.data.chats import Chat
from mmhallu_core.data.decode import BadPicture
from mmhallu_core.data.exports import to_datasets, to_llamafactory
from mmhallu_core.data.pictures import fingerprint
from mmhallu_core.data.question import Question
from mmhallu_core.edit.draft import Rejected
from mmhallu_core.edit.engine.folder import FolderSource
from mmhallu_core.edit.stages.similarity import similarities
from mmhallu_core.evaluate.benchmarks.rbench import with_boxes
from mmhallu_core.evaluate.blind import size
from mmhallu_core.evaluate.likelihood import likelihood
from mmhallu_core.evaluate.runner import run
from mmhallu_core.methods.med.examples import ConversationExamples, EditExamples
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import PACKAGE
from mmhallu_core.types import CannotRun, EditSample

pytestmark = pytest.mark.long

SIDE = np.zeros((40, 60, 3), dtype="uint8")
SIDE[:20, :30] = 255  # 60 wide, 40 high, its upper left quarter white
RAMP16 = np.linspace(0, 65535, 64).astype("uint16")[None].repeat(48, 0)
# What the files show, worked out by hand.
PICTURES = {
    "side.jpg": (saved(Image.fromarray(SIDE), "JPEG", quality=100, exif=turned(6)), np.rot90(SIDE, -1)),
    "clear.png": (saved(Image.new("RGBA", (48, 48), (255, 0, 0, 0))), np.full((48, 48, 3), 255)),
    "deep.png": (png16(RAMP16), np.repeat(np.round(RAMP16 / 257)[..., None], 3, 2)),
}


@pytest.fixture(scope="module")
def vlm():
    return Vlm.load("tiny-llava", "cpu")


@pytest.fixture
def files(tmp_path):
    """The pictures in a folder of their own."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, (content, _) in PICTURES.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in PICTURES]


@pytest.fixture
def read(monkeypatch):
    """Every picture that a model gets to read, in order."""
    seen, encode = [], Vlm.encode

    def spy(self, images, *rest, **options):
        images = list(images)
        for one in images:
            seen.extend([one] if isinstance(one, Image.Image) else one)
        return encode(self, images, *rest, **options)

    monkeypatch.setattr(Vlm, "encode", spy)
    return seen


def check(found):
    assert len(found) == len(PICTURES)
    for image, (name, (_, pixels)) in zip(found, PICTURES.items(), strict=True):
        assert image.mode == "RGB" and image.size == pixels.shape[1::-1], name
        off = abs(np.asarray(image).astype(int) - pixels)
        assert np.quantile(off, 0.98) <= 3 and off.mean() < 1, name  # JPEG blurs the edge


def test_the_three_examples():
    """Size (40, 60), white, and a mean near 127: said in advance, of the arrays that the other tests compare with."""
    side, clear, deep = (pixels for _, pixels in PICTURES.values())
    assert side.shape == (60, 40, 3) and clear.min() == 255 and abs(deep.mean() - 127.5) < 0.5


def test_ask(files, read):
    result = CliRunner().invoke(app, ["ask", *map(str, files), "Where was this picture taken?"])
    assert result.exit_code == 0, result.stderr
    check(read)


def questions(files):
    options = ("A dog.", "A cat.")
    about = {"question": "What is there?"}
    return [Question(one.name, "What is there?", "A", (str(one),), options, about) for one in files]


def test_eval(files, read, vlm, tmp_path):
    assert run(questions(files), vlm, tmp_path / "out", 1, 2, progress=False)["errors"] == 0
    order = {one.size: one for one in read}  # the runner puts questions of one kind together
    check([order[pixels.shape[1::-1]] for _, pixels in PICTURES.values()])


def test_eval_by_likelihood(files, read, vlm):
    likelihood(vlm, questions(files), 1)
    order = {one.size: one for one in read}
    check([order[pixels.shape[1::-1]] for _, pixels in PICTURES.values()])


def test_training(files):
    names = tuple(one.name for one in files)
    chat = Chat("one", names, (("<image><image><image>What?", "This."),))
    check(ConversationExamples([chat], files[0].parent)(0).images)


def test_a_local_judge(files, read, vlm):
    LocalClient(vlm).ask(Request("one", "Where was this picture taken?", tuple(map(str, files)), max_tokens=30))
    check(read)


def naive(content: bytes) -> Image.Image:
    """How a server reads a picture that knows nothing of turning, transparency and depth."""
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


ONCE = Patience(connect=30.0, read=30.0, total=60.0, attempts=1)


def test_a_server_gets_the_same_pixels_as_a_local_model(files):
    with FaultyServer() as server:
        OpenAiClient(server.url, "m", patience=ONCE).ask(Request("one", "What?", tuple(map(str, files))))
    parts = server.calls[0].body["messages"][0]["content"][:-1]
    check([naive(base64.b64decode(part["image_url"]["url"].partition(",")[2])) for part in parts])


def test_gemini_gets_the_same_pixels_and_their_shape(files):
    with FaultyServer() as server, pytest.raises(CallFailed):  # its replies are not Gemini's
        client = GeminiClient("m", "key", base_url=server.url, patience=ONCE)
        client.ask(Request("one", "What?", tuple(map(str, files[::-1]))))
    parts = server.calls[0].body["contents"][0]["parts"][1:]
    check([naive(base64.b64decode(part["inlineData"]["data"])) for part in parts][::-1])
    assert server.calls[0].body["generationConfig"]["imageConfig"] == {"aspectRatio": "2:3"}


def test_med_build(files):
    source = FolderSource(files[0].parent)
    drafts = {one.id: one for one in map(source.draft, range(len(source)))}
    check([naive(drafts[name].image) for name in PICTURES])
    assert drafts["side.jpg"].provenance["source"]["size"] == [40, 60]


class Embeds:
    """Keeps what it is given."""

    about = {"model": "none", "mode": "none"}

    def __init__(self):
        self.seen = []

    def embed(self, images):
        import torch

        self.seen += images
        return torch.ones(len(images), 1)


def test_the_similarity_filter(files):
    embeds = Embeds()
    similarities(embeds, [(str(one), str(one)) for one in files])
    check(embeds.seen)


def test_data_check_and_audit(files):
    for one, (_, pixels) in zip(files[1:], list(PICTURES.values())[1:], strict=True):
        assert fingerprint(str(one)) == fingerprint(saved(Image.fromarray(pixels.astype("uint8"))))
    assert [size(str(one)) for one in files] == [(40, 60), (48, 48), (64, 48)]


def test_data_export(files, tmp_path):
    import pyarrow.parquet

    names = tuple(one.name for one in files)
    chats = [Chat("one", names, (("<image><image><image>What?", "This."),))]
    to_datasets(chats, files[0].parent, tmp_path / "datasets")
    [table] = (tmp_path / "datasets" / "data").glob("*.parquet")
    check([naive(cell["bytes"]) for cell in pyarrow.parquet.read_table(table).to_pylist()[0]["images"]])
    to_llamafactory(chats, files[0].parent, tmp_path / "factory")
    row = json.loads((tmp_path / "factory" / "mmhallu.jsonl").read_text(encoding="utf-8"))
    check([naive((tmp_path / "factory" / name).read_bytes()) for name in row["images"]])


# ---------------------------------------------------------------- what turns with the picture

MASK = np.zeros((40, 60), dtype=bool)
MASK[5:9, 10:25] = True


def pair(folder, kind="PNG") -> EditSample:
    """A sample whose pictures carry the note 6 and whose mask, in the same stored pixels, does not."""
    rest = np.where(MASK[..., None], 90, SIDE).astype("uint8")
    (folder / "a.png").write_bytes(saved(Image.fromarray(SIDE), kind, exif=turned(6)))
    (folder / "b.png").write_bytes(saved(Image.fromarray(rest), kind, exif=turned(6)))
    (folder / "mask.png").write_bytes(saved(Image.fromarray(MASK)))
    words = dict.fromkeys(("edit_instruction", "caption", "difference", "question", "answer"), "Words.")
    about = {"mask": "mask.png"}
    return EditSample("one", "a.png", "b.png", "Object", edited_caption="Others.", provenance=about, **words)


def test_a_mask_turns_with_its_pictures_in_training(tmp_path):
    sample = pair(tmp_path)
    back = {"reverse": {"difference": "The way back."}}
    sample = replace(sample, provenance=sample.provenance | back)
    made = EditExamples([sample], tmp_path, same=0.0, masks=True)
    pairs = [one for one in map(made, range(len(made))) if len(one.images) == 2]
    assert {tuple(np.asarray(image).tobytes() for image in one.images) for one in pairs} == {
        tuple(np.asarray(image).tobytes() for image in order) for order in (pairs[0].images, pairs[0].images[::-1])
    }, "in both orders"
    for one in pairs:
        assert one.images[0].size == (40, 60)
        assert np.array_equal(one.changed.numpy(), UPRIGHT[6](MASK))


def test_a_mask_turns_with_its_pictures_in_an_export(tmp_path):
    import pyarrow.parquet

    to_datasets([pair(tmp_path)], tmp_path, tmp_path / "out")
    [row] = pyarrow.parquet.read_table(tmp_path / "out" / "data" / "train-00000.parquet").to_pylist()
    assert np.array_equal(np.asarray(naive(row["mask"]["bytes"]))[..., 0] > 0, UPRIGHT[6](MASK))
    assert np.array_equal(np.asarray(naive(row["image"]["bytes"])), UPRIGHT[6](SIDE))


def test_boxes_turn_with_the_picture(tmp_path):
    """R-Bench's boxes are shares of the stored pixels: its authors draw them without turning anything."""
    (tmp_path / "a.png").write_bytes(saved(Image.new("RGB", (60, 40)), exif=turned(6)))
    boxes = [(10 / 60, 5 / 40, 25 / 60, 35 / 40), (0.5, 0.0, 1.0, 1.0)]
    asked = Question("one", "Is it?", "yes", (str(tmp_path / "a.png"),), about={"boxes": boxes})
    drawn = np.asarray(naive(with_boxes(asked).images[0]))
    assert drawn.shape == (60, 40, 3)
    rows, columns = np.nonzero((drawn == (255, 0, 0)).all(2))  # stored (x, y) lies at row x, column 40 - y
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 25, 5, 35)


# ---------------------------------------------------------------- what is refused alike


def with_text() -> bytes:
    """A whole picture with a remark that unpacks to two megabytes, as some drawing programs write."""
    notes = PngInfo()
    notes.add_text("workflow", "x" * (2 << 20), zip=True)
    return saved(Image.new("RGB", (48, 48)), pnginfo=notes)


def bad_files(folder) -> list[str]:
    """Files that no entrance may read, crash on, or wait for."""
    Image.new("RGB", (48, 48)).save(folder / "script.png", "EPS")
    (folder / "text.png").write_bytes(with_text())
    (folder / "bomb.png").write_bytes(png_of(10_000, 6_000))
    (folder / "cut.png").write_bytes(saved(Image.fromarray(SIDE))[:60])
    os.mkfifo(folder / "pipe.png")
    return [str(folder / name) for name in ("script.png", "text.png", "bomb.png", "cut.png", "pipe.png")]


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """Those files, and a Ghostscript that must not be started."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    folder = tmp_path / "bad"
    folder.mkdir()
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *rest, **options: started.append(rest))
    yield bad_files(folder)
    assert not started, "a picture started Ghostscript"


def test_the_script_would_be_run_by_plain_pillow(bad, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *rest, **options: started.append(rest) or 1 / 0)
    with pytest.raises(ZeroDivisionError), Image.open(bad[0]) as image:
        image.load()
    assert started


def test_bad_files_end_no_evaluation_and_no_later_one(files, bad, vlm, tmp_path):
    asked = [*questions(files), *(Question(one, "What?", "", (one,)) for one in bad)]
    for _ in range(2):
        result = run(asked, vlm, tmp_path / "out", 4, 2, progress=False)
        assert (result["n"], result["errors"]) == (len(files), len(bad))
    why = (tmp_path / "out" / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(one in line for one, line in zip(bad, why, strict=True))


def test_bad_files_are_refused_with_one_sentence_by_ask(bad):
    for one in bad:
        result = CliRunner().invoke(app, ["ask", one, "What is it?"])
        assert result.exit_code == 2 and result.stdout == "" and one in result.stderr and result.stderr.count("\n") == 1


def test_bad_files_are_refused_by_clients_before_anything_is_sent(bad, vlm):
    with FaultyServer() as server:
        for client in (OpenAiClient(server.url, "m", patience=ONCE), LocalClient(vlm)):
            for one in bad:
                with pytest.raises(CallFailed) as caught:
                    client.ask(Request("one", "What?", (one,)))
                assert caught.value.reason == "bad_picture" and one in caught.value.detail
        with pytest.raises(CallFailed):
            Request("one", "What?", (bad[-1],)).fingerprint()
    assert not server.calls


def test_bad_files_are_refused_by_training_export_and_check(bad, tmp_path):
    for one in bad:
        chat = Chat("one", (one,), (("<image>What?", "This."),))
        with pytest.raises(CannotRun, match="sample one"):
            ConversationExamples([chat], tmp_path)(0)
        with pytest.raises(CannotRun, match="sample one"):
            to_datasets([chat], tmp_path, tmp_path / "out")
        with pytest.raises(BadPicture):
            fingerprint(one)


def test_bad_files_are_rejected_by_med_build_and_the_filter(bad):
    source = FolderSource(os.path.dirname(bad[0]))
    found = [source.draft(i) for i in range(len(source))]
    assert len(found) == len(bad) and all(isinstance(one, Rejected) and one.stage == "source" for one in found)
    assert all(isinstance(one, BadPicture) for one in similarities(Embeds(), [(one, one) for one in bad]))


def test_bad_files_leave_an_audit_and_a_benchmark_s_drawing_whole(bad):
    for one in bad:
        asked = Question("one", "Is it?", "yes", (one,), about={"boxes": [(0, 0, 1, 1), (0, 0, 1, 1)]})
        assert size(one) is None and with_boxes(asked) is asked


def test_no_other_file_opens_a_picture_and_every_opening_names_its_formats():
    calls = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open"):
                assert "formats" in {one.arg for one in node.keywords}, f"{path.name}:{node.lineno} takes any format"
                calls[path.relative_to(PACKAGE).as_posix()] = node.lineno
    # Apart from the decoder: what runs inside another harness, and the remarks in drawn pictures, not their pixels.
    assert set(calls) == {"data/decode.py", "edit/benchmark/lmms_utils.py", "edit/truth.py"}
