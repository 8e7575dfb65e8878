"""From preference examples to a batch: their answers as tries of tokens, and each distinct picture once.

The texts are those of `collate.write`, the model's own chat form, and the tokens those of its processor. A text is
split into tokens with one sign for each picture, and the signs are then replaced by what the processor makes of the
picture, which is asked once. That this gives the very tokens of the usual way is checked on the first example.

Where a picture becomes other tokens beside another one than alone, as in LLaVA-OneVision, the two are different
pictures here. A model that looks at pictures by cross-attention gets its answers as separate rows: `rows`. The same
plain form is what tests and benchmarks compare with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from mmhallu_core.models.vlm import Vlm
from mmhallu_core.train.preference_tokens import Text, Written, answer_places, written_as
from mmhallu_core.train.records import PreferenceExample
from mmhallu_core.train.references import References
from mmhallu_core.train.trie import Trie, attention_of, build
from mmhallu_core.types import CannotRun

Batch = dict[str, Any]
KNOWN = 20_000  # texts that are kept with their tokens, some tens of megabytes


class PreferenceCollator:
    """Makes a batch of preference examples.

    A batch holds what the model reads, and `answers`: `ends` and `places` (see `trie.py`; absent in rows), `state_row`
    and `state_at` (the states that answers are read from), `token_state` and `token_id` (each answer token that is
    computed, once), `token` and `leaf` (each token of each answer: which computed one it is, and whose answer), `kept`
    (whether the leaf's spans touch it), `count` (examples), and with references `ref`, their log-probabilities.

    Args:
        vlm: the model.
        references: where the log-probabilities of the model before training are; None leaves them out.
        rows: whether each answer gets a row of its own.
        together: whether all examples are one trie; worth it where attention is cut into parts, see `trie.InParts`.

    Raises:
        CannotRun: when the model's attention takes no mask of our own.
    """

    def __init__(
        self, vlm: Vlm, references: References | None = None, rows: bool = False, together: bool = True
    ) -> None:
        self.vlm, self.references, self.together = vlm, references, together
        self.rows = rows or vlm.family.image_positions is None
        self.known: dict[Any, Text] = {}  # the reference is asked about the same texts, and so is every later epoch
        self.beside, self.checked = False, self.rows  # whether pictures look otherwise beside others, see above
        if not self.rows:
            attention_of(vlm.model)

    def __call__(self, examples: Sequence[PreferenceExample]) -> Batch:
        """The batch of some examples, each with as many leaves.

        Raises:
            CannotRun: when a leaf is longer than the model reads (nothing is ever cut), or its template or tokenizer
                does not let its answer be found; the message names the example.
        """
        batch, keys = self.read(examples)
        if self.references is not None:
            batch["answers"]["ref"] = torch.cat([self.references[key] for key in keys])
        return batch

    def read(self, examples: Sequence[PreferenceExample]) -> tuple[Batch, list[str]]:
        """The batch without references, and the key of each leaf."""
        if len(self.known) > KNOWN:
            self.known.clear()
        written = [[written_as(self.vlm, one, leaf, self.known) for leaf in one.leaves] for one in examples]
        keys = [leaf.key for some in written for leaf in some]
        names = [one.id for one in examples]
        batch = self._in_rows(written, names) if self.rows else self._in_tries(written, names)
        batch["answers"]["count"] = torch.tensor(len(examples))
        return batch, keys

    def _in_rows(self, written: list[list[Written]], names: list[str]) -> Batch:
        """Each leaf as a row, padded on the right, its pictures anew."""
        leaves = [leaf for some in written for leaf in some]
        names = [name for name, some in zip(names, written, strict=True) for _ in some]
        inputs = self.vlm.encode(
            [list(leaf.images) for leaf in leaves], [leaf.text for leaf in leaves], "right", names=names
        )
        ends = inputs["attention_mask"].sum(1).tolist()
        paths = [(row, list(range(end))) for row, end in enumerate(ends)]
        ids = [row.tolist() for row in inputs["input_ids"]]
        return {**inputs, "answers": answer_places(leaves, paths, ids)}

    def _in_tries(self, written: list[list[Written]], names: list[str]) -> Batch:
        """All examples as one row, which needs no filling and shares what they share, or each as a row."""
        drawn = self._drawn([leaf for some in written for leaf in some])
        keys = [[self._keys(leaf, drawn) for leaf in some] for some in written]
        if not self.checked:
            self.checked = True
            if not self._is_usual(written[0], keys[0], names[0]):
                self.beside = True
                return self._in_tries(written, names)
        for name, some in zip(names, keys, strict=True):
            self._require_room(name, max(map(len, some)))
        if self.together:
            keys, written = [sum(keys, [])], [sum(written, [])]
        tries = [build(some) for some in keys]
        sign, filler = self.vlm.processor.image_token_id, self.vlm.processor.tokenizer.pad_token_id
        longest = max(len(trie.keys) for trie in tries)
        ids = [[key if key >= 0 else sign for key in trie.keys] for trie in tries]
        ends = [trie.ends + list(range(len(trie.ends) + 1, longest + 1)) for trie in tries]
        places = [-key - 1 for trie in tries for key in trie.keys if key < 0]
        paths = [(row, path) for row, trie in enumerate(tries) for path in trie.paths]
        device = self.vlm.model.device
        answers = answer_places([leaf for some in written for leaf in some], paths, ids)
        answers |= {"ends": torch.tensor(ends)} | ({"places": torch.tensor(places)} if places else {})
        inputs = {
            "input_ids": torch.tensor([row + [filler] * (longest - len(row)) for row in ids], device=device),
            "position_ids": self._positions(tries, keys, written, drawn, longest).to(device),
        }
        pixels = {name: value for name, value in drawn.inputs.items() if name not in _TEXT}
        return {**pixels, **inputs, "answers": {name: value.to(device) for name, value in answers.items()}}

    def _drawn(self, leaves: list[Written]) -> "_Drawn":
        """Asks the processor for each distinct picture once; with `beside`, for each distinct group of pictures."""
        forms = {form: images for leaf in leaves for form, images in self._forms(leaf)}
        if not forms:
            return _Drawn({}, {}, {})
        groups, sign = [list(images) for images in forms.values()], self.vlm.processor.image_token
        inputs = self.vlm.encode(groups, [sign * len(group) for group in groups], "right")
        found, blocks, numbers = self.vlm.image_tokens(inputs, groups), {}, {}
        row, picture = 0, 0
        for number, form in enumerate(forms):
            ids = inputs["input_ids"][number][inputs["attention_mask"][number].bool()].tolist()
            cuts = [int(tokens.positions[-1]) + 1 for tokens in found[number]][:-1]
            first = int(ids[0] == self.vlm.processor.tokenizer.bos_token_id)  # the processor begins every text with it
            blocks[form], numbers[form] = [], picture
            for low, high in zip([first, *cuts], [*cuts, len(ids)], strict=True):
                block = []
                for one in ids[low:high]:
                    is_image = one == self.vlm.processor.image_token_id
                    block.append(-1 - row if is_image else one)
                    row += is_image
                blocks[form].append(block)
            picture += len(cuts) + 1
        return _Drawn(inputs, blocks, numbers)

    def _forms(self, leaf: Written) -> list[tuple[tuple[str, ...], tuple[Image.Image, ...]]]:
        """The pictures of a leaf, each by itself or all together, with their names."""
        if self.beside:
            return [(leaf.digests, leaf.images)] if leaf.images else []
        return [((name,), (image,)) for name, image in zip(leaf.digests, leaf.images, strict=True)]

    def _keys(self, leaf: Written, drawn: "_Drawn") -> list[int]:
        """The leaf's tokens, an image token as -1 - its row among the features."""
        blocks = iter([block for form, _ in self._forms(leaf) for block in drawn.blocks[form]])
        sign = self.vlm.processor.image_token_id
        return [key for one in leaf.ids for key in (next(blocks) if one == sign else (one,))]

    def _is_usual(self, leaves: list[Written], keys: list[list[int]], name: str) -> bool:
        """Whether these are the tokens that the processor gives; False where pictures look otherwise beside others.

        Raises:
            CannotRun: when they are other tokens either way.
        """
        sign = self.vlm.processor.image_token_id
        for leaf, found in zip(leaves, keys, strict=True):
            usual = self.vlm.encode([list(leaf.images)], [leaf.text], "right", names=[name])["input_ids"][0].tolist()
            if usual != [key if key >= 0 else sign for key in found]:
                if self.beside or len(leaf.images) < 2:
                    raise CannotRun(f"sample {name}: the processor of {self.vlm.name} writes its pictures otherwise")
                self.checked = False
                return False
        return True

    def _require_room(self, name: str, tokens: int) -> None:
        """Raises when the longest leaf of an example has more tokens than the decoder has positions."""
        most = self.vlm.model.config.get_text_config().max_position_embeddings
        if tokens > most:
            raise CannotRun(
                f"sample {name}: its pictures and texts make {tokens} tokens; {self.vlm.name} reads {most}. Nothing is "
                "cut: give smaller pictures, or shorter texts."
            )

    def _positions(
        self,
        tries: list[Trie],
        keys: list[list[list[int]]],
        written: list[list[Written]],
        drawn: "_Drawn",
        longest: int,
    ) -> Int[Tensor, "batch tokens"] | Int[Tensor, "3 batch tokens"]:
        """The position of every node: its depth, or for M-RoPE what the model's rule gives it in any of its leaves."""
        rule = getattr(self.vlm.model.model, "get_rope_index", None)
        if rule is None or "image_grid_thw" not in drawn.inputs:
            found = torch.zeros(len(tries), longest, dtype=torch.long)
            for row, trie in enumerate(tries):
                for path in trie.paths:
                    found[row, path] = torch.arange(len(path))
            return found if rule is None else found[None].repeat(3, 1, 1)
        found = torch.zeros(3, len(tries), longest, dtype=torch.long)
        for row, (trie, some, leaves) in enumerate(zip(tries, keys, written, strict=True)):
            for path, own, leaf in zip(trie.paths, some, leaves, strict=True):
                is_image = torch.tensor([[int(key < 0) for key in own]])
                grids = [drawn.inputs["image_grid_thw"][drawn.numbers[form]] for form, _ in self._forms(leaf)]
                ids = torch.tensor([[max(key, 0) for key in own]])
                grid = torch.stack(grids).cpu() if grids else None
                found[:, row, path] = rule(ids, mm_token_type_ids=is_image, image_grid_thw=grid)[0][:, 0].cpu()
        return found


_TEXT = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


@dataclass(frozen=True)
class _Drawn:
    """What the processor made of pictures: its output, for each form the keys of each picture's tokens, and the number
    of its first picture."""

    inputs: Any
    blocks: dict[tuple[str, ...], list[list[int]]]
    numbers: dict[tuple[str, ...], int]
