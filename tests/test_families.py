"""The contract that every family of models keeps, on a tiny random model of its own classes.

A new family is one description in mmhallu_core/models/families.py, one tiny model, and one entry in PICTURE. The same
tests run on CUDA in bfloat16 with `-m gpu`.
"""

import contextlib
import copy
import dataclasses
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from mmhallu_core.models import tiny_random
from mmhallu_core.models.families import FAMILIES, family_of
from mmhallu_core.models.record import edit, record
from mmhallu_core.models.score import score
from mmhallu_core.models.shared_prefix import answers
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun

pytestmark = pytest.mark.long

# Height and width of a picture that each tiny model's finest view reads without resizing.
PICTURE = {
    "llava": (32, 32),
    "llava_next": (48, 48),
    "llava_onevision": (48, 48),
    "qwen2_vl": (48, 32),
    "qwen2_5_vl": (64, 48),
    "qwen3_vl": (48, 64),
    "mllama": (32, 32),
    "idefics3": (64, 64),
    "smolvlm": (64, 32),
    "internvl": (64, 64),
    "tiny-llava": (96, 96),
}
QUESTIONS = ("Is there a dog?", "What differs between the two pictures? Say it in a few words.", "Where?")
ANSWERS = ("Yes, there is a small dog.", "No", "On the beach, beside a tree")
PLACES = [("cpu", "float32"), pytest.param(("cuda", "bfloat16"), marks=pytest.mark.gpu)]


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: place[0])
def place(request):
    return request.param


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder of a family's tiny model, built when it is first asked for."""
    built = {"tiny-llava": "tiny-llava"}

    def get(family):
        if family not in built:
            built[family] = tiny_random.build(family, tmp_path_factory.mktemp("families") / family)
        return built[family]

    return get


@pytest.fixture(scope="module", params=list(PICTURE))
def vlm(request, place, folder):
    return Vlm.load(folder(request.param), device=place[0], dtype=place[1])


def noise(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def size_of(vlm):
    return PICTURE["tiny-llava" if vlm.name == "tiny-llava" else vlm.model.config.model_type]


@pytest.fixture
def sets(vlm):
    """One picture, two, one; of several shapes."""
    height, width = size_of(vlm)
    return [noise(height, width), (noise(height, width, 1), noise(width // 2, height, 2)), noise(40, 90, 3)]


def encoded(vlm, sets, side="left"):
    counts = [1 if isinstance(one, Image.Image) else len(one) for one in sets]
    return vlm.encode(sets, [vlm.prompt(q, n) for q, n in zip(QUESTIONS, counts, strict=False)], side)


def close(actual, expected, vlm):
    """Equal but for rounding: in bfloat16 a number has eight bits."""
    loose = vlm.model.dtype == torch.bfloat16
    torch.testing.assert_close(
        actual.float().cpu(), expected.float().cpu(), atol=0.25 if loose else 2e-4, rtol=0.05 if loose else 1e-3
    )


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# ---------------------------------------------------------------- description


def test_the_description_covers_the_whole_model(vlm):
    family, model = vlm.family, vlm.model
    assert family is FAMILIES[family.name]
    names = dict(model.named_parameters())
    heads = [name for name, _ in model.named_parameters() if name.startswith("lm_head")]
    parts = (family.vision_tower, *family.connector, family.decoder)
    for path in parts:
        assert any(name == path or name.startswith(f"{path}.") for name in names), f"nothing is at {path}"
    left = [n for n in names if n not in heads and not any(n == p or n.startswith(f"{p}.") for p in parts)]
    assert left == [], "these weights belong to no part"
    for found, layers in (
        (family.decoder_matrices(model), family.layers(model)),
        (family.tower_matrices(model), family.tower_layers(model)),
    ):
        inside = {id(module) for layer in layers for module in layer.modules() if isinstance(module, torch.nn.Linear)}
        assert {id(module) for module in found.values()} == inside
        assert all(model.get_submodule(name) is module for name, module in found.items())


def test_only_cross_attention_families_have_no_image_tokens(vlm):
    crossing = vlm.family.cross_attention_layers(vlm.model)
    assert bool(crossing) == (vlm.family.image_positions is None) == (vlm.family.name == "mllama")
    for layer in crossing:
        assert "cross" in type(vlm.family.attention_module(vlm.model, layer)).__name__.lower()


# ---------------------------------------------------------------- what the model reads


def chat(question, images):
    """A chat with its pictures in it, as transformers' own path from a chat to tokens wants it."""
    content = [{"type": "image", "image": image} for image in images] + [{"type": "text", "text": question}]
    return [{"role": "user", "content": content}]


def test_prompts_are_the_tokens_of_the_chat_template(vlm, sets):
    """`apply_chat_template(tokenize=True)` is transformers' own word on what a chat becomes: one begin-of-text."""
    inputs = encoded(vlm, sets)
    bos = vlm.processor.tokenizer.bos_token_id
    for number, (one, question) in enumerate(zip(sets, QUESTIONS, strict=True)):
        images = [one] if isinstance(one, Image.Image) else list(one)
        expected = vlm.processor.apply_chat_template(
            chat(question, images), tokenize=True, add_generation_prompt=True, return_dict=True
        )["input_ids"]
        row = inputs["input_ids"][number][inputs["attention_mask"][number].bool()].tolist()
        assert row == torch.as_tensor(expected).flatten().tolist()
        assert bos is None or row.count(bos) == 1


# ---------------------------------------------------------------- answer and score


def test_answers_in_a_batch_are_those_given_alone(vlm, sets):
    side = vlm.processor.tokenizer.padding_side
    together = vlm.answer(sets, QUESTIONS, 4)  # the first and the last share a batch, of two lengths
    assert len(together) == 3 and vlm.processor.tokenizer.padding_side == side
    alone = [vlm.answer([one], [question], 4)[0] for one, question in zip(sets, QUESTIONS, strict=True)]
    if vlm.model.dtype == torch.float32:
        assert together == alone


def test_scores_are_those_of_a_naive_loop(vlm, sets):
    for number, scored in enumerate(score(vlm, sets, QUESTIONS, ANSWERS, batch_size=3)):
        assert "".join(scored.tokens).replace(" ", "") == ANSWERS[number].replace(" ", "")
        close(scored.log_probs, torch.tensor(naive(vlm, sets, number, len(scored.token_ids))), vlm)
        assert scored.total == pytest.approx(scored.log_probs.sum().item(), rel=1e-5)


@torch.no_grad()
def naive(vlm, sets, number, count):
    """One answer, one token at a time, by a forward pass over all that stands before it."""
    one = sets[number]
    images = [one] if isinstance(one, Image.Image) else list(one)
    text = vlm.prompt(QUESTIONS[number], len(images), ANSWERS[number])
    text = text[: text.rindex(ANSWERS[number]) + len(ANSWERS[number])]
    bos = vlm.processor.tokenizer.bos_token
    options = {"return_tensors": "pt", "add_special_tokens": not (bos and text.startswith(bos))}
    inputs = vlm.processor(images=[images], text=[text], **options).to(vlm.model.device, vlm.model.dtype)
    ids, found = inputs["input_ids"][0], []
    for end in range(len(ids) - count, len(ids)):
        cut = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", "cross_attention_mask")
        before = {key: value[:, :end] if key in cut else value for key, value in inputs.items()}
        logits = vlm.model(**before).logits[0, -1].float()
        found.append(float(logits.log_softmax(-1)[ids[end]]))
    return found


# What a model's generation_config.json may hold: each of them changes what `generate` writes, sampling or not.
STEERING = {
    "repetition_penalty": 3.0, "no_repeat_ngram_size": 1, "num_beams": 3, "length_penalty": 3.0, "min_new_tokens": 6,
    "bad_words_ids": [[220], [84]], "do_sample": True, "temperature": 5.0, "top_k": 3,
}  # fmt: skip


@torch.no_grad()
def argmax_loop(vlm, one, question, count):
    """The most probable token, again and again, each by a forward pass over all that stands before it.

    A random model may write the token that stands for a picture. It could not be read again without one, so the loop
    ends before it.
    """
    inputs = dict(vlm.encode([one], [vlm.prompt(question, 1 if isinstance(one, Image.Image) else len(one))]))
    ends, new = vlm.model.generation_config.eos_token_id, []
    while len(new) < count and (not new or new[-1] not in (ends if isinstance(ends, list) else [ends])):
        best = int(vlm.model(**inputs, use_cache=False).logits[0, -1].argmax())
        if best == vlm.processor.image_token_id:
            break
        new.append(best)
        for key in ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids", "cross_attention_mask"):
            if key in inputs:
                more = inputs[key][:, -1:] if key != "mm_token_type_ids" else torch.zeros_like(inputs[key][:, -1:])
                inputs[key] = torch.cat([inputs[key], more], dim=1)
        inputs["input_ids"][0, -1] = new[-1]
    return vlm.processor.tokenizer.decode(new, skip_special_tokens=True).strip()


def test_greedy_is_greedy_whatever_the_models_files_say(vlm, sets, monkeypatch):
    config = copy.deepcopy(vlm.model.generation_config)
    for name, value in STEERING.items():
        setattr(config, name, value)
    monkeypatch.setattr(vlm.model, "generation_config", config)
    said = vlm.answer(sets, QUESTIONS, 6)
    shared = answers(vlm, sets[:1], [QUESTIONS[::2]], 6)[0]
    assert vlm.model.generation_config is config
    if vlm.model.dtype == torch.float32:
        loop = [argmax_loop(vlm, one, question, 6) for one, question in zip(sets, QUESTIONS, strict=True)]
        assert all(text.startswith(begun) for text, begun in zip(said, loop, strict=True))
        assert said[::2] == loop[::2]
        assert shared == [argmax_loop(vlm, sets[0], question, 6) for question in QUESTIONS[::2]]
    kept = dataclasses.replace(vlm, keep_generation_config=True)
    steered = kept.answer(sets, QUESTIONS, 6)
    assert steered != said and steered == kept.answer(sets, QUESTIONS, 6), "kept settings act, and nothing is drawn"
    assert answers(kept, sets[:1], [QUESTIONS[:1]], 6) == [kept.answer(sets[:1], QUESTIONS[:1], 6)]


def test_the_picture_matters(vlm):
    height, width = size_of(vlm)
    first, second = score(vlm, [noise(height, width), noise(height, width, 1)], ["Where?"] * 2, ["On the beach"] * 2)
    assert abs(first.total - second.total) > 1e-4


# ---------------------------------------------------------------- look inside


@torch.no_grad()
def test_recorded_states_are_those_that_the_model_reports(vlm, sets):
    inputs = encoded(vlm, sets[:2])
    with record(vlm.model, vision_layers=(0,), connector=True) as seen:
        reported = vlm.model(**inputs, output_hidden_states=True).hidden_states
    count = len(vlm.family.layers(vlm.model))
    assert torch.equal(seen.embeddings, reported[0]) and list(seen.states) == list(range(count))
    for layer in range(count - 1):
        assert torch.equal(seen.states[layer], reported[layer + 1])
    norm = vlm.model.get_submodule(vlm.family.decoder).norm
    assert torch.equal(norm(seen.states[count - 1]), reported[count])
    assert seen.connector.shape[-1] == seen.embeddings.shape[-1]


@torch.no_grad()
def test_attentions_are_recorded_with_eager_attention_and_only_then(vlm, sets):
    inputs, decoder = encoded(vlm, sets[:2]), vlm.model.get_submodule(vlm.family.decoder)
    former, before = decoder.config._attn_implementation, vlm.model(**inputs).logits
    assert former != "eager"
    with record(vlm.model, attentions=True) as seen:
        assert decoder.config._attn_implementation == "eager"
        reported = vlm.model(**inputs, output_attentions=True).attentions
    assert decoder.config._attn_implementation == former
    assert torch.equal(vlm.model(**inputs).logits, before)
    assert len(reported) == len(seen.attentions) == len(vlm.family.layers(vlm.model))
    for layer, expected in enumerate(reported):
        assert torch.equal(seen.attentions[layer], expected)
    own = [layer for layer in seen.attentions if layer not in vlm.family.cross_attention_layers(vlm.model)]
    real = inputs["attention_mask"][1].bool()
    rows = seen.attentions[own[0]][1][:, real]
    close(rows.sum(-1), torch.ones(rows.shape[:2]), vlm)
    assert float(rows.triu(1 + int((~real).sum())).abs().max()) == 0  # no token looks ahead


def test_recording_a_generation_joins_its_steps(vlm, sets):
    inputs = encoded(vlm, sets[:1])
    with torch.no_grad(), record(vlm.model, layers=(0,), attentions=True) as seen:
        ids = vlm.model.generate(**inputs, max_new_tokens=2, min_new_tokens=2, do_sample=False)
    assert seen.states[0].shape[1] == seen.attentions[0].shape[2] == ids.shape[1] - 1


def test_an_error_inside_leaves_nothing_behind(vlm, sets):
    inputs, decoder = encoded(vlm, sets[:1]), vlm.model.get_submodule(vlm.family.decoder)
    with torch.no_grad():
        vlm.model(**inputs, output_hidden_states=True, output_attentions=True)  # transformers hangs its own hooks once
    count, former = hooks(vlm.model), decoder.config._attn_implementation
    with pytest.raises(RuntimeError, match="stop"), record(vlm.model, attentions=True, vision_layers=(0,)):
        assert hooks(vlm.model) > count
        raise RuntimeError("stop")
    with pytest.raises(RuntimeError, match="stop"), edit(vlm.model, lambda value, layer: value):
        raise RuntimeError("stop")
    with pytest.raises(IndexError, match="no layer 99"), record(vlm.model, layers=(0, 99), attentions=True):
        pass
    assert hooks(vlm.model) == count and decoder.config._attn_implementation == former


def test_recorded_states_can_carry_gradients(vlm, sets):
    with record(vlm.model, layers=(0,), gradients=True) as seen:
        logits = vlm.model(**encoded(vlm, sets[:1])).logits
    (slope,) = torch.autograd.grad(logits[0, -1].float().max(), seen.states[0])
    assert slope.shape == seen.states[0].shape and float(slope.abs().sum()) > 0


# ---------------------------------------------------------------- change what is inside


@torch.no_grad()
def test_an_edit_acts_on_its_tokens_and_ends_with_the_block(vlm, sets):
    inputs = encoded(vlm, sets[:1])
    before = vlm.model(**inputs).logits
    at = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    at[:, -2] = True
    with edit(vlm.model, lambda value, layer: value + 1.0, layers=(0,), at=at), record(vlm.model, (0,)) as seen:
        changed = vlm.model(**inputs).logits
    assert torch.equal(changed[:, :-2], before[:, :-2]) and not torch.equal(changed[:, -2:], before[:, -2:])
    assert torch.equal(vlm.model(**inputs).logits, before)
    with record(vlm.model, (0,)) as clean:
        vlm.model(**inputs)
    moved = (seen.states[0] - clean.states[0]).abs().amax(-1)
    assert torch.equal(moved > 0, at)


@torch.no_grad()
def test_the_tower_and_the_connector_can_be_edited(vlm, sets):
    inputs = encoded(vlm, sets[:1])
    before = vlm.model(**inputs).logits
    for where in ("vision", "connector"):
        with edit(vlm.model, lambda value, layer: value * 1.5, where=where):
            assert not torch.equal(vlm.model(**inputs).logits, before), where
    assert torch.equal(vlm.model(**inputs).logits, before)


@torch.no_grad()
def test_an_edit_of_the_towers_last_read_layer_counts_in_every_call(vlm, sets):
    """transformers hangs hooks of its own on the layers in the first call; the connector reads what those have seen."""
    inputs, unread = encoded(vlm, sets[:1]), vlm.family.unread(vlm.model)
    before = vlm.model(**inputs).logits
    names = [f"{path}.{i}" for path in vlm.family.vision_layers for i in range(len(vlm.model.get_submodule(path)))]
    last = max(number for number, name in enumerate(names) if name not in unread)
    for _ in range(2):
        with edit(vlm.model, lambda value, layer: value * 1.5, layers=(last,), where="vision"):
            assert not torch.equal(vlm.model(**inputs).logits, before)


@torch.no_grad()
def test_without_the_connector_there_is_no_picture(vlm):
    """All that the decoder knows of a picture passes the connector: zeroed there, two pictures are one to it."""
    height, width = size_of(vlm)
    pair = [[noise(height, width)], [noise(height, width, 1)]]
    both = vlm.encode(pair, [vlm.prompt(QUESTIONS[0])] * 2)
    seen = vlm.model(**both).logits
    assert float((seen[0] - seen[1]).abs().max()) > 1e-2
    with edit(vlm.model, lambda value, layer: value * 0, where="connector"):
        close(*vlm.model(**both).logits, vlm)
    with edit(vlm.model, lambda value, layer: value * 0, layers=(0,), where="connector"):
        left = vlm.model(**both).logits
    assert (float((left[0] - left[1]).abs().max()) > 1e-2) == (vlm.family.deepstack is not None)
    with record(vlm.model, connector=True) as recorded:
        vlm.model(**both)
    assert bool(recorded.deepstack) == (vlm.family.deepstack is not None) == (vlm.family.name == "qwen3_vl")
    is_image = (both["input_ids"] == vlm.processor.image_token_id).sum()
    assert all(added.shape == (is_image, recorded.embeddings.shape[-1]) for added in recorded.deepstack.values())


def test_wrong_edits_are_refused(vlm, sets):
    inputs = encoded(vlm, sets[:1])
    with torch.no_grad(), pytest.raises(ValueError, match="layer 0 gives out"):
        with edit(vlm.model, lambda value, layer: value[..., :1], layers=(0,)):
            vlm.model(**inputs)
    with pytest.raises(ValueError, match="decoder, vision, connector"), edit(vlm.model, abs, where="head"):
        pass


# ---------------------------------------------------------------- which token is which part of the picture


def with_patch(image, box):
    """The picture with the pixels of a box turned to their opposite."""
    pixels = np.asarray(image).copy()
    x0, y0, x1, y1 = box
    pixels[y0:y1, x0:x1] = 255 - pixels[y0:y1, x0:x1]
    return Image.fromarray(pixels)


def pixels_of(view, row, col, image):
    """The box of one token in whole pixels."""
    (rows, cols), (x0, y0, x1, y1) = view.grid, view.box
    wide, high = (x1 - x0) / cols * image.width, (y1 - y0) / rows * image.height
    left, top = x0 * image.width + col * wide, y0 * image.height + row * high
    return tuple(round(v) for v in (left, top, left + wide, top + high))


@contextlib.contextmanager
def patches_apart(vlm):
    """Keeps the patches of a picture from looking at each other."""
    handles = []
    for layer in vlm.family.tower_layers(vlm.model):
        attention = layer.get_submodule(vlm.family.vision_matrices[0].rpartition(".")[0])
        handles.append(attention.register_forward_hook(silence))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def embeddings(vlm, sets, apart=False):
    """What the decoder reads."""
    with torch.no_grad(), record(vlm.model, layers=()) as seen, patches_apart(vlm) if apart else nullcontext():
        vlm.model(**vlm.encode(sets, [vlm.prompt("Where?", len(images)) for images in sets]))
    return seen.embeddings.float().cpu()


def silence(module, args, output):
    return (output[0] * 0, *output[1:]) if isinstance(output, tuple) else output * 0


@pytest.mark.parametrize("beside", [0, 1], ids=["alone", "second of two"])
def test_a_changed_patch_moves_its_own_token(vlm, beside):
    height, width = size_of(vlm)
    image, others = noise(height, width), [noise(30, 50, 7)] * beside
    if vlm.family.image_positions is None:
        return cross_attention_sees_the_patch(vlm, image)
    inputs = encoded(vlm, [[*others, image]])
    found = vlm.image_tokens(inputs, [[*others, image]])[0][beside]
    finest = found.finest[-1]
    row, col = finest.grid[0] - 1, finest.grid[1] // 2
    box = pixels_of(finest, row, col, image)
    centre = ((box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height)
    assert finest.cell(*centre) == (row, col)
    pair = [[*others, image], [*others, with_patch(image, box)]]
    for apart in (False, True):
        rows = embeddings(vlm, pair, apart)
        moved = (rows[1] - rows[0]).norm(dim=-1)
        text = torch.ones_like(moved, dtype=torch.bool)
        text[found.positions] = False
        assert float(moved[text].max()) == 0, "only tokens of the changed picture move"
        for view in found.views:
            cell, grid = view.cell(*centre), moved[view.positions]
            if cell is None:
                assert not apart or float(grid.max()) == 0, "a tile beside the patch does not see it"
                continue
            assert divmod(int(grid.argmax()), view.grid[1]) == cell, "the token of the patch moves most"
            if apart and view is finest and (beside == 0 or vlm.family.name != "llava_onevision"):
                assert int((grid > 0).sum()) == 1, "and it alone, where patches do not look at each other"


@pytest.mark.parametrize("beside", [0, 1], ids=["alone", "second of two"])
def test_recorded_vision_can_be_put_in_raster_order(vlm, beside):
    """Half of the patches are changed, and none looks at another: what moves in the tower must be where a change is.

    Where the processor hands out views as pictures, the change is looked up in them; Qwen's hands out patches in an
    order of its own, so there the picture itself tells, which is not resized.
    """
    height, width = size_of(vlm)
    image, others = noise(height, width), [noise(height // 2 * 2, width * 2, 7)] * beside
    size = vlm.model.config.vision_config.patch_size
    size = size if isinstance(size, int) else size[0]
    pattern = np.random.default_rng(5).random((height // size, width // size)) < 0.5
    inside = pattern.repeat(size, 0).repeat(size, 1)[..., None]
    other = Image.fromarray(np.where(inside, 255 - np.asarray(image), np.asarray(image)))
    grids, pixels, layers = [], [], range(len(vlm.family.tower_layers(vlm.model)))
    for shown in (image, other):
        inputs = encoded(vlm, [[*others, shown]])
        with torch.no_grad(), patches_apart(vlm), record(vlm.model, (), vision_layers=layers) as seen:
            vlm.model(**inputs)
        grids.append([vlm.family.raster(vlm.model, inputs, seen.vision[layer]) for layer in layers])
        pixels.append(inputs["pixel_values"])
    if "image_grid_thw" in inputs:
        expected = [torch.zeros(shape, dtype=torch.bool) for shape in inputs["image_grid_thw"][:, 1:].tolist()]
        expected[-1] = torch.from_numpy(pattern)
    else:
        shown, changed = pixels[0].flatten(0, -4), (pixels[0] != pixels[1]).flatten(0, -4).any(1)
        expected = list(functional.max_pool2d(changed.float(), size).bool().cpu())
        if len(expected) != len(grids[0][0]):  # a picture with fewer tiles was filled up, and the tower leaves that out
            expected = [grid for grid, view in zip(expected, shown, strict=True) if view.any()]
    assert any(grid.any() for grid in expected)
    for before, after in zip(*grids, strict=True):
        moved = [(one != other).any(-1).cpu() for one, other in zip(before, after, strict=True)]
        assert len(moved) == len(expected) and all(map(torch.equal, moved, expected))


def cross_attention_sees_the_patch(vlm, image):
    """Where pictures are not tokens: the connector's output moves, the words' embeddings do not, later layers do."""
    with pytest.raises(CannotRun, match="cross-attention"):
        vlm.image_tokens(encoded(vlm, [image]), [image])
    inputs = encoded(vlm, [image, with_patch(image, (0, 0, 8, 8))])
    inputs["input_ids"][1], inputs["attention_mask"][1] = inputs["input_ids"][0], inputs["attention_mask"][0]
    inputs["cross_attention_mask"][1] = inputs["cross_attention_mask"][0]
    with torch.no_grad(), record(vlm.model, attentions=True, connector=True) as seen:
        vlm.model(**inputs)
    crossing = vlm.family.cross_attention_layers(vlm.model)[0]
    assert torch.equal(seen.embeddings[0], seen.embeddings[1])
    assert not torch.equal(seen.states[crossing][0], seen.states[crossing][1])
    assert not torch.equal(*seen.connector.unflatten(0, (2, -1)))
    assert seen.attentions[crossing].shape[-1] == seen.connector[0].flatten(0, -2).shape[0]


def test_positions_follow_the_padding(vlm, sets):
    if vlm.family.image_positions is None:
        pytest.skip("its pictures are not tokens")
    shapes = []
    for side in ("left", "right"):
        inputs = encoded(vlm, sets, side)
        found = vlm.image_tokens(inputs, sets)
        shapes.append([[view.grid for view in image.views] for sample in found for image in sample])
        for sample, ids in zip(found, inputs["input_ids"].cpu(), strict=True):
            every = torch.cat([image.positions for image in sample])
            assert torch.equal(every, (ids == vlm.processor.image_token_id).nonzero()[:, 0])
            for image in sample:
                inside = torch.cat([view.positions.flatten() for view in image.views])
                assert set(inside.tolist()) <= set(image.positions.tolist())
    assert shapes[0] == shapes[1]


# ---------------------------------------------------------------- what is refused


def test_image_tokens_lost_to_truncation_name_the_sample(vlm, sets):
    if vlm.family.image_positions is None:
        return
    pictures, prompts = [sets[0], sets[0]], [vlm.prompt(question, 1) for question in QUESTIONS[:2]]
    inputs = vlm.encode(pictures, prompts)
    last = int(vlm.image_tokens(inputs, pictures)[1][0].positions[-1])
    inputs["input_ids"][1, last:] = vlm.processor.tokenizer.pad_token_id
    with pytest.raises(CannotRun, match="sample 'second'"):
        vlm.image_tokens(inputs, pictures, ("first", "second"))


def test_a_sign_for_a_picture_in_the_words_is_refused(vlm, sets):
    prompt = vlm.prompt(f"What does {vlm.processor.image_token} mean?", 1)
    with pytest.raises(CannotRun, match="sample riddle: .* the prompt contains the image placeholder .* 2 times"):
        vlm.encode(sets[:1], [prompt], names=["riddle"])


def test_an_unknown_family_is_refused_with_a_list():
    strange = torch.nn.Module()
    strange.config = SimpleNamespace(model_type="abc", vision_config=None)
    with pytest.raises(CannotRun, match="'abc'.*llava.*qwen3_vl.*smolvlm.*CONTRIBUTING"):
        family_of(strange)


def test_every_family_has_a_tiny_model_and_an_entry_here():
    kinds = {kind for family in FAMILIES.values() for kind in family.model_types}
    assert kinds == set(tiny_random.FAMILIES) == set(PICTURE) - {"tiny-llava"}
