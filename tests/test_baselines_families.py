"""Repairs without training in every family, on tiny random models; and on the command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from quick_cli import run

from mmhallu_core.cli import evaluate as cli_evaluate
from mmhallu_core.methods.baselines import DECODINGS, Amplify, NoPicture, Pai, Vcd, YesBias
from mmhallu_core.models import tiny_random
from mmhallu_core.models.families import FAMILIES
from mmhallu_core.models.greedy import Decoding, generate
from mmhallu_core.models.record import record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.long


def noise(height, width, seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


# Of several shapes, and questions of several lengths: the batch is full of fillers.
PICTURES = [noise(48, 64, 0), noise(64, 32, 1), noise(96, 96, 2), noise(30, 30, 3)]
QUESTIONS = ["Where?", "Is there a dog in the image, or is there none?", "What is it?", "Is it night or day?"]
CONTRASTS = [Vcd(3.0, 0.0, step=900), NoPicture(3.0, 0.0)]
ATTENTION = [Amplify(2.0, first_layer=0), Pai(2.0, first_layer=0, gamma=3.0, cut=0.0)]
NOTHING = [Vcd(0.0), NoPicture(0.0), YesBias(0.0), Amplify(0.0, first_layer=0), Pai(0.0, first_layer=0, gamma=1.0)]


@pytest.fixture(scope="module", params=tiny_random.FAMILIES)
def vlm(request, tmp_path_factory):
    return Vlm.load(tiny_random.build(request.param, tmp_path_factory.mktemp("repairs") / request.param), "cpu")


def say(vlm, how, size=4):
    vlm.decoding = how
    try:
        return vlm.say(PICTURES, QUESTIONS, 6, size)
    finally:
        vlm.decoding = Decoding()


def able(vlm, ways):
    """The ways that a family can take: PAI needs image tokens."""
    return [how for how in ways if vlm.family.image_positions is not None or not isinstance(how, Amplify)]


def test_the_tiny_models_are_of_all_families(vlm):
    assert len(FAMILIES) == 9 and vlm.family.name in FAMILIES


def test_a_repair_with_nothing_added_is_greedy_search(vlm):
    greedy = say(vlm, Decoding())
    for how in able(vlm, NOTHING):
        assert say(vlm, how) == greedy, how


def test_answers_do_not_depend_on_the_batch_and_are_others(vlm):
    greedy = say(vlm, Decoding())
    for how in able(vlm, [*CONTRASTS, *ATTENTION]):
        together = say(vlm, how)
        assert together == say(vlm, how, size=1), how
        assert together != greedy, how


def without_picture(vlm, inputs, row):
    """The tokens of a row that are no image tokens and no fillers, as a prompt of their own."""
    kept = inputs["attention_mask"][row].bool() & (inputs["input_ids"][row] != vlm.processor.image_token_id)
    ids = inputs["input_ids"][row : row + 1, kept]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@torch.inference_mode()
def test_the_branch_without_a_picture_is_the_prompt_without_its_tokens(vlm):
    inputs = vlm.encode(PICTURES, [vlm.prompt(text) for text in QUESTIONS])
    more = {"return_dict_in_generate": True, "output_logits": True}
    with NoPicture(1.0).begin(vlm, inputs) as (read, steps):
        found = generate(vlm.model, read, 3, logits_processor=steps, **more)
    width = inputs["input_ids"].shape[1]
    for row in range(4):
        prompt = without_picture(vlm, inputs, row)
        for step in range(3):
            said = found.sequences[row : row + 1, width : width + step]
            ids = torch.cat([prompt["input_ids"], said], dim=1)
            whole = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            alone = generate(vlm.model, whole, 1, **more).logits[0]
            assert torch.allclose(found.logits[step][4 + row], alone[0], atol=1e-4), (row, step)
    assert (found.logits[0][4:] - found.logits[0][:4]).abs().max() > 0.01, "and the picture matters"


@torch.inference_mode()
def test_our_attention_is_the_familys_own_when_nothing_is_raised(vlm):
    inputs = vlm.encode(PICTURES, [vlm.prompt(text) for text in QUESTIONS])
    if vlm.family.image_positions is None:
        with pytest.raises(CannotRun, match="mllama.*cross-attention"):
            say(vlm, Amplify(first_layer=0))
        with pytest.raises(CannotRun, match="pai .*cross-attention"):
            say(vlm, Pai(first_layer=0))
        return
    with record(vlm.model, attentions=True) as plain:
        vlm.model(**inputs)
    with record(vlm.model, attentions=True) as seen, Amplify(0.0, first_layer=0).begin(vlm, inputs):
        vlm.model(**inputs)
    with record(vlm.model, attentions=True) as more, Amplify(2.0, first_layer=1).begin(vlm, inputs):
        vlm.model(**inputs)
    real = inputs["attention_mask"].bool()
    for layer, maps in plain.attentions.items():
        rows, own, raised = (
            one.transpose(1, 2)[real] for one in (maps, seen.attentions[layer], more.attentions[layer])
        )
        assert torch.allclose(rows, own, atol=1e-6)
        assert torch.allclose(rows, raised, atol=1e-6) == (layer == 0)


def test_nothing_hangs_on_the_model_afterwards(vlm):
    hooks = lambda: sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in vlm.model.modules())  # noqa: E731
    before, decoder = hooks(), vlm.model.get_submodule(vlm.family.decoder).config
    for how in able(vlm, [*CONTRASTS, *ATTENTION]):
        say(vlm, how)
    assert hooks() == before and decoder._attn_implementation == "sdpa"


# ---------------------------------------------------------------- the command line


def test_the_command_line_knows_every_decoding():
    names = cli_evaluate.evaluate.__annotations__["decode"].__args__[0].__args__
    assert set(names) == {"greedy", *DECODINGS}


def test_eval_decodes_records_it_and_keeps_ways_apart(tmp_path):
    PICTURES[0].save(tmp_path / "0.png")
    rows = [{"question_id": n, "image": "0.png", "text": text, "label": "no"} for n, text in enumerate(QUESTIONS)]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["eval", "pope", "--questions", tmp_path / "asked.jsonl", "--images", tmp_path, "--model", "tiny-llava"]
    words += ["--max-new-tokens", "4", "--out", tmp_path / "run"]
    code, out, err = run(*words, "--decode", "yes-bias", "--strength", "50")
    assert code == 0 and "yes-bias, shift 50" in out, err
    found = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert found["generation"]["decode"] == {"name": "yes-bias", "shift": 50.0}
    said = (tmp_path / "run" / "answers.jsonl").read_text(encoding="utf-8").lower()
    assert said.count('"yes') == len(QUESTIONS)
    for others in ([], ["--decode", "yes-bias", "--strength", "49"], ["--decode", "cut"]):
        code, _, err = run(*words, *others)
        assert code == 2 and "another" in err, "answers of two ways of writing must not mix"


@pytest.mark.parametrize(
    "more", [["--by", "likelihood"], ["--keep-generation-config"], ["--server", "http://127.0.0.1:9"]], ids=" ".join
)
def test_eval_refuses_what_a_decoding_cannot_go_with(more, tmp_path):
    words = ["eval", "pope-diorama", "--model", "tiny-llava", "--out", tmp_path, "--decode", "vcd", *more]
    code, _, err = run(*words)
    assert code == 2 and "--decode" in err


def test_eval_refuses_a_strength_of_nothing(tmp_path):
    code, _, err = run("eval", "pope-diorama", "--model", "tiny-llava", "--out", tmp_path, "--strength", "1")
    assert code == 2 and "--strength" in err
