"""What travels through the pipeline: a draft that every stage fills in further, until it is a sample or is rejected.

A stage is a plain function from drafts to drafts. It answers each draft by the draft with more fields, or by a
`Rejected` with one of the stage's own reasons. Nothing is thrown away in silence, and nothing is made up: what a model
said and nobody could read stands in `Rejected.text`.

Stages take several drafts at once: a network looks at batches, and a server answers several requests at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmhallu_core.types import Number, Record


@dataclass(frozen=True)
class Draft(Record):
    """An EditSample in the making; what no stage has filled in yet is None.

    Attributes:
        id: unique in a run; samples and pictures are named by it.
        image: the original, as the bytes of a picture file.
        caption: of the original; perhaps short at first, then completed.
        category: what the plan says, then what the difference turned out to be; a name of `types.CATEGORIES`.
        edit_instruction: what the editor is asked to do.
        edited_image: the bytes of the edited picture.
        mask: a black and white PNG, white where the edit may have changed pixels; None where the editor gives none.
        similarity: CLIP cosine of the two pictures.
        edited_caption: of the edited picture.
        difference: what changed, in a sentence.
        question, answer: what a model is asked about the pair, and the right answer.
        provenance: who made what, as JSON values; each stage adds under its own name.
    """

    id: str
    image: bytes
    caption: str | None = None
    category: str | None = None
    edit_instruction: str | None = None
    edited_image: bytes | None = None
    mask: bytes | None = None
    similarity: Number | None = None
    edited_caption: str | None = None
    difference: str | None = None
    question: str | None = None
    answer: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected(Record):
    """A draft that ended before it was a sample.

    Attributes:
        id: the draft's.
        stage: which stage ended it.
        reason: one word of that stage's list.
        detail: what was found, in words.
        text: the reply that could not be read, where a reply was the reason (it is in quarantine, not lost).
    """

    id: str
    stage: str
    reason: str
    detail: str
    text: str | None = None


Stage = Callable[[Sequence[Draft]], "list[Draft | Rejected]"]
