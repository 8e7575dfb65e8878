"""Edits: what is added to a few weight matrices, kept in a small file, put into a model and taken out again.

An edit names matrices, or some of their rows, and the numbers to add. Adding and later subtracting them does not give
the old weights back: in bfloat16 four of ten differ afterwards. So a stack keeps what the first edit of a matrix
replaced, and computes each state anew from it: the sum of all edits that are in, in their order, in float32, rounded
once to the model's own type. Any of them can be taken out at any time, and what is left is exact.

    stack = EditStack(vlm.model, base_hash(vlm.model))
    stack.apply(edit := Edit.read(folder))
    stack.undo(edit)  # every bit is as before

An edit's file says by its hash which base it was made for, and a stack of another base refuses it.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmhallu_core.types import CannotRun

FILE, ABOUT = "edit.safetensors", "edit"
ROWS = ":rows"  # behind a matrix's name: which of its rows change
Change = tuple[Float[Tensor, "_ columns"], Int[Tensor, " _"] | None]  # what is added, and to which rows


@dataclass(frozen=True, eq=False)
class Edit:
    """What is added to some matrices.

    Attributes:
        base: the model that it is for: a shipped model, a hub id, or a folder.
        base_sha256: the hash of that model's weights, see `adapter_folders.base_hash`.
        deltas: the numbers to add by the full name of the matrix, in float32.
        rows: the rows that they are added to; a matrix that is not named here changes as a whole.
    """

    base: str
    base_sha256: str
    deltas: Mapping[str, Float[Tensor, "_ _"]]
    rows: Mapping[str, Int[Tensor, " _"]] = field(default_factory=dict)

    def change(self, name: str) -> Change:
        """What is added to a matrix, and to which of its rows (None: to all)."""
        return self.deltas[name], self.rows.get(name)

    def write(self, folder: Path, named: str | None = None) -> Path:
        """Writes `edit.safetensors`; `named` is how the file calls the base, where that is another word than here.

        Raises:
            CannotRun: when a number is not finite.
        """
        broken = [name for name, delta in self.deltas.items() if not delta.isfinite().all()]
        if broken:
            raise CannotRun(f"the edit of {broken[0]} holds what is no number: take a smaller learning rate")
        tensors = {**self.deltas, **{name + ROWS: rows for name, rows in self.rows.items()}}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        folder.mkdir(parents=True, exist_ok=True)
        about = json.dumps({"base": named or self.base, "base_sha256": self.base_sha256})
        save_file(tensors, folder / FILE, {ABOUT: about})  # one entry: several would come in any order
        return folder / FILE

    @classmethod
    def read(cls, folder: Path | str) -> "Edit":
        """Reads the edit in a folder. A base that is a folder is looked for beside this one, too.

        Raises:
            CannotRun: when there is none, or its file is damaged or says nothing of its base.
        """
        file = Path(folder) / FILE
        if not file.is_file():
            raise CannotRun(f"{folder} holds no edit: {FILE} belongs in it")
        try:
            with safe_open(file, "pt") as content:
                about = json.loads((content.metadata() or {}).get(ABOUT, "{}"))
                tensors = {name: content.get_tensor(name) for name in content.keys()}
        except (SafetensorError, ValueError) as error:
            raise CannotRun(f"{file} is damaged ({error}); get or make it again") from error
        if not {"base", "base_sha256"} <= set(about):
            raise CannotRun(f"{file} does not say which base it is for; make it again")
        base = about["base"]
        if (file.parent / base).is_dir():
            base = os.path.normpath(file.parent / base)
        deltas = {name: tensor for name, tensor in tensors.items() if not name.endswith(ROWS)}
        rows = {name.removesuffix(ROWS): one for name, one in tensors.items() if name.endswith(ROWS)}
        return cls(base, about["base_sha256"], deltas, rows)


def edit_base(folder: Path | str) -> str | None:
    """The base of the edit in a folder; None where there is no edit."""
    return Edit.read(folder).base if (Path(folder) / FILE).is_file() else None


def edited(weight: Float[Tensor, "all columns"], changes: Sequence[Change]) -> Float[Tensor, "all columns"]:
    """A matrix with all changes added in float32 and rounded once to its own type; gradients pass to the changes."""
    value = weight.float()
    for delta, rows in changes:
        delta = delta.to(value.device)
        value = value + delta if rows is None else value.index_add(0, rows.to(value.device), delta)
    return value.to(weight.dtype)


class EditStack:
    """The edits that are in a model's weights.

    Args:
        model: its base; nothing else may change the matrices that edits touch.
        base_sha256: the hash of its weights, see `adapter_folders.base_hash`.
        folders: of edits to begin with.

    Attributes:
        edits: those that are in, in the order in which they came.
    """

    def __init__(self, model: nn.Module, base_sha256: str, folders: Iterable[Path | str] = ()) -> None:
        self.base_sha256, self.edits = base_sha256, []
        self._model, self._kept = model, {}
        for folder in folders:
            self.apply(Edit.read(folder))

    def apply(self, edit: Edit) -> None:
        """Adds an edit.

        Raises:
            CannotRun: when it is for another base, or a matrix or a row is not there; then nothing was changed.
        """
        if edit.base_sha256 != self.base_sha256:
            raise CannotRun(f"the edit was made for other weights of {edit.base} than those of this model")
        for name in edit.deltas:
            self._require(name, *edit.change(name))
        self.edits.append(edit)
        for name in edit.deltas:
            self._kept.setdefault(name, self._model.get_parameter(name).detach().clone())
            self._write(name)

    def undo(self, edit: Edit) -> None:
        """Takes an edit out, whichever came after it.

        Raises:
            ValueError: when it is not in.
        """
        self.edits.remove(edit)
        for name in edit.deltas:
            self._write(name)

    def _require(self, name: str, delta: Tensor, rows: Tensor | None) -> None:
        try:
            weight = self._model.get_parameter(name)
        except AttributeError:
            raise CannotRun(f"the edit does not fit: the model has no {name}") from None
        wanted = weight.shape if rows is None else (len(rows), *weight.shape[1:])
        if tuple(delta.shape) != tuple(wanted):
            raise CannotRun(f"the edit does not fit: {name} takes {tuple(wanted)} numbers, not {tuple(delta.shape)}")
        if rows is not None and len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(weight):
            raise CannotRun(f"the edit does not fit: {name} has {len(weight)} rows")

    @torch.no_grad()
    def _write(self, name: str) -> None:
        """Computes a matrix anew from what was kept; forgets that when no edit of it is left."""
        changes = [one.change(name) for one in self.edits if name in one.deltas]
        new = edited(self._kept[name], changes) if changes else self._kept.pop(name)
        self._model.get_parameter(name).copy_(new)
