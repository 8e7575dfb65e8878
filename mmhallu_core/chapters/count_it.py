"""The measurements of the chapter *Count it*: CHAIR and the hallucination profile, of photos and of Diorama.

`photos` measures what five published models said about 2,000 COCO photos each. What tiny-llava says about 1,000
held-out scenes is measured by `maintenance/count_it.py`, and read from the ledger. A record holds scores, intervals and
what they depend on; it holds no caption.

Reported is what a paper prints, measured is what this file computes. The two never share a field.
"""

from dataclasses import replace
from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.data.answers import read_answers
from mmhallu_core.data.vocabulary import coco_image_id, coco_objects, coco_vocabulary
from mmhallu_core.evaluate.chair import score_chair
from mmhallu_core.evaluate.profile import habits, profile
from mmhallu_core.recorded import recorded
from mmhallu_core.store import MissingFile, checkpoint_folder, data_file, sha256

# The five models of table 1 of the POPE paper (arXiv 2305.10355), its CHAIR_i and CHAIR_s in percent with the short
# instruction, and the file in which the authors released the captions.
REPORTED = {
    "InstructBLIP": {"chair_i": 2.5, "chair_s": 3.4, "file": "Instruction1_instructblip.json"},
    "MiniGPT-4": {"chair_i": 9.2, "chair_s": 31.5, "file": "Instruction1_minigpt-4.json"},
    "MultiModal-GPT": {"chair_i": 18.2, "chair_s": 36.2, "file": "Instruction1_mmgpt.json"},
    "LLaVA": {"chair_i": 18.8, "chair_s": 62.7, "file": "Instruction1_llava.json"},
    "mPLUG-Owl": {"chair_i": 30.2, "chair_s": 76.8, "file": "Instruction1_mplug.json"},
}


def photos(progress: bool = True) -> dict[str, Any]:
    """CHAIR by the published rules, and the profile by the repaired ones, of the five models' captions.

    Returns:
        `kind`, `inputs` (file to sha256), and for each model under `models`: `reported`, `chair`, `profile`.

    Raises:
        MissingFile: when the captions or the ground truth are not here; the message names the command.
    """
    names = {model: f"pope/captions/{row['file']}" for model, row in REPORTED.items()}
    needed = (*names.values(), "chair/chair_vocab.json", "chair/coco_objects.json.gz")
    paths = {name: data_file(name) for name in needed}
    truth, vocabulary = coco_objects(), coco_vocabulary()
    world = habits(truth, vocabulary.objects)
    models = {}
    for model, name in tqdm(names.items(), desc="photos", disable=not progress, unit="model"):
        captions = [replace(one, image_id=coco_image_id(one.image_id or one.id)) for one in read_answers(paths[name])]
        models[model] = {
            "reported": {key: REPORTED[model][key] for key in ("chair_i", "chair_s")},
            "chair": score_chair(captions, truth, vocabulary, "2018"),
            "profile": profile(captions, truth, vocabulary, world),
        }
    return {"kind": "recomputed", "inputs": {name: sha256(path) for name, path in paths.items()}, "models": models}


def dial() -> tuple[dict[str, Any], str]:
    """The recorded scores of tiny-llava ("dial on") and of its control ("dial off"), and what they rest on.

    Without a control there is one column and a note that cannot be overlooked: a single model says nothing about the
    dial.
    """
    columns = {"dial on": recorded("tiny-llava/base")["scores"]}
    try:
        columns["dial off"] = recorded("tiny-llava/control")["scores"]
        checkpoint_folder("tiny-llava-control")
    except MissingFile:
        columns.pop("dial off", None)
        return columns, (
            "NOT MEASURED: this version has no control model,\n"
            "so nothing here says what the dial does. To make one:\n"
            "mmhallu pretrain tiny-llava --control"
        )
    return columns, "Both models, measured on the same held-out scenes."
