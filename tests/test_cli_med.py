"""`mmhallu med build`: samples of Diorama in a folder, the same for the same seed, and refusals in one sentence."""

import io
import json

import pytest
from faulty_server import FaultyServer, echo, good, status
from PIL import Image
from test_edit_run import content
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.edit.draft import Rejected
from mmhallu_core.edit.truth import scene_in
from mmhallu_core.types import CATEGORIES, EditSample, read_jsonl
from mmhallu_core.world.edits import sample_edit
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long


def run(*words):
    """Runs `mmhallu med build`; gives exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["med", "build", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Forty-four drafts of seed 3, in this process."""
    out = tmp_path_factory.mktemp("med") / "out"
    code, text, error = run("--source", "world", "--n", 44, "--seed", 3, "--out", out, "--workers", 0, "--json")
    assert code == 0, error
    return out, json.loads(text)


def test_one_json_object_and_what_it_counts(built):
    out, result = built
    samples, rejected = read_jsonl(out / "samples.jsonl", EditSample), read_jsonl(out / "rejected.jsonl", Rejected)
    assert (result["n"], result["samples"], result["rejected"]) == (44, len(samples), len(rejected))
    assert sum(result["reasons"].values()) == len(rejected) < 22 and result["spent"] == {}
    assert {one.category for one in samples} <= set(CATEGORIES) and len({one.category for one in samples}) >= 8
    assert {"n", "samples", "rejected", "reasons", "resumed", "seconds", "cpu_seconds", "sha256", "out"} <= set(result)


def test_samples_are_the_worlds_pairs_and_carry_no_truth(built):
    out, _ = built
    for one in read_jsonl(out / "samples.jsonl", EditSample)[:10]:
        index = one.provenance["source"]["index"]
        edit = sample_edit(CATEGORIES[index % 11], f"med/train/3/{index}")
        for name, scene in ((one.image, edit.before), (one.edited_image, edit.after)):
            picture = (out / name).read_bytes()
            assert scene_in(picture) is None, "the scene must not travel in a data set's picture"
            with Image.open(io.BytesIO(picture)) as image:
                assert image.convert("RGB").tobytes() == render(scene, 96).image.convert("RGB").tobytes()
        with Image.open(out / one.provenance["mask"]) as mask:
            assert mask.size == (96, 96) and mask.convert("L").getextrema() == (0, 255)


@pytest.mark.long(9)
def test_the_same_seed_gives_the_same_bytes_with_two_workers(built, tmp_path):
    out, result = built
    code, text, error = run("--n", 44, "--seed", 3, "--out", tmp_path / "out", "--workers", 2)
    assert code == 0, error
    assert f"{result['samples']} samples of 44 drafts" in text and all(reason in text for reason in result["reasons"])
    assert "drafts" in error, "progress goes to standard error"
    assert content(tmp_path / "out") == content(out)
    code, text, _ = run("--n", 44, "--seed", 4, "--out", tmp_path / "other", "--workers", 0, "--json")
    assert code == 0 and json.loads(text)["sha256"] != result["sha256"]


def test_the_dial_of_the_oracle_shows_in_the_reasons(built, tmp_path):
    code, text, _ = run("--n", 44, "--seed", 3, "--error", 0.3, "--out", tmp_path, "--workers", 0, "--json")
    result = json.loads(text)
    assert code == 0 and result["samples"] < built[1]["samples"] and len(result["reasons"]) > len(built[1]["reasons"])
    assert result["samples"] + sum(result["reasons"].values()) == 44


def test_refusals_are_one_sentence_and_exit_code_2(built, tmp_path):
    out, _ = built
    cases = {
        ("--out", tmp_path, "--source", "moon"): "'moon' is not one",
        ("--out", tmp_path, "--engine", "mule"): "'mule' is not one",
        ("--out", tmp_path, "--annotator", "http://127.0.0.1:9/v1"): "needs --model, the server's name",
        ("--out", tmp_path, "--annotator", "tiny-llava", "--error", 0.1): "--error is a dial of the oracle",
        ("--out", tmp_path, "--annotator", tmp_path / "nothing"): "nothing",
        ("--out", tmp_path, "--model", "m"): "--model is a server's name for its model",
        ("--out", tmp_path, "--annotator", "tiny-llava", "--model", "m"): "--model is a server's name for its model",
        ("--out", tmp_path, "--annotator", "http://sk-long-key@127.0.0.1:9/v1", "--model", "m"): "put the key into",
        ("--out", out, "--n", 44, "--seed", 4): "holds another run: use a new --out",
        ("--out", out, "--n", 44, "--seed", 3, "--error", 0.1): "settings: there",
    }
    for words, said in cases.items():
        code, text, error = run(*words, "--workers", 0)
        assert (code, text) == (2, "") and said in error and "sk-long-key" not in error, (words, error)


def test_a_server_as_annotator_is_paid_once_and_its_nonsense_kept(tmp_path):
    with FaultyServer(answer=lambda call: "a red car") as server:
        words = ["--n", 3, "--annotator", server.url, "--model", "m", "--out", tmp_path, "--workers", 0, "--json"]
        code, text, error = run(*words)
        assert code == 0, error
        result = json.loads(text)
        assert result["samples"] == 0 and result["spent"]["calls"] == len(server.calls) == 6  # each asked twice
        assert {call.body["model"] for call in server.calls} == {"m"}
        assert json.loads(run(*words)[1])["sha256"] == result["sha256"] and len(server.calls) == 6
    for one in read_jsonl(tmp_path / "rejected.jsonl", Rejected):
        assert one.stage == "filter" and "a red car" in one.text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_server_that_echoes_the_key_leaves_it_nowhere(tmp_path, monkeypatch, workers):
    monkeypatch.setenv("MMHALLU_API_KEY", "sk-long-key\n")
    with FaultyServer([echo(good), echo(lambda said: status(400, message=said))] * 50) as server:
        given = ["--n", 4, "--annotator", server.url, "--model", "m", "--out", tmp_path, "--workers", workers]
        shown = run(*given)
        assert {call.headers["authorization"] for call in server.calls} == {"Bearer sk-long-key"}
    kept = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert any("[key]" in one for one in kept) and not any("sk-long-key" in one for one in [*kept, *map(str, shown)])
