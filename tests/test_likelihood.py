"""Several answers about the same pictures score as each does alone, and the likeliest option is taken."""

import io
import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.question import Question
from mmhallu_core.edit.benchmark.build import write_benchmark
from mmhallu_core.evaluate import contrast as contrast_sets
from mmhallu_core.evaluate import likelihood as likelihoods
from mmhallu_core.evaluate.letters import LETTER, strict_letter
from mmhallu_core.evaluate.likelihood import Weighed, choices, likelihood, run_likelihood
from mmhallu_core.models.score import score, score_shared
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import JournalError, Locked, run_lock
from mmhallu_core.types import CannotRun, read_jsonl

pytestmark = pytest.mark.long
TEXTS = (["The dog was red.", "The cat was red and is now blue.", "A dog."], ["No.", "There is no difference."])


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Loads a tiny random model of a family."""
    return lambda family: Vlm.load(build(family, tmp_path_factory.mktemp(family)), device="cpu")


def picture(seed):
    noise = torch.randint(0, 255, (56, 56, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Image.fromarray(noise.numpy())


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "mllama"])
def test_shared_scores_are_those_of_one_by_one(load, family):
    vlm = load(family)
    images = [[picture(0), picture(1)], [picture(2)]]
    asked = ["What is different between the two images?", "What changed?"]
    found = score_shared(vlm, images, asked, TEXTS)
    for pictures, question, texts, rows in zip(images, asked, TEXTS, found, strict=True):
        alone = score(vlm, [pictures] * len(texts), [question] * len(texts), texts, batch_size=1)
        for one, other in zip(rows, alone, strict=True):
            assert one.token_ids.tolist() == other.token_ids.tolist() and one.tokens == other.tokens
            assert torch.allclose(one.log_probs, other.log_probs, atol=1e-4)


def test_without_pictures_and_with_one_answer(load):
    vlm = load("llava")
    for images in ([[]], [[picture(0)]]):
        [[one]] = score_shared(vlm, images, ["What changed?"], [["Nothing changed."]])
        [other] = score(vlm, images, ["What changed?"], ["Nothing changed."])
        assert one.total == pytest.approx(other.total, abs=1e-4)
    for bad in ([[]], [[""]], [["a"], ["b"]]):
        with pytest.raises(ValueError, match="lists of answers"):
            score_shared(vlm, [[]], ["What changed?"], bad)


def question(name="q"):
    file = io.BytesIO()
    picture(3).save(file, "PNG")
    options = ("The dog became a cat.", "No.", "All the dogs are now red.")
    return Question(name, "with options", "B", (file.getvalue(),) * 2, options, {"question": "What changed?"})


def test_the_likeliest_option_by_sum_and_by_mean(load):
    vlm, one = load("llava"), question()
    [weighed] = likelihood(vlm, [one])
    pictures = [picture(3)] * 2
    alone = score(vlm, [pictures] * 3, ["What changed?"] * 3, one.options)
    assert weighed.sums == pytest.approx([found.total for found in alone], abs=1e-3)
    assert weighed.means == pytest.approx([float(found.log_probs.mean()) for found in alone], abs=1e-3)
    assert weighed.letter("sum") == "ABC"[max(range(3), key=lambda i: alone[i].total)]
    two = Weighed("q", sums=(-9.0, -2.0, -8.0), means=(-3.0, -2.0, -1.0))
    assert [two.letter(by) for by in ("sum", "mean")] == ["B", "C"]
    [said] = choices([two], "mean")
    assert said.id == "q"
    assert strict_letter(said.answer, one.choices) == LETTER["MED GPT"](said.answer, one.choices) == "C"


def test_a_question_without_options_or_without_its_text_is_refused(load):
    vlm = load("llava")
    for about, options in (({}, ("a", "b")), ({"question": "What?"}, ())):
        with pytest.raises(CannotRun, match="q1 needs options"):
            likelihood(vlm, [Question("q1", "with options", "A", (), options, about)])


def about_pictures(count):
    """Questions about so many sets of pictures, two about each."""
    found = []
    for number in range(count):
        file = io.BytesIO()
        picture(number).save(file, "PNG")
        for half in "ab":
            found.append(replace(question(f"{number}{half}"), images=(file.getvalue(),)))
    return found


def test_a_stopped_run_goes_on_and_belongs_to_its_model(load, tmp_path, monkeypatch):
    vlm, asked, seen = load("llava"), about_pictures(3), []

    def go(out, by="sum", model=vlm):
        return run_likelihood(asked, model, tmp_path / out, by, 2, progress=False)

    def counting(*given, dies=False):
        if dies and len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(given[2])
        return score_shared(*given)

    whole = go("whole")
    monkeypatch.setattr(likelihoods, "score_shared", partial(counting, dies=True))
    with pytest.raises(KeyboardInterrupt):
        go("out")
    assert sum(map(len, seen)) == 4 and not (tmp_path / "out" / "answers.jsonl").exists()
    monkeypatch.setattr(likelihoods, "score_shared", counting)
    seen.clear()
    result = go("out")
    assert sum(map(len, seen)) == 2 and (result["n"], result["asked_again"]) == (6, 2)
    for name in ("answers.jsonl", "likelihoods.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert result["answered_by"] == whole["answered_by"] == "likelihood, by sum"
    for other in ({"by": "mean"}, {"model": load("qwen2_vl")}):
        with pytest.raises(JournalError, match="another run"):
            go("out", **other)
    with run_lock(tmp_path / "out"), pytest.raises(Locked, match="is in use"):
        go("out")
    rows = read_jsonl(tmp_path / "out" / "likelihoods.jsonl", Weighed)
    assert rows == likelihood(vlm, asked, 2), "and what is kept is what the function gives"


def test_a_bad_picture_costs_its_own_questions(load, tmp_path):
    asked = about_pictures(2)
    asked[0] = replace(asked[0], images=(b"not a picture",))
    result = run_likelihood(asked, load("llava"), tmp_path, "sum", progress=False)
    assert (result["n"], result["errors"]) == (3, 1)
    assert "0a" in (tmp_path / "errors.jsonl").read_text("utf-8")


def test_eval_by_letter_and_by_likelihood(tmp_path):
    write_benchmark(contrast_sets.questions("med-tiny/test", 4), tmp_path / "bench", "med-tiny", {})
    for by in ("letter", "likelihood", "likelihood-mean"):
        words = ["eval", "med-tiny", "--questions", tmp_path / "bench", "--model", "tiny-llava", "--limit", 8]
        words += ["--out", tmp_path / by, "--by", by, "--json"]
        shown = CliRunner().invoke(app, list(map(str, words)))
        result = json.loads(shown.stdout)
        assert shown.exit_code == 0 and (result["n"], result["errors"]) == (8, 0)
        assert {"macro_accuracy", "accuracy", "unparsed", "object"} <= set(result["strict"])
        if by != "letter":
            assert result["strict"]["unparsed"] == 0 == result["official"]["drawn"]
            assert result["answered_by"] == f"likelihood, by {'mean' if by.endswith('mean') else 'sum'}"
            rows = [json.loads(line) for line in (tmp_path / by / "likelihoods.jsonl").read_text("utf-8").splitlines()]
            assert [len(row["sums"]) for row in rows] == [4] * 8
        scored = ["score", "med-tiny", "--questions", tmp_path / "bench", "--answers", tmp_path / by / "answers.jsonl"]
        again = json.loads(CliRunner().invoke(app, [*map(str, scored), "--subset", "--json"]).stdout)
        assert again["strict"] == result["strict"]
    for wrong, told in ((["--by", "magic"], "'magic' is not"), (["--by", "likelihood", "--server", "x"], "a server"),
                        (["--by", "likelihood"], "a new --out"), (["--calls", 3], "only with --server"),
                        (["--profile", "tiny", "--model", "tiny-llava"], "--profile is only without --model"),
                        (["--by", "likelihood", "--max-new-tokens", 3], "only with --by letter"),
                        (["--server", "x", "--model", "m", "--batch-size", 3], "--batch-size is only")):  # fmt: skip
        words = ["eval", "med-tiny", "--questions", tmp_path / "bench", "--limit", 8, "--out", tmp_path / "letter"]
        shown = CliRunner().invoke(app, [*map(str, words), *map(str, wrong)])
        assert shown.exit_code == 2 and told in shown.stderr
