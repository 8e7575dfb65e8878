"""The measurements of the chapter *Reproduce a table*: a published CHAIR table, and what it depends on.

There are three records: `photos` from the captions that the authors of POPE released (five models, the same 2,000
photos, one prompt), `questions` from POPE's three question files, and `prompts`, what tiny-llava says in Diorama when
it is asked in three ways. A record holds scores, intervals and counts; it holds no caption and no question. What of
`photos` no page computes is in `maintenance/reproduce_a_table.py`.

What would count was written down before any of it was computed:

* Reproduced: each printed CHAIR score and each printed mean length is within 0.06 of ours (half of the last printed
  digit, and a little because somebody may have rounded twice).
* Two models are told apart by a score when the p of their difference, photo by photo, is below 0.05 after Holm's
  correction over the twenty comparisons (ten pairs, two scores).
* Longer is worse: a model's CHAIR_i is higher for its whole captions than for their first 20 words, interval above
  zero. It holds for photos when it does for at least four of the five models, and fails when the interval lies below
  zero for at least four. Everything else is open.
* A pair turns: its two models are told apart by whole captions, and told apart the other way round after both are cut
  to the same number of words.
* The choice of photos is harmless for a pair when fewer than 5% of random choices of 500 photos turn its order.
* A prompt matters when the interval of the difference to the normal prompt, scene by scene, leaves out zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmhallu_core.chapters.count_it import REPORTED
from mmhallu_core.data.answers import read_answers
from mmhallu_core.data.pope import SPLITS, pope_questions
from mmhallu_core.data.vocabulary import Vocabulary, coco_image_id, coco_objects, coco_vocabulary
from mmhallu_core.evaluate.blind import asked
from mmhallu_core.evaluate.chair import chair_parts
from mmhallu_core.evaluate.chair_tables import SCORES, SEED, Counts, Parts, by_crowd, change, choices, cut, pairs, table
from mmhallu_core.recorded import recorded
from mmhallu_core.store import MissingFile, checkpoint_folder, data_file, sha256

PRINTED_LENGTH = {
    "InstructBLIP": 7.5, "MiniGPT-4": 116.2, "MultiModal-GPT": 45.7, "LLaVA": 90.7, "mPLUG-Owl": 98.5,
}  # words; table 1 of arXiv 2305.10355, like REPORTED  # fmt: skip
WITHIN = 0.06  # points of a CHAIR score in percent, or words
LENGTHS = (5, 7, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120)
ENOUGH = 4  # of the five models
PROMPTS = {
    "brief": "Describe the image briefly.",
    "normal": "Describe the image.",
    "detailed": "Describe the image in detail.",
}
SCENES = 1000


@dataclass(frozen=True)
class Released:
    """Captions of the same photos by several models, and what is in the photos.

    Attributes:
        captions: model to its texts, one a photo.
        truth: the objects in each photo, in the same order.
        vocabulary: which words name which object.
        inputs: file to sha256.
    """

    captions: Mapping[str, Sequence[str]]
    truth: Sequence[frozenset[str]]
    vocabulary: Vocabulary
    inputs: Mapping[str, str]

    def counts(self, words: int | None = None, rules: str = "2018") -> dict[str, Parts]:
        """What CHAIR counts in every model's captions, whole or cut to their first words."""
        return {
            name: chair_parts([cut(text, words) for text in texts], self.truth, self.vocabulary, rules)
            for name, texts in self.captions.items()
        }


def released() -> Released:
    """The released captions and COCO's objects, from the data folder.

    Raises:
        MissingFile: when a file is not here; the message names the command that gets it.
    """
    files = {model: f"pope/captions/{row['file']}" for model, row in REPORTED.items()}
    paths = {
        name: data_file(name) for name in (*files.values(), "chair/chair_vocab.json", "chair/coco_objects.json.gz")
    }
    said = {}
    for model, name in files.items():
        said[model] = {coco_image_id(one.image_id or one.id): one.answer for one in read_answers(paths[name])}
    photos = list(next(iter(said.values())))
    objects = coco_objects()
    return Released(
        {model: [texts[photo] for photo in photos] for model, texts in said.items()},
        [objects[photo] for photo in photos],
        coco_vocabulary(),
        {name: sha256(path) for name, path in paths.items()},
    )


def printed() -> dict[str, dict[str, float]]:
    """The paper's table: model to `{chair_i, chair_s}` in percent and `mean_length` in words."""
    return {
        name: {"chair_i": row["chair_i"], "chair_s": row["chair_s"], "mean_length": PRINTED_LENGTH[name]}
        for name, row in REPORTED.items()
    }


def off(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """How far each printed number is from ours: model to `{chair_i, chair_s, mean_length}`, in points and words."""
    return {
        name: {
            score: abs((1 if score == "mean_length" else 100) * measured[name][score] - value)
            for score, value in row.items()
        }
        for name, row in printed().items()
    }


def light(data: Released, counts: Counts, sizes: Sequence[int] = (500,)) -> dict[str, Any]:
    """What the chapter computes while it is read: `models`, `pairs`, other `choices` of photos, and the `crowd`."""
    return {
        "models": table(counts),
        "pairs": pairs(counts),
        "choices": {str(size): choices(counts, size) for size in sizes},
        "crowd": by_crowd(counts, data.truth),
    }


def longer_is_worse(longer: Mapping[str, Mapping[str, Any]]) -> str:
    """ "holds", "fails" or "is open", by the rule at the top of this file, from `longer` of the record `photos`."""
    above = sum(one["ci"][0] > 0 for one in longer.values())
    below = sum(one["ci"][1] < 0 for one in longer.values())
    return "holds" if above >= ENOUGH else "fails" if below >= ENOUGH else "is open"


def published_questions() -> dict[str, Any]:
    """`asked` for each of POPE's three files.

    Raises:
        MissingFile: when they are not here.
    """
    inputs = {f"pope/coco_pope_{name}.json": sha256(data_file(f"pope/coco_pope_{name}.json")) for name in SPLITS}
    rows = {name: asked(pope_questions(name)) for name in SPLITS}
    return {"kind": "recomputed", "inputs": inputs, "seed": SEED, "samplings": rows}


def prompts(scenes: int = SCENES, progress: bool = True) -> dict[str, Any]:
    """CHAIR of tiny-llava's captions of held-out scenes, asked for in three ways.

    Returns:
        `prompts` (name to wording), `models`: prompt to what `table` returns, `change`: prompt to score to the
        difference to "normal", scene by scene.
    """
    from mmhallu_core.evaluate.diorama.exam import CAPTION_TOKENS, held_out, world_vocabulary
    from mmhallu_core.models.vlm import Vlm

    name = "tiny-llava"
    data, model = held_out(scenes), Vlm.load(name)
    counts = {}
    for prompt, wording in PROMPTS.items():
        images = list(data.images.values())
        said = model.answer(images, [wording] * scenes, CAPTION_TOKENS, 50, progress=prompt if progress else None)
        counts[prompt] = chair_parts(said, [data.truth[one] for one in data.images], world_vocabulary(), "fixed")
    others = [prompt for prompt in PROMPTS if prompt != "normal"]
    moved = {prompt: change(counts["normal"], counts[prompt], SCORES) for prompt in others}
    weights = checkpoint_folder(name) / "model.safetensors"
    return {
        "kind": "diorama", "inputs": {f"checkpoints/{name}/model.safetensors": sha256(weights)}, "seed": SEED,
        "scenes": scenes, "prompts": PROMPTS, "models": table(counts), "change": moved,
    }  # fmt: skip


def table_now() -> dict[str, Any]:
    """`light` of the released captions.

    Raises:
        MissingFile: when they are not here.
    """
    data = released()
    return light(data, data.counts())


def cut_or_recorded(words: int) -> tuple[dict[str, Any], str]:
    """The table for captions cut to some words: model to scores, and a sentence that says where they come from.

    Where the captions are not here, it is the recorded table of the nearest cut.
    """
    try:
        return table(released().counts(words)), f"Computed now for {words} words."
    except MissingFile:
        nearest = min(LENGTHS, key=lambda one: abs(one - words))
        record = recorded("reproduce-a-table/photos")
        return record["lengths"][str(nearest)][
            "models"
        ], f"RECORDED for {nearest} words, the nearest that was recorded."
