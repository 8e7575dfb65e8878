"""What a processor cuts off is said and recorded, and padding shows the whole picture."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data import decode as decoder
from mmhallu_core.data.question import Question
from mmhallu_core.edit.stages.similarity import ClipEmbedder, similarities
from mmhallu_core.evaluate.runner import run
from mmhallu_core.models import tiny_random
from mmhallu_core.models.families import FAMILIES
from mmhallu_core.models.fit import center_crop, cut_share, padded
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import JournalError
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.long

# Width and height.
SHAPES = {"square": (48, 48), "twice as wide": (96, 48), "twice as high": (48, 96), "a photo": (96, 72)}
AS_LLAVA = CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})  # of LLaVA-1.5


def noise(size, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def repainted(image, keep):
    """The picture with other noise outside a box of pixels (x0 y0 x1 y1)."""
    other = noise(image.size, 1)
    other.paste(image.crop(keep), keep[:2])
    return other


@pytest.fixture
def said(monkeypatch, caplog):
    """What was said, from nothing on."""
    monkeypatch.setattr(decoder, "_SAID", set())
    caplog.set_level(logging.WARNING, "mmhallu")
    return caplog


# ---------------------------------------------------------------- what is cut


@pytest.mark.parametrize("family", [*FAMILIES, "tiny-llava"])
def test_each_processor_cuts_what_is_said_and_nothing_else(family, tmp_path):
    """Found by painting: what lies outside must not move a number that the model reads, what lies inside must."""
    vlm = Vlm.load("tiny-llava" if family == "tiny-llava" else tiny_random.build(family, tmp_path / "model"), "cpu")

    def read(image):
        inputs = vlm.encode([image], [vlm.prompt("What?")])
        return torch.cat([value.flatten().double() for name, value in inputs.items() if "pixel" in name])

    cuts = family in FAMILIES and FAMILIES[family].cuts
    for name, (wide, high) in SHAPES.items():
        image = noise((wide, high))
        x, y = ((side - min(wide, high)) // 2 if cuts else 0 for side in (wide, high))
        assert vlm.cut_share(image) == pytest.approx(1 - (wide - 2 * x) * (high - 2 * y) / (wide * high)), name
        whole = read(image)
        if x or y:  # some pixels further out: making a picture smaller mixes neighbours
            keep = (max(0, x - 6), max(0, y - 6), min(wide, wide - x + 6), min(high, high - y + 6))
            assert torch.equal(read(repainted(image, keep)), whole), name
        left, top, right, bottom = x + 3, y + 3, wide - x - 3, high - y - 3
        for keep in ((left, 0, wide, high), (0, top, wide, high), (0, 0, right, high), (0, 0, wide, bottom)):
            assert not torch.equal(read(repainted(image, keep)), whole), (name, keep)


def test_of_a_picture_twice_as_wide_as_high_llava_sees_one_half():
    assert cut_share(AS_LLAVA, (100, 200)) == cut_share(AS_LLAVA, (200, 100)) == pytest.approx(0.5)
    assert center_crop(AS_LLAVA, (100, 200)) == pytest.approx((0.25, 0, 0.75, 1))
    assert cut_share(AS_LLAVA, (480, 640)) == pytest.approx(0.25) and cut_share(AS_LLAVA, (336, 336)) == 0
    assert cut_share(AS_LLAVA, (1000, 1002)) == 0, "a rounding of pixels"


def test_padding_is_llava_s_own():
    """By hand, and as transformers' processor for LLaVA pads when it is asked to."""
    from transformers.models.llava.image_processing_llava import LlavaImageProcessor

    image, mean = noise((60, 40)), (122, 116, 104)  # 255 times CLIP's means 0.48145466, 0.4578275, 0.40821073, cut
    wanted = np.full((60, 60, 3), mean, dtype=np.uint8)
    wanted[10:50] = np.asarray(image)
    assert np.array_equal(np.asarray(padded(image, AS_LLAVA)), wanted)
    theirs = LlavaImageProcessor(
        do_pad=True, do_resize=False, do_center_crop=False, do_rescale=False, do_normalize=False
    )
    found = theirs(image, return_tensors="pt")["pixel_values"][0].permute(1, 2, 0).numpy()
    assert np.array_equal(found.astype(np.uint8), wanted)
    for size, square in {(40, 60): 60, (40, 40): 40}.items():
        assert padded(noise(size), AS_LLAVA).size == (square, square)


# ---------------------------------------------------------------- ask, eval, the filter


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return str(tiny_random.build("llava", tmp_path_factory.mktemp("llava") / "model"))


@pytest.fixture
def wide(tmp_path):
    """Two pictures, twice as wide as high, that differ in their left 23% alone."""
    image = noise((200, 100))
    image.save(tmp_path / "a.png")
    repainted(image, (46, 0, 200, 100)).save(tmp_path / "b.png")
    return [str(tmp_path / name) for name in ("a.png", "b.png")]


def ask(*words):
    result = CliRunner().invoke(app, ["ask", *words, "--json"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_ask_says_once_what_is_cut_and_pads_when_told(llava, wide, said):
    found = ask(*wide, "What is there?", "--model", llava)
    assert (found["fit"], found["cut"]) == ("processor", 0.5)
    assert len(said.records) == 1 and "50% of one of 200 x 100 pixels is never seen" in said.text
    said.clear()
    found = ask(*wide, "What is there?", "--model", llava, "--fit", "pad")
    assert (found["fit"], found["cut"]) == ("pad", 0.0) and not said.records
    result = CliRunner().invoke(app, ["ask", wide[0], "What?", "--fit", "stretch"])
    assert result.exit_code == 2 and "'stretch' is not one of 'processor'" in result.stderr


def test_eval_says_it_and_records_which(llava, wide, said, tmp_path):
    vlm = Vlm.load(llava, "cpu")
    noise((64, 64)).save(tmp_path / "c.png")
    asked = [Question(name, "What is there?", "", (name,)) for name in (*wide, str(tmp_path / "c.png"))]
    for _ in range(2):  # the second time from the journal alone
        result = run(asked, vlm, tmp_path / "out", 2, 2, progress=False)
        assert result["fit"] == "processor" and result["cut"] == {"questions": 2, "largest": 0.5}
    assert len(said.records) == 1
    with pytest.raises(JournalError):
        run(asked, vlm, tmp_path / "out", 2, 2, progress=False, fit="pad")
    result = run(asked, vlm, tmp_path / "padded", 2, 2, progress=False, fit="pad")
    assert result["fit"] == "pad" and result["cut"] == {"questions": 0, "largest": 0.0}
    assert len(said.records) == 1


def test_the_command_eval_says_it_and_takes_the_option(llava, wide, tmp_path):
    rows = [{"question_id": str(n), "text": "Is it?", "label": "yes", "image": f"{n}.png"} for n in range(2)]
    (tmp_path / "images").mkdir()
    for n, path in enumerate(wide):
        Image.open(path).save(tmp_path / "images" / f"{n}.png")
    questions = tmp_path / "image-level_filterd.json"
    questions.write_text(json.dumps(rows), encoding="utf-8")
    words = ["eval", "rbench", "--questions", str(questions), "--model", llava, "--max-new-tokens", "2", "--out"]
    found = CliRunner().invoke(app, [*words, str(tmp_path / "cut")])
    assert found.exit_code == 0 and "2 questions: their picture's edges were cut off, up to 50% of it." in found.stdout
    found = CliRunner().invoke(app, [*words, str(tmp_path / "pad"), "--fit", "pad", "--json"])
    result = json.loads((tmp_path / "pad" / "result.json").read_text(encoding="utf-8"))
    assert found.exit_code == 0 and (result["fit"], result["cut"]["questions"]) == ("pad", 0)
    found = CliRunner().invoke(app, [*words, str(tmp_path / "x"), "--fit", "pad", "--server", "http://127.0.0.1:1/v1"])
    assert found.exit_code == 2 and "--fit" in found.stderr


def test_eval_pads_what_the_model_reads(llava, wide, tmp_path, monkeypatch):
    vlm, seen, encode = Vlm.load(llava, "cpu"), [], Vlm.encode

    def spy(self, images, *rest, **options):
        seen.extend(image for some in images for image in some)
        return encode(self, images, *rest, **options)

    monkeypatch.setattr(Vlm, "encode", spy)
    run([Question("a", "What?", "", (wide[0],))], vlm, tmp_path / "out", 1, 2, progress=False, fit="pad")
    assert [image.size for image in seen] == [(200, 200)]


def test_eval_counts_what_the_decoder_chose(llava, tmp_path):
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (0, 90, 200)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    asked = [Question(str(n), f"What is {n}?", "", (str(tmp_path / "moves.gif"),)) for n in range(2)]
    result = run(asked, Vlm.load(llava, "cpu"), tmp_path / "out", 2, 2, progress=False)
    assert result["picture_notes"] == {decoder.ANIMATED: 2}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    torch.manual_seed(0)
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 32}
    config = CLIPConfig(
        text_config=layers | {"vocab_size": 9}, vision_config=layers | {"image_size": 32, "patch_size": 8}
    )
    place = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(place)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(place)
    return place


def test_the_filter_says_what_it_cannot_see_and_padding_sees_it(clip, wide, said):
    cuts, pads = ClipEmbedder(clip), ClipEmbedder(clip, fit="pad")
    assert similarities(pads, [tuple(wide)])[0] < 1 and not said.records
    assert similarities(cuts, [tuple(wide)] * 2) == [1.0, 1.0]
    assert len(said.records) == 1 and "50%" in said.text
    assert (cuts.about["fit"], pads.about["fit"]) == ("processor", "pad")
    with pytest.raises(CannotRun, match="choose one of processor, pad"):
        ClipEmbedder(clip, fit="stretch")


def test_med_build_takes_a_fit_for_its_clip_alone(tmp_path):
    words = [
        "med",
        "build",
        "--source",
        "photos",
        "--photos",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
        "--fit",
        "pad",
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "--clip" in result.stderr
