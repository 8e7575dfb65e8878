"""Repairs without training, beside calculations by hand: contrast, amplified attention, and their controls."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from mmhallu_core.methods.baselines import Amplify, Cut, NoPicture, Pai, Vcd, YesBias, decoding
from mmhallu_core.methods.baselines.controls import matching_shift, yes_margins, yes_tokens
from mmhallu_core.methods.baselines.vcd import STEPS, kept_share, noise_like
from mmhallu_core.models.greedy import CACHE, Decoding, generate
from mmhallu_core.models.record import record
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long

PICTURES = [render(sample_scene(f"baselines/{n}"), 96).image for n in range(4)]
QUESTIONS = ["Describe the image.", "Is there a dog in the image?", "Where was this picture taken?", "Is it night?"]
NOTHING = [Vcd(0.0), NoPicture(0.0), Amplify(0.0), Pai(0.0, gamma=1.0), YesBias(0.0), Cut(1.0), Cut(0.5)]
STRONG = [Vcd(2.0, step=900), NoPicture(2.0), Amplify(1.0), Pai(1.0, gamma=2.0), YesBias(30.0)]


@pytest.fixture(scope="module")
def vlm():
    return Vlm.load("tiny-llava", "cpu")


@pytest.fixture(scope="module")
def exact():
    """The same model in float64."""
    return Vlm.load("tiny-llava", "cpu", dtype="float64")


@pytest.fixture(autouse=True)
def plain(vlm, exact):
    yield
    vlm.decoding = exact.decoding = Decoding()


def say(vlm, how, size=4, tokens=30):
    vlm.decoding = how
    return vlm.say(PICTURES, QUESTIONS, tokens, size)


def by_name(one):
    return f"{one.name} {list(one.about.values())[1:]}"


# ---------------------------------------------------------------- nothing and something


@pytest.fixture(scope="module")
def greedy(vlm):
    """What greedy search says."""
    return say(vlm, Decoding())


@pytest.mark.parametrize("how", NOTHING, ids=by_name)
def test_nothing_added_is_greedy_search(vlm, greedy, how):
    assert say(vlm, how) == greedy


@pytest.mark.parametrize("how", STRONG, ids=by_name)
def test_something_added_changes_answers_and_the_batch_does_not(vlm, greedy, how):
    together = say(vlm, how)
    assert together == say(vlm, how, size=1)
    assert together != greedy


# ---------------------------------------------------------------- contrast, in float64


def written(vlm, how, tokens=6):
    """What a contrast reads and what `generate` gives, with the scores of each step."""
    inputs = vlm.encode(PICTURES[:2], [vlm.prompt(text) for text in QUESTIONS[:2]])
    more = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    with torch.inference_mode(), how.begin(vlm, inputs) as (read, steps):
        return inputs, read, generate(vlm.model, read, tokens, logits_processor=steps, **more)


def whole_row(inputs, sequences, row):
    """A row of ids without its fillers."""
    fillers = int((inputs["attention_mask"][row] == 0).sum())
    return sequences[row : row + 1, fillers:]


def own_noise(picture, step):
    """The picture at a step of the diffusion, from the schedule written as a loop."""
    kept = 1.0
    for t in range(step + 1):
        kept *= 1 - (1e-5 + (5e-3 - 1e-5) / (1 + np.exp(-(-6 + 12 * t / (STEPS - 1)))))
    return np.sqrt(kept) * picture + np.sqrt(1 - kept) * noise_like(torch.tensor(picture), 0).double().numpy()


@torch.inference_mode()
def test_vcd_is_its_formula_at_every_step_from_the_first(exact):
    how = Vcd(1.5, 0.1, step=700)
    inputs, _, found = written(exact, how)
    differs = []
    for row in range(2):
        pixels = inputs["pixel_values"][row].numpy()
        both = torch.tensor(np.stack([pixels, own_noise(pixels, 700)]))
        ids, prompt = whole_row(inputs, found.sequences, row), int(inputs["attention_mask"][row].sum())
        for step, scores in enumerate(found.scores):
            seen, other = (
                exact.model(input_ids=ids[:, : prompt + step], pixel_values=one[None]).logits[0, -1].numpy()
                for one in both
            )
            mine = (1 + 1.5) * log_softmax(seen) - 1.5 * log_softmax(other)
            mine[softmax(seen) < 0.1 * softmax(seen).max()] = -np.inf
            assert np.allclose(softmax(mine), softmax(scores[row].double().numpy()), atol=2e-6), (row, step)
            differs.append(abs(softmax(mine) - softmax(seen)).max())
            if ids[0, prompt + step] == exact.processor.tokenizer.eos_token_id:
                break
    assert differs[0] > 0.01, "the first step is contrasted, too"


def test_both_branches_get_the_same_words_and_have_keys_of_their_own(exact):
    how = Vcd(1.5, step=900)
    inputs, read, found = written(exact, how)
    assert torch.equal(found.sequences[:2], found.sequences[2:])
    places = inputs["input_ids"][0] == exact.processor.image_token_id
    keys = [layer.keys for layer in getattr(found, CACHE).layers]
    assert all((one[0] - one[2])[:, : len(places)][:, places].abs().max() > 0.1 for one in keys)
    # The disturbed rows alone, given the same words in one pass, fill a cache with the same keys.
    row = whole_row(inputs, found.sequences, 0)[:, :-1]
    with torch.inference_mode():
        alone = exact.model(input_ids=row, pixel_values=read["pixel_values"][2:3], use_cache=True)
    for one, own in zip(keys, getattr(alone, CACHE).layers, strict=True):
        fillers = one.shape[2] - row.shape[1]
        assert torch.allclose(one[2, :, fillers:], own.keys[0], atol=1e-9)


def test_the_noise_is_that_of_a_picture_whatever_it_stands_beside():
    first, second = torch.rand(3, 8, 8), torch.rand(3, 8, 8)
    assert torch.equal(noise_like(first, 0), noise_like(first, 0))
    assert not torch.equal(noise_like(first, 0), noise_like(second, 0))
    assert not torch.equal(noise_like(first, 0), noise_like(first, 1))
    drawn = noise_like(torch.rand(3, 200, 200), 0)
    assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1) < 0.02
    frames = noise_like(torch.rand(5, 3 * 2 * 4), 0, frames=2).view(5, 3, 2, 4)
    assert torch.equal(frames[:, :, 0], frames[:, :, 1]) and not torch.equal(frames[0], frames[1])


def test_how_much_of_a_picture_is_left():
    assert kept_share(0) == pytest.approx(1 - 1e-5 - (5e-3 - 1e-5) / (1 + np.exp(6)))
    assert kept_share(500) ** 0.5 == pytest.approx(0.863, abs=0.0005)
    assert 0.05 < kept_share(STEPS - 1) < 0.1


# ---------------------------------------------------------------- attention, by hand


def rotated(rows, base):
    """Llama's rotary positions of [heads, tokens, width] from position 0 on."""
    half = rows.shape[-1] // 2
    angle = np.arange(rows.shape[1])[:, None] / base ** (np.arange(half) / half)
    turned = np.concatenate([-rows[..., half:], rows[..., :half]], -1)
    return rows * np.tile(np.cos(angle), 2) + turned * np.tile(np.sin(angle), 2)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_amplified_attention_is_a_calculation_by_hand(exact, layer):
    inputs = exact.encode(PICTURES[:1], [exact.prompt(QUESTIONS[1])])
    attention, entered = exact.family.attention_module(exact.model, layer), []

    def keep(module, args, kwargs):
        entered.append((args[0] if args else kwargs["hidden_states"])[0].detach().numpy())

    handle = attention.register_forward_pre_hook(keep, with_kwargs=True)
    with torch.inference_mode(), record(exact.model, (layer,), attentions=True) as seen:
        with Amplify(0.7, first_layer=2).begin(exact, inputs):
            exact.model(**inputs)
    handle.remove()
    config = exact.model.config.get_text_config()
    heads, base = config.num_attention_heads, config.rope_parameters["rope_theta"]
    q, k = (
        rotated(
            (entered[0] @ matrix.weight.detach().numpy().T).reshape(len(entered[0]), heads, -1).swapaxes(0, 1), base
        )
        for matrix in (attention.q_proj, attention.k_proj)
    )
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
    scores[:, ~np.tri(scores.shape[1], dtype=bool)] = -np.inf
    image = (inputs["input_ids"][0] == exact.processor.image_token_id).numpy()
    assert (scores[:, -1, image] < 0).any() and (scores[:, -1, image] > 0).any()
    if layer >= 2:
        scores[:, -1, image] += 0.7 * abs(scores[:, -1, image])
    assert np.allclose(seen.attentions[layer][0].numpy(), softmax(scores, -1), atol=1e-9)


def test_attention_is_as_before_afterwards_also_after_an_error(vlm):
    config = vlm.model.get_submodule(vlm.family.decoder).config
    former = config._attn_implementation
    inputs = vlm.encode(PICTURES[:1], [vlm.prompt("?")])
    with pytest.raises(KeyError), Amplify().begin(vlm, inputs):
        assert config._attn_implementation not in (former, "eager")
        raise KeyError
    assert config._attn_implementation == former == "sdpa"


def test_pai_is_its_two_halves(exact):
    """Its logits in the first rows are those of `Amplify`, in the others those of the prompt without the picture."""
    _, _, both = written(exact, Pai(0.5, gamma=1.5), 1)
    _, _, first = written(exact, Amplify(0.5), 1)
    _, _, second = written(exact, NoPicture(0.5), 1)
    assert torch.allclose(both.logits[0][:2], first.logits[0], atol=1e-6)
    assert torch.allclose(both.logits[0][2:], second.logits[0][2:], atol=1e-6)
    mine = 1.5 * log_softmax(first.logits[0].numpy(), -1) - 0.5 * log_softmax(second.logits[0][2:].numpy(), -1)
    assert torch.equal(both.scores[0][:2].argmax(-1), torch.tensor(mine.argmax(-1)))


# ---------------------------------------------------------------- controls


def test_the_shift_is_added_to_yes_at_the_first_token_alone(vlm):
    inputs, _, found = written(vlm, YesBias(2.5), 3)
    moved = found.scores[0] - found.logits[0]
    yes = yes_tokens(vlm.processor.tokenizer)
    assert torch.allclose(moved[:, yes], torch.tensor(2.5), atol=1e-5)
    assert moved.count_nonzero() == 2 * len(yes)
    assert all(torch.equal(*pair) for pair in zip(found.scores[1:], found.logits[1:], strict=True))
    assert {vlm.processor.tokenizer.decode([one]).strip().lower() for one in yes} == {"yes"}


def test_a_matching_shift_makes_as_many_answers_yes(vlm):
    pictures = [one for one in PICTURES for _ in range(3)]
    asked = [f"Is there a {kind} in the image?" for _ in PICTURES for kind in ("dog", "tree", "boat")]
    margins = yes_margins(vlm, pictures, asked, 5)
    for share in (0.0, 0.25, 0.5, 1.0):
        vlm.decoding = YesBias(matching_shift(margins, share))
        said = vlm.say(pictures, asked, 4, 6)
        assert sum(text.lower().startswith("yes") for text in said) == 12 * share
    assert matching_shift(margins, (margins > 0).mean()) == 0


def test_a_cut_leaves_what_is_plausible(vlm):
    _, _, found = written(vlm, Cut(0.3), 2)
    for scores, logits in zip(found.scores, found.logits, strict=True):
        chance = logits.softmax(-1)
        assert torch.equal(scores.isfinite(), chance >= 0.3 * chance.amax(-1, keepdim=True))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["vcd", "pai", "amplify", "no-picture", "yes-bias", "cut"])
def test_every_decoding_has_its_name_and_refuses_a_number_that_is_none(name):
    assert decoding(name).about["name"] == name
    assert decoding(name, 0.5).about != decoding(name).about
    with pytest.raises(CannotRun, match="nan"):
        decoding(name, float("nan"))


def test_what_cannot_be_is_refused(vlm):
    for wrong in (("beam", None), ("greedy", 1.0)):
        with pytest.raises(CannotRun, match="vcd, no-picture"):
            decoding(*wrong)
    for make in (lambda: Vcd(step=1000), lambda: Vcd(cut=1.5), lambda: Vcd(-1.0), lambda: Vcd(float("inf"))):
        with pytest.raises(CannotRun):
            make()
    with pytest.raises(CannotRun, match="begins at layer 4, and .* has 4"):
        say(vlm, Amplify(first_layer=4))
    config = vlm.model.config.get_text_config()
    config.sliding_window = 64
    try:
        with pytest.raises(CannotRun, match="sliding window"):
            say(vlm, Pai())
    finally:
        del config.sliding_window
    vlm.keep_generation_config = True
    try:
        with pytest.raises(CannotRun, match="plain greedy search"):
            say(vlm, Vcd())
    finally:
        vlm.keep_generation_config = False
