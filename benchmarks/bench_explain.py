"""One Grad-CAM map against a full backward pass, sixteen words against one, and memory over 200 calls.

A map is that of the word in the middle of what tiny-llava writes about a drawn scene. The full backward pass is from
the same word's log-probability to all parameters. A map in the middle of the decoder may cost half of it; a map of the
bare vision tower, in its middle layer, one over 1.5. A map in the tower's last layer is shown without a bound: its
gradient goes back through the whole decoder, and so it stays above half, the more, the smaller the model is.

Memory is counted as bytes of all tensors that are alive, after 200 calls as after 20. Processor time, one thread.
"""

import gc
import sys
import time

import torch
from paired import judge, ratios, rounds, status

from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, DESCRIBE, held_out
from mmhallu_core.explain.gradcam import grad_cam
from mmhallu_core.explain.places import Place, place
from mmhallu_core.explain.reading import Reading, Target, read
from mmhallu_core.models.families import plain
from mmhallu_core.models.image_tokens import WHOLE
from mmhallu_core.models.vlm import Vlm

MODEL, TOWER, WORDS = 1 / 2, 1 / 1.5, 5.0  # at most
GROWTH, CALLS = 1.02, 200
ROUNDS, EACH = 7, 3


def maps(reading: Reading, targets: list[Target], times: int = EACH, layer: str = "vision") -> None:
    """Grad-CAM of some words, all from one forward pass."""
    for _ in range(times):
        where = place(reading, layer)
        grad_cam(lambda: reading.scores(reading.inputs, targets)[0], where, reading.vlm.model, len(targets))


def everything(reading: Reading, target: Target) -> None:
    """The gradient of a word for all parameters."""
    for _ in range(EACH):
        at = reading.rows[target.tokens[0]]
        logits = reading.vlm.model(**reading.inputs, use_cache=False).logits[0, at]
        logits.log_softmax(-1)[reading.inputs["input_ids"][0, at + 1]].backward()
        reading.vlm.model.zero_grad()


def bare_tower(reading: Reading) -> dict[str, list[float]]:
    """Seconds of a map of the bare vision tower, and of its full backward pass."""
    tower, pixels = plain(reading.vlm.model).model.vision_tower, reading.inputs["pixel_values"]
    side = tower.config.image_size // tower.config.patch_size
    layer = tower.encoder.layers[len(tower.encoder.layers) // 2]
    where = Place("bare", layer, False, lambda states: [states[0, 1:].view(side, side, -1)], ((0, WHOLE),))

    def score() -> torch.Tensor:
        return tower(pixel_values=pixels).last_hidden_state.mean()[None]

    def full(_: int) -> None:
        for _ in range(EACH):
            score().backward()
            tower.zero_grad()

    def one(_: int) -> None:
        for _ in range(EACH):
            grad_cam(score, where, tower)

    return rounds({"map": one, "full": full}, ROUNDS, time.process_time)


def held() -> int:
    """Bytes of all tensors that are alive."""
    gc.collect()
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
                for one in gc.get_objects() if torch.is_tensor(one)}.values())  # fmt: skip


def main() -> int:
    """Prints the ratios; 0 when they are met, 1 when one is missed, 3 when the machine was too busy to say."""
    torch.set_num_threads(1)
    vlm, data = Vlm.load("tiny-llava", "cpu"), held_out(12)
    said = {name: vlm.answer([image], [DESCRIBE], CAPTION_TOKENS)[0] for name, image in data.images.items()}
    name = max(said, key=lambda one: len(said[one].split()))
    reading = read(vlm, data.images[name], DESCRIBE, said[name])
    words = reading.words()
    middle, many = words[len(words) // 2], words[:16]
    print(f"{len(words)} words, {reading.inputs['input_ids'].shape[1]} tokens; {len(many)} words at once")
    layer = f"decoder:{len(vlm.family.layers(vlm.model)) // 2 - 1}"
    ways = {
        "decoder": lambda _: maps(reading, [middle], layer=layer),
        "vision": lambda _: maps(reading, [middle]),
        "many": lambda _: maps(reading, many, 1),
        "full": lambda _: everything(reading, middle),
    }
    taken = rounds(ways, ROUNDS, time.process_time)
    taken["one"] = [seconds / EACH for seconds in taken["vision"]]
    found = [
        judge(ratios(taken, "decoder", "full"), at_most=MODEL),
        judge(ratios(taken, "many", "one"), at_most=WORDS),
        judge(ratios(bare_tower(reading), "map", "full"), at_most=TOWER),
    ]
    named = (f"a map in {layer} over a full backward pass", "16 words over one", "a map of the bare tower over its own")
    for what, verdict in zip(named, found, strict=True):
        print(f"{what}: {verdict}", flush=True)
    print(
        f"a map in the tower's last layer over a full backward pass: {judge(ratios(taken, 'vision', 'full')).ratio:.2f}"
    )
    maps(reading, [middle], 20)
    before = held()
    maps(reading, [middle], CALLS - 20)
    found.append(judge([held() / before], at_most=GROWTH))
    print(f"bytes of tensors after {CALLS} calls over those after 20: {found[-1]}")
    return status(found)


if __name__ == "__main__":
    sys.exit(main())
