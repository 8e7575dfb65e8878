"""ALEAHallu's pairs, and the modes that locate, each against a calculation of its own."""

import weakref
from itertools import islice

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.check import check_file
from mmhallu_core.data.decode import decode
from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.methods.aleahallu import locate as locating
from mmhallu_core.methods.aleahallu.batch import SIDES, aligned, collated, log_likelihoods, response_logits
from mmhallu_core.methods.aleahallu.locate import MODES, locate
from mmhallu_core.methods.aleahallu.pairs import KINDS, falsehoods, put_right, world_pairs
from mmhallu_core.methods.aleahallu.places import Located, places_of
from mmhallu_core.models.tiny_random import build
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import Answer, CannotRun, ResponsePair, write_jsonl
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.vocabulary import COLOURS
from mmhallu_core.world.vocabulary import KINDS as THINGS

PAIRS = list(islice(world_pairs("tests"), 30))
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def vlm(tmp_path_factory):
    return Vlm.load(build("llava", tmp_path_factory.mktemp("llava")), "cpu")


# ---------------------------------------------------------------- pairs


def test_pairs_differ_in_what_is_hallucinated_alone():
    assert [one.kind for one in PAIRS] == [*KINDS] * 10
    for one in PAIRS:
        a, b = (text.lower().replace(".", " ").split() for text in (one.grounded, one.hallucinated))
        assert len(a) == len(b)
        changed = {word for x, y in zip(a, b, strict=True) if x != y for word in (x, y)} - {"a", "an"}
        poses = {pose for thing in THINGS.values() for pose in thing.poses}
        if one.kind == "relation":
            assert sorted(a) == sorted(b) and changed <= set(THINGS)
        else:
            assert changed <= (set(COLOURS) if one.kind == "attribute" else {*THINGS, *poses})


def test_the_grounded_response_is_true_and_the_other_is_not():
    for one in PAIRS[:9]:
        names = (f"aleahallu/tests/{one.kind}/{number}" for number in range(100))
        pixels = decode(one.image).image.tobytes()
        scene = next(s for s in map(sample_scene, names) if render(s, 96).image.tobytes() == pixels)
        there, said = (
            set(scene.kinds()),
            [set(THINGS) & set(getattr(one, side).replace(".", "").split()) for side in SIDES],
        )
        assert said[0] <= there
        assert (len(said[1] - there) == 1) == (one.kind == "object")
        assert falsehoods(one.grounded, scene) == set() and falsehoods(one.hallucinated, scene)
    assert falsehoods("Colourless green ideas sleep.", scene) is None


WORDS = Vocabulary({"dog": "dog", "puppy": "dog", "umbrella": "umbrella", "car": "car", "apple": "apple", "bus": "bus"})


@pytest.mark.parametrize(
    "caption, there, repaired",
    [
        ("A dog and an umbrella.", {"dog", "bus"}, "A dog and a bus."),
        ("Two cars. A car is red.", {"dog", "bus"}, "Two buses. A bus is red."),
        ("An old car and a puppy", {"apple", "bus"}, "An old apple and a bus"),
        ("A car.", {"apple"}, "An apple."),
        ("A dog.", {"dog", "bus"}, None),
        ("A dog and a car.", {"dog"}, None),
    ],
)
def test_a_caption_is_put_right_by_word_rules(caption, there, repaired):
    assert put_right(caption, there, WORDS) == repaired


def test_the_commands_write_pairs_that_pass_the_check(tmp_path):
    def run(*words):
        found = CliRunner().invoke(app, ["aleahallu", "pairs", *map(str, words)])
        return found.exit_code, found.stdout + found.stderr

    assert run("--out", tmp_path / "w.jsonl", "--n", 6) == (
        0, f"6 pairs are in {tmp_path / 'w.jsonl'}: 2 object, 2 attribute, 2 relation\n"
    )  # fmt: skip
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.png").write_bytes(PAIRS[0].image)
    write_jsonl(tmp_path / "said.jsonl", [Answer("a", "A dog and a car.", "7"), Answer("b", "A dog.", "7")])
    truth = '{"objects": {"7": ["dog", "bus"]}, "vocabulary": {"terms": {"dog": "dog", "car": "car", "bus": "bus"}}}'
    (tmp_path / "truth.json").write_text(truth, encoding="utf-8")
    words = ("--source", "captions", "--images", tmp_path / "images", "--gt", tmp_path / "truth.json")
    code, said = run(tmp_path / "said.jsonl", *words, "--out", tmp_path / "c.jsonl")
    assert (code, said) == (0, f"1 pairs are in {tmp_path / 'c.jsonl'}: 1 object\n")
    assert '"grounded": "A dog and a bus."' in (tmp_path / "c.jsonl").read_text(encoding="utf-8")
    assert all(check_file(tmp_path / name, "pairs")["ok"] for name in ("w.jsonl", "c.jsonl"))
    assert run("--source", "captions", "--out", tmp_path / "x")[0] == 2


# ---------------------------------------------------------------- batches and tallies


def test_tokens_that_belong_together():
    def both(a, b):
        return tuple(one.tolist() for one in aligned(torch.tensor(a), torch.tensor(b)))

    assert both([1, 2, 3, 4], [1, 9, 3, 4]) == ([1, 2, 3], [1, 2, 3])
    assert both([1, 2, 3, 4], [1, 8, 9, 3, 4]) == ([1, 2, 3], [1, 3, 4])
    assert both([1, 2], [1, 2, 5]) == ([], [])
    assert both([7, 5, 5], [7, 5]) == ([], [])


def test_likelihoods_are_those_of_a_loop_over_tokens(vlm):
    batch = collated(vlm, PAIRS[:3])
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "weights")}
    logits = vlm.model(**inputs).logits.log_softmax(-1)
    wanted = [
        sum(float(logits[row, place - 1, token]) for place, token in enumerate(labels.tolist()) if token != -100)
        for row, labels in enumerate(batch["labels"])
    ]
    found = response_logits(vlm.model, vlm.model.get_output_embeddings(), batch["labels"], **inputs)
    torch.testing.assert_close(log_likelihoods(found, batch["labels"]), torch.tensor(wanted), atol=1e-3, rtol=1e-5)


def test_a_tally_in_pieces_is_that_of_the_whole():
    values = torch.randn(11, 3, dtype=torch.float64)
    places = [(0, "mlp"), (1, "mlp"), (2, "mlp")]
    tally = Located("ours", places)
    for piece in values.split(4):
        tally.add(piece, {places[0]: piece.sum(0)})
    np.testing.assert_allclose(tally.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(tally.rows[places[0]], values.mean(0), rtol=1e-12)
    half = 1.959963984540054 * values[:, 1].numpy().std(ddof=1) / np.sqrt(11)
    np.testing.assert_allclose(np.diff(tally.interval(places[1])), [2 * half], rtol=1e-9)
    assert tally.votes.tolist() == np.bincount(values.numpy().argmax(1), minlength=3).tolist()
    assert tally.ranking() == [places[i] for i in np.argsort(-values.mean(0).numpy())]


def test_pairs_stream_by_and_are_not_kept(vlm):
    alive = []

    def stream():
        for one in islice(world_pairs("stream", ("object",)), 6):
            alive.append(weakref.ref(one))
            assert sum(ref() is not None for ref in alive) <= 4  # two batches, and the one at hand
            yield one
            del one

    found = locate(vlm, stream(), ("ours", "gradient"), batch_size=1)
    assert found["ours"].n == 6 and {len(rows) for rows in found["ours"].rows.values()} == {64}
    with pytest.raises(CannotRun, match="no pair"):
        locate(vlm, [], ("ours",))
    with pytest.raises(CannotRun, match="no mode guess"):
        locate(vlm, PAIRS, ("guess",))


# ---------------------------------------------------------------- modes


@pytest.mark.long
def test_no_score_depends_on_padding_or_batch_size(vlm):
    long = ResponsePair("long", PAIRS[0].image, "What?", PAIRS[2].grounded * 2, PAIRS[2].hallucinated * 2, "object")
    modes = [mode for mode in MODES if mode not in ("restore", "random")]  # noise is drawn for a whole batch
    alone, beside = {}, {}
    for one in [*PAIRS[:2], long]:
        for mode, found in locate(vlm, [one], modes, batch_size=1).items():
            alone[mode] = alone.get(mode, 0) + found.mean / 3
    beside = locate(vlm, [*PAIRS[:2], long], modes, batch_size=3)
    for mode in modes:
        scale = float(alone[mode].abs().max())
        close = 1e-5 if mode in ("as_code", "as_paper", "ours") else 1e-3  # small differences of large log-likelihoods
        np.testing.assert_allclose(beside[mode].mean / scale, alone[mode] / scale, atol=close, err_msg=mode)


def test_the_codes_distance_is_of_text_alone_and_of_a_padded_matrix(vlm):
    """Two of the code's faults. What it computes is redone with transformers' own hidden states."""
    one = PAIRS[1]
    texts = [one.grounded + " It is late.", one.hallucinated]
    pair = ResponsePair("p", one.image, one.prompt, *texts, "object")
    found = locate(vlm, [pair], ("as_code", "ours"))
    tokens = vlm.processor.tokenizer(texts, padding=True, padding_side="left", return_tensors="pt")
    with torch.no_grad():
        hidden = vlm.model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"],
                           output_hidden_states=True).hidden_states  # fmt: skip
    wanted = [float(torch.dist(states[0], states[1], p=2)) for states in hidden[1:] for _ in range(2)]
    np.testing.assert_allclose(found["as_code"].mean, wanted, rtol=1e-4)
    other = ResponsePair("q", PAIRS[3].image, "Another question?", *texts, "object")
    again = locate(vlm, [other], ("as_code", "as_paper"))
    assert torch.equal(again["as_code"].mean, found["as_code"].mean)  # it sees neither picture nor prompt
    assert not torch.allclose(again["as_paper"].mean, locate(vlm, [pair], ("as_paper",))["as_paper"].mean, rtol=1e-3)
    # The padding shifts every word against its twin: one sentence at the end outweighs what is hallucinated.
    same = locate(
        vlm, [ResponsePair("r", one.image, one.prompt, one.grounded, one.hallucinated, "object")], ("as_code",)
    )
    assert float(found["as_code"].mean[0]) > 1.5 * float(same["as_code"].mean[0])


def test_ours_is_a_loop_over_tokens(vlm):
    one = PAIRS[2]  # its two responses have as many tokens
    batch = collated(vlm, [one])
    labels = [row[row != -100].tolist() for row in batch["labels"]]
    hidden = []
    for row in range(2):
        length = int(batch["attention_mask"][row].sum())
        with torch.no_grad():
            ids, pixels = batch["input_ids"][row : row + 1, :length], batch["pixel_values"][:1]
            states = vlm.model(input_ids=ids, pixel_values=pixels, output_hidden_states=True).hidden_states
        hidden.append([state[0, length - len(labels[row]) :] for state in states[1:]])
    start = next(i for i in range(999) if labels[0][i] != labels[1][i])
    each = []
    for place in range(start, len(labels[0])):
        a, b = hidden[0][0][place], hidden[1][0][place]
        each.append(float((a - b).norm() / (a.norm() / 2 + b.norm() / 2)))
    assert len(labels[0]) == len(labels[1])
    np.testing.assert_allclose(float(locate(vlm, [one], ("ours",))["ours"].mean[0]), np.mean(each), rtol=1e-5)


def odds(vlm, pairs):
    batch = collated(vlm, pairs)
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "weights")}
    logits = response_logits(vlm.model, vlm.model.get_output_embeddings(), batch["labels"], **inputs)
    found = log_likelihoods(logits, batch["labels"])
    return (found[len(pairs) :] - found[: len(pairs)]).mean()


def test_scale_halves_the_weights_and_the_gradient_is_its_beginning(vlm):
    found = locate(vlm, PAIRS[:2], ("scale", "gradient"))
    before = odds(vlm, PAIRS[:2])
    for i, name in enumerate(places_of(vlm).values()):
        weight = vlm.model.get_parameter(name)
        (slope,) = torch.autograd.grad(odds(vlm, PAIRS[:2]), weight)
        torch.testing.assert_close(found["gradient"].mean[i].float(), (slope * weight).sum(), atol=1e-3, rtol=1e-3)
        rows = found["gradient"].rows[found["gradient"].places[i]].float()
        torch.testing.assert_close(rows, (slope * weight).sum(1), atol=1e-3, rtol=1e-3)
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.mul_(0.5)
            torch.testing.assert_close(found["scale"].mean[i].float(), before - odds(vlm, PAIRS[:2]), **CLOSE)
            step = 0.01
            weight.copy_(kept * (1 - step))
            fall = (before - odds(vlm, PAIRS[:2])) / step
            torch.testing.assert_close(found["gradient"].mean[i].float(), fall, atol=0.05, rtol=0.05)
            weight.copy_(kept)


def test_patching_exchanges_what_a_place_writes(vlm):
    one, found = PAIRS[2], locate(vlm, PAIRS[2:3], ("patch",))["patch"]
    batch = collated(vlm, [one])
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "weights")}
    differ = (batch["labels"][0] != batch["labels"][1]).nonzero()[0, 0]
    end = int(batch["attention_mask"][0].sum())
    assert end == batch["attention_mask"][1].sum()

    def swap(module, args, output):
        return torch.cat([output[:, :differ], output[:, differ:end].flip(0), output[:, end:]], 1)

    def total():
        logits = response_logits(vlm.model, vlm.model.get_output_embeddings(), batch["labels"], **inputs)
        return log_likelihoods(logits, batch["labels"]).sum()

    module = vlm.model.get_submodule(places_of(vlm)[0, "mlp"].removesuffix(".weight"))
    with torch.no_grad():
        before, handle = total(), module.register_forward_hook(swap)
        after = total()
    handle.remove()
    torch.testing.assert_close(found.mean[found.places.index((0, "mlp"))].float(), before - after, atol=1e-4, rtol=1e-4)


def test_without_noise_there_is_nothing_to_restore(vlm, monkeypatch):
    assert locate(vlm, PAIRS[:2], ("restore",))["restore"].mean.abs().max() > 0.1
    monkeypatch.setattr(locating, "NOISE", 0.0)
    assert locate(vlm, PAIRS[:2], ("restore",))["restore"].mean.abs().max() < 1e-4
