"""Photos through the pipeline: by OpenCV and templates, with a CLIP, with an annotator, with another editor."""

import json
import shutil

import numpy as np
import pytest
from faulty_server import FaultyServer
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("cv2", reason="the editors of photos need OpenCV: pip install 'mmhallu[edit]'")

from maintenance.med_photos import look, run
from mmhallu_core.chapters.build_micro_edits import pairs, released, spread
from mmhallu_core.cli import app
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.editors.editor import centred, draft_seed, edited_by
from mmhallu_core.edit.engine import jobs
from mmhallu_core.edit.engine.run import build
from mmhallu_core.edit.photos import MIN_CHANGE, MIN_SEEN, Refusal, Refused, edit_photo
from mmhallu_core.edit.pipeline import through
from mmhallu_core.edit.recipe import Annotator, Photos
from mmhallu_core.edit.stages.photos import DESCRIBE, LEFT_OUT, TEMPLATE, opencv_edit, photo_stages
from mmhallu_core.edit.truth import png
from mmhallu_core.store import MissingFile
from mmhallu_core.types import CannotRun, EditSample, read_jsonl
from mmhallu_core.viz.contact_sheet import write_contact_sheets

pytestmark = pytest.mark.long

HEIGHT, WIDTH = 180, 260


def scene(number: int) -> np.ndarray:
    """A ball before a wall, another colour and place for each number."""
    colour = [(200, 40, 40), (40, 90, 200), (30, 140, 50), (220, 190, 40)][number % 4]
    x, y = 60 + 45 * (number % 3), 60 + 20 * (number % 4)
    down, across = np.ogrid[:HEIGHT, :WIDTH]
    photo = np.full((HEIGHT, WIDTH, 3), 130.0) + across[..., None] * 0.1
    photo[(across - x) ** 2 + (down - y) ** 2 <= 26**2] = colour
    noise = np.random.default_rng(number).normal(0, 3, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six photos that can be edited, two where nothing stands out, two files that cannot be read."""
    place = tmp_path_factory.mktemp("photos")
    for number in range(6):
        Image.fromarray(scene(number)).save(place / f"ball{number}.{'jpg' if number % 2 else 'png'}", quality=92)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 128, np.uint8)).save(place / "plain.png")
    (place / "cut.jpg").write_bytes((place / "ball1.jpg").read_bytes()[:900])
    (place / "empty.png").write_bytes(b"")
    Image.new("CMYK", (64, 64)).save(place / "print.jpg")
    (place / "notes.txt").write_text("no picture", encoding="utf-8")
    return place


def command(*words):
    result = CliRunner().invoke(app, ["med", "build", "--source", "photos", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def built(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    code, text, error = command("--photos", folder, "--out", out, "--workers", 0, "--json")
    assert code == 0, error
    return out, json.loads(text)


# ---------------------------------------------------------------- OpenCV and templates


def test_each_file_gives_a_sample_or_one_reason(built):
    out, result = built
    samples, rejected = read_jsonl(out / "samples.jsonl", EditSample), read_jsonl(out / "rejected.jsonl", Rejected)
    assert (result["n"], result["samples"]) == (10, len(samples)) and len(samples) == 6
    assert {one.id: (one.stage, one.reason) for one in rejected} == {
        "cut.jpg": ("source", "corrupt_image"),
        "empty.png": ("source", "empty_image"),
        "plain.png": ("edit", Refusal.NO_THING),
        "print.jpg": ("edit", Refusal.NO_THING),
    }


def test_nothing_changes_outside_the_mask_and_enough_inside(built):
    out, _ = built
    for sample in read_jsonl(out / "samples.jsonl", EditSample):
        outside, inside, share = look(out, sample)
        assert (
            outside == 0
            and inside >= MIN_CHANGE
            and inside * share >= MIN_SEEN[sample.provenance["editor"]["operation"]]
        )
        note = sample.provenance["editor"]
        assert note["kind"] == "opencv" and note["change"] == pytest.approx(inside, abs=0.01)
        assert note["share"] == pytest.approx(share, abs=1e-5)


def test_templates_say_only_what_they_know_and_that_no_clip_was_there(built):
    out, result = built
    assert result["clip"] is None
    for sample in read_jsonl(out / "samples.jsonl", EditSample):
        note = sample.provenance
        assert sample.similarity is None and note["similarity"] == LEFT_OUT and note["captions"] == TEMPLATE
        assert sample.difference == sample.answer == note["editor"]["difference"]
        assert note["editor"]["thing"] in sample.caption and sample.difference in sample.edited_caption
        assert not {"judges", "plan"} & set(note)


def test_the_sheet_lies_beside_the_samples_and_a_second_call_changes_nothing(built, folder):
    out, result = built
    (sheet,) = result["contact_sheets"]
    with Image.open(sheet) as image:
        assert image.size[0] > 1200 and np.asarray(image.convert("L")).std() > 20
    moved = folder.parent / "moved"
    shutil.copytree(folder, moved, dirs_exist_ok=True)
    code, text, _ = command("--photos", moved, "--out", out, "--workers", 0)
    assert code == 0 and "6 samples of 10 drafts" in text and "similarity is left out" in text and str(sheet) in text
    code, text, _ = command("--photos", folder, "--out", out, "--workers", 0, "--seed", 1)
    assert code == 2, "another seed is another run"


@pytest.mark.parametrize(
    "words, said",
    [
        (["--photos", "nowhere"], "is not a folder"),
        ([], "go together"),
        (["--photos", ".", "--source", "world"], "go together"),
        (["--photos", ".", "--error", 0.5], "dial of the oracle"),
        (["--photos", "FOLDER", "--annotator", "oracle"], "knows Diorama alone"),
        (["--photos", "FOLDER", "--annotator", "http://127.0.0.1:9/v1"], "needs --model"),
        (["--photos", "FOLDER", "--editor", "gemini:a-model"], "needs --annotator"),
        (["--photos", "FOLDER", "--clip", "nowhere/at-all"], "cannot be loaded as a CLIP"),
    ],
)
def test_refusals_are_one_sentence(words, said, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = [folder if word == "FOLDER" else word for word in words]
    code, _, error = command(*words, "--out", tmp_path / "out", "--workers", 0)
    assert code == 2 and said in " ".join(error.split()), error


def test_the_most_frequent_refusal_is_the_reason():
    static = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    (end,) = opencv_edit(0)([Draft("a", png(Image.fromarray(static)))])
    assert isinstance(end, Rejected) and end.reason == Refusal.NO_THING and "no_thing 1" in end.detail


def test_what_nobody_would_see_is_refused():
    down, across = np.ogrid[:HEIGHT, :WIDTH]
    speck = (across - 130) ** 2 + (down - 90) ** 2 <= 8**2
    photo = np.where(speck[..., None], (200, 40, 40), 130).astype(np.uint8)
    with pytest.raises(Refused) as caught:
        edit_photo(photo, "remove", 0, speck)
    assert caught.value.reason == Refusal.UNCLEAR
    edit_photo(photo, "recolour", 0, speck)  # the same speck in another colour shows


def test_drafts_have_seeds_of_their_own():
    drafts = [Draft(name, b"") for name in ("a", "b")]
    assert len({draft_seed(seed, draft) for seed in (0, 1) for draft in drafts}) == 4


# ---------------------------------------------------------------- with a CLIP


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder with a tiny CLIP of random weights."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8, "projection_dim": 16}  # fmt: skip
    text = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 2, "projection_dim": 16}  # fmt: skip
    place = tmp_path_factory.mktemp("clip")
    CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=16)).save_pretrained(place)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(place)
    return place


def test_with_a_clip_every_sample_has_its_similarity(folder, clip, tmp_path):
    result = build(Photos(str(folder), 2, clip=str(clip)), tmp_path / "out", 0)
    samples = read_jsonl(tmp_path / "out" / "samples.jsonl", EditSample)
    ends = result["reasons"].get("similarity: not_alike", 0)
    assert len(samples) + ends == 2 and samples, "a random CLIP finds two nearly equal pictures alike"
    for sample in samples:
        assert 0.7 <= sample.similarity < 1 and sample.provenance["similarity"]["mode"] == "projected"


# ---------------------------------------------------------------- with an annotator


def replies(call):
    """What a good annotator says; which job it is stands in the prompt."""
    said = {
        DESCRIBE.instructions: "CAPTION: A ball before a grey wall.",
        jobs.EDITABLE.instructions: "\n".join(
            [f"**{k}. {name}:** It is. **Yes**" for k, name in enumerate(jobs.CRITERIA, start=1)]
            + ["**Final Recommendation:** **Yes**"]
        ),
        jobs.PLAN.instructions: "Type: Attribute\n## Prompt: Hi, this is a photo of a ball. Can you make the ball red "
        "and output the image?",
        jobs.COMPLETE.instructions: "NO UPDATE",
        jobs.RECAPTION.instructions: "CAPTION: A ball of another kind before a grey wall.",
        jobs.DIFFERENCE.instructions: "TYPE: Attribute\nDIFFERENCE: The ball is of another kind.",
        jobs.JUDGE_1.instructions: "Yes",
        jobs.JUDGE_2.instructions: "Yes",
        jobs.REFINE.instructions: "IMPROVED_DESCRIPTION: The second picture shows another ball.",
    }
    return next(text for instructions, text in said.items() if call.prompt.startswith(instructions))


def test_an_annotator_captions_and_judges_what_opencv_did(folder, tmp_path):
    with FaultyServer(answer=replies) as server:
        make = Photos(str(folder), 2, annotator=Annotator(server.url, "m"))
        result = build(make, tmp_path / "out", 0)
        asked = len(server.calls)
        build(make, tmp_path / "out", 0)
        assert len(server.calls) == asked == result["spent"]["calls"]
    assert result["samples"] == 2
    for sample in read_jsonl(tmp_path / "out" / "samples.jsonl", EditSample):
        assert sample.caption == "A ball before a grey wall." and sample.answer.endswith("another ball.")
        assert sample.provenance["captions"] == "annotator" and sample.provenance["judges"] == [True, True]
        assert sample.provenance["editor"]["difference"] != sample.difference  # the template's stays beside it


class Repainter:
    """Stands for a generator: it changes a square, and a little of everything."""

    about, at_once, resizes = {"kind": "repainter"}, 1, False
    padding = staticmethod(lambda size: centred(size, size, size))

    def edit(self, name, image, instruction, seed):
        canvas = np.array(image) // 2 + 60
        canvas[20:60, 20:60] = (255, 0, 0)
        return Image.fromarray(canvas)


def test_another_editor_follows_the_annotators_plan_and_has_no_mask(tmp_path):
    from mmhallu_core.clients.openai_client import OpenAiClient

    with FaultyServer(answer=replies) as server:
        stages = photo_stages(0, None, OpenAiClient(server.url, "m"), edited_by(Repainter(), 0))
        assert [name for name, _ in stages][:5] == ["caption", "filter", "plan", "edit", "similarity"]
        done, ended = through([Draft("a", png(Image.fromarray(scene(0))))], stages)
    assert len(done) == 1, ended
    assert done[0].mask is None and done[0].provenance["editor"] == {"kind": "repainter"}
    with pytest.raises(ValueError, match="needs an annotator"):
        photo_stages(0, None, None, edited_by(Repainter(), 0))
    for name, picture in (("a.png", done[0].image), ("b.png", done[0].edited_image)):
        (tmp_path / name).write_bytes(picture)
    values = {name: getattr(done[0], name) for name in ("category", "edit_instruction", "caption", "edited_caption")}
    values |= {name: getattr(done[0], name) for name in ("difference", "question", "answer")}
    sample = EditSample("a", "a.png", "b.png", **values)
    (tmp_path / "samples.jsonl").write_text(json.dumps(sample.to_dict()) + "\n", encoding="utf-8")
    (sheet,) = write_contact_sheets(tmp_path)
    assert sheet.name == "contact-sheet-01.png"  # without a mask, the size of the change is drawn


def test_the_oracle_is_not_for_photos(folder):
    with pytest.raises(CannotRun, match="knows Diorama alone"):
        Photos(str(folder), annotator=Annotator())()


# ---------------------------------------------------------------- the study


def test_how_two_pictures_differ(tmp_path):
    for name, value in (("a", 100), ("b", 110)):
        Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(tmp_path / f"{name}.png")
    Image.new("RGB", (33, 32)).save(tmp_path / "c.png")
    both = [(tmp_path / "a.png", tmp_path / "b.png")] * 2
    found = released([*both, (tmp_path / "a.png", tmp_path / "c.png")])
    assert (found["pairs"], found["pairs_of_two_sizes"]) == (3, 1)
    assert found["shape_is_off_by_percent"] == {
        "min": 0,
        "quarter": 0,
        "median": 0,
        "three_quarters": 1.56,
        "max": 3.12,
    }
    assert found["edited"]["mean_difference_of_255"]["median"] == 10
    assert found["edited"]["pixels_that_differ_percent"]["min"] == 100
    assert found["original_scaled_there_and_back"]["pixels_that_differ_percent"]["max"] == 0
    assert spread([1, 2, 3, 4, 5]) == {"min": 1, "quarter": 2, "median": 3, "three_quarters": 4, "max": 5}
    assert spread([]) == {} and spread([2.0]) == {"all": 2.0}


@pytest.mark.long(12)
def test_twelve_photos_of_the_released_benchmark(tmp_path):
    try:
        photos = [photo for photo, _ in pairs()][::14][:12]
    except MissingFile as error:
        pytest.skip(f"the photos are not here: {error}")
    found = run(photos, tmp_path)
    assert found["photos"] == 12 and found["samples"] >= 8
    assert found["pairs_with_a_change_outside_the_mask"] == 0
    assert found["mean_change_inside_the_mask_of_255"]["min"] >= MIN_CHANGE
    assert found["samples"] + sum(found["rejected"].values()) == 12
