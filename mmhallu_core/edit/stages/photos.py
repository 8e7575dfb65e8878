"""Real photos through the pipeline. Without any model, OpenCV plans and edits in one step, and templates say what was
done; with an annotator, the captions and the difference are its own, and the judges look at them.

    OpenCV, no annotator    edit -> similarity -> template captions -> question
    OpenCV, annotator       edit -> similarity -> caption -> complete -> recaption -> difference -> judges -> refine
                            -> question
    another editor          caption -> filter -> plan -> edit -> similarity -> complete -> ... -> question

A template knows little: that a red thing at the left is gone, not that it was a kettle. It says no more than that, and
the provenance says that a template spoke. In the same way a run without a CLIP has no similarity, and says so.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from mmhallu_core.clients.client import Client
from mmhallu_core.data.decode import decode
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.editors.editor import draft_seed
from mmhallu_core.edit.engine.jobs import Job
from mmhallu_core.edit.engine.replies import CAPTION, read_caption
from mmhallu_core.edit.photos import PhotoEdit, Refused, tries
from mmhallu_core.edit.pipeline import Stages
from mmhallu_core.edit.stages import asked
from mmhallu_core.edit.stages.annotate import Case, asking, noted
from mmhallu_core.edit.truth import png

LEFT_OUT = "left out: no CLIP was given, so nobody checked how alike the two pictures are"
TEMPLATE = "template: it says what was done to a photo, not what the photo shows"

DESCRIBE = Job(
    "caption",
    """\
Describe the picture in one to three plain sentences: the main things, their colours, how many there are, and where \
they are. Describe only what can be seen, and give no opinion.""",
    f"Reply with one line:\n{CAPTION}: <the caption>",
    read_caption,
)


def photo_stages(
    seed: int, similarity: Stage | None, client: Client | None = None, edit: Stage | None = None
) -> Stages:
    """The stages that photos go through.

    Args:
        seed: of the choice of edits and of the questions.
        similarity: the CLIP filter (`similarity.similar`); without one the stage records that there was none.
        client: the annotator; templates speak when None.
        edit: an editor that follows instructions (`editors.edited_by`); OpenCV when None.

    Raises:
        ValueError: when such an editor is to work without an annotator: nobody would plan its edits.
    """
    alike = ("similarity", similarity or without_clip)
    if client is None:
        if edit is not None:
            raise ValueError("an editor that follows instructions needs an annotator, which plans them")
        return [("edit", opencv_edit(seed)), alike, ("captions", template_captions), ("question", asked.question(seed))]
    captioned = ("caption", caption(client))
    if edit is None:
        first = [("edit", opencv_edit(seed)), alike, captioned]
    else:
        chosen = [("filter", asked.editability(client)), ("plan", asked.plan(client))]
        first = [captioned, *chosen, ("edit", edit), alike]
    return [*first, *asked.aligned(client, seed)]


def opencv_edit(seed: int) -> Stage:
    """Edits each photo in the first way that works, see `photos.tries`; rejects it for the reason met most often.

    The provenance has operation, mean change inside the mask, and the template's own difference.
    """

    def stage(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
        return [_edited(draft, draft_seed(seed, draft)) for draft in drafts]

    return stage


def _edited(draft: Draft, seed: int) -> Draft | Rejected:
    refused: list[Refused] = []
    for outcome in tries(np.asarray(decode(draft.image).image), seed):
        if isinstance(outcome, PhotoEdit):
            return _filled(draft, outcome, Counter(str(one.reason) for one in refused))
        refused.append(outcome)
    counts = Counter(str(one.reason) for one in refused)
    most, _ = counts.most_common(1)[0]
    words = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
    last = next(one for one in reversed(refused) if one.reason == most)
    return Rejected(draft.id, "edit", most, f"{len(refused)} tries ({words}); for example: {last}")


def _filled(draft: Draft, edit: PhotoEdit, refused: Counter[str]) -> Draft:
    note = {
        "kind": "opencv",
        "operation": edit.operation,
        "thing": edit.thing,
        "change": round(edit.change, 2),
        "share": round(float(edit.mask.mean()), 5),
        "difference": edit.difference,
        "refused_before": dict(sorted(refused.items())),
    }
    return noted(
        draft,
        "editor",
        note,
        category=edit.category,
        edit_instruction=edit.edit_instruction,
        edited_image=png(Image.fromarray(edit.edited_image)),
        mask=png(Image.fromarray(edit.mask.astype(np.uint8) * 255)),
    )


def without_clip(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
    """Stands where the CLIP filter would: similarity stays None, and the provenance says why."""
    return [noted(draft, "similarity", LEFT_OUT) for draft in drafts]


def template_captions(drafts: Sequence[Draft]) -> list[Draft | Rejected]:
    """Captions, difference and answer from what OpenCV did, after `opencv_edit`."""
    return [_from_template(draft) for draft in drafts]


def _from_template(draft: Draft) -> Draft:
    thing, difference = draft.provenance["editor"]["thing"], draft.provenance["editor"]["difference"]
    article = "an" if thing[0] in "aeiou" else "a"
    return noted(
        draft,
        "captions",
        TEMPLATE,
        caption=f"A photo with {article} {thing}.",
        edited_caption=f"The same photo after one edit. {difference}",
        difference=difference,
        answer=difference,
    )


def caption(client: Client) -> Stage:
    """Has the photo described: photos of a folder come without a caption."""

    def case_of(draft: Draft) -> Case:
        return Case(draft, {}, (draft.image,))

    def then(draft: Draft, text: str) -> Draft:
        return replace(noted(draft, "captions", "annotator"), caption=text)

    return asking("caption", client, DESCRIBE, case_of, then)
