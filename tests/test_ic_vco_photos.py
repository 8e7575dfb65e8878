"""Pairs of photos: what a template's edit is asked, what an annotator's captions become, the command, and likeness."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.check import read_preferences
from mmhallu_core.edit.stages.photos import TEMPLATE
from mmhallu_core.evaluate.diorama.exam import DESCRIBE
from mmhallu_core.methods.ic_vco.photos import asked_of, histogram, point_of, record_of
from mmhallu_core.types import EditSample


def sample(operation="remove", thing="red thing at the left", difference="The red thing at the left is gone.", **more):
    told = {"caption": "A photo.", "edited_caption": "Another photo.", "category": "Negation"} | more.pop("told", {})
    made = {"captions": TEMPLATE, "editor": {"operation": operation, "thing": thing, "difference": difference}} | more
    return EditSample(
        "a", "images/a.png", "images/a-edited.png", edit_instruction="Remove it.", difference=difference, question="?",
        answer="!", provenance=made, **told,
    )  # fmt: skip


def test_what_opencv_did_settles_a_question():
    assert asked_of(sample()) == ("Is there a red thing at the left?", "Yes.", "No.")
    recoloured = sample("recolour", difference="The thing at the left was red and is now blue.")
    assert asked_of(recoloured) == ("What colour is the thing at the left?", "Red.", "Blue.")
    copied = sample("copy", difference="There is one more red thing: a second one at the right.")
    assert asked_of(copied) == ("Is there a red thing at the right?", "No.", "Yes.")
    assert asked_of(sample("copy", difference="There is one more red thing: a second one at the left.")) is None
    assert record_of(sample("rescale", difference="The red thing at the left is larger now.")) is None


def test_captions_of_an_annotator_are_the_two_answers():
    told = {"caption": "A man holds a red cup.", "edited_caption": "A man holds a green cup.", "category": "Attribute"}
    record = record_of(sample(captions="annotator", told=told))
    assert (record.prompt, record.chosen) == (DESCRIBE, told["caption"])
    assert [record.rejected[a:b] for a, b in record.rejected_spans] == ["green"]
    assert record.images == ("edits/images/a.png", "edits/images/a-edited.png")
    same = {"caption": "A cup.", "edited_caption": "A cup."}
    assert record_of(sample(captions="annotator", told=same)) is None
    assert [point_of(one) for one in ("Counting", "Scene", "Part Relation")] == ["existence", "attribute", "relation"]


def test_histogram_holds_every_pair():
    found = histogram([0.999, 1.0, 0.71, 0.7, 1.00004])
    assert sum(found["counts"]) == found["n"] == 5 and found["edges"][0] == 0.7 and found["edges"][-1] == 1.0
    assert found["counts"][-1] == 3 and found["median"] == 0.999


@pytest.mark.long
def test_the_command_makes_pairs_of_photos_and_says_how_alike_they_are(tmp_path):
    pytest.importorskip("cv2", reason="the editors of photos need OpenCV: pip install 'mmhallu[edit]'")
    down, across = np.ogrid[:180, :260]
    (tmp_path / "photos").mkdir()
    for k, colour in enumerate([(200, 40, 40), (40, 90, 200), (30, 140, 50), (220, 190, 40)]):
        photo = np.full((180, 260, 3), 130.0) + across[..., None] * 0.1
        photo[(across - 60 - 40 * k) ** 2 + (down - 90) ** 2 <= 26**2] = colour
        photo += np.random.default_rng(k).normal(0, 3, photo.shape)
        Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(tmp_path / "photos" / f"{k}.png")
    asked = ["ic-vco", "pairs", "--source", "photos", "--photos", str(tmp_path / "photos"), "--workers", "0"]
    ran = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out"), "--json"], catch_exceptions=False)
    made, records = json.loads(ran.stdout), read_preferences(tmp_path / "out" / "preferences.jsonl")
    assert made["pairs"] == len(records) == made["preferences"] > 0
    assert made["n"] == 4 == made["pairs"] + sum(made["reasons"].values())
    file = str(tmp_path / "out" / "preferences.jsonl")
    ran = CliRunner().invoke(app, ["ic-vco", "alike", file, "--json"], catch_exceptions=False)
    assert json.loads(ran.stdout)["files"][file]["n"] == made["pairs"]
    for wrong in (["--source", "photos"], ["--clip", "x"], ["--negative", "synthetic", *asked[2:6]]):
        ran = CliRunner().invoke(app, ["ic-vco", "pairs", "--out", str(tmp_path / "no"), *wrong])
        assert ran.exit_code == 2
