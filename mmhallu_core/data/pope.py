"""POPE's files: yes/no questions about COCO photos, and captions of the same kind of photos by five VLMs.

POPE (Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", arXiv 2305.10355) asks "Is there a
dog in the image?" about 500 photos. Its repository also holds 2,000 captions by each of five VLMs, which the paper
scores with CHAIR. They are the only published captions with published CHAIR scores that fit in a few megabytes, so
they are this book's yardstick.
"""

from pathlib import Path

from mmhallu_core.data.answers import ID_KEYS, IMAGE_KEYS, as_id, json_objects, read_answers
from mmhallu_core.data.coco import coco_image_id
from mmhallu_core.store import data_file
from mmhallu_core.types import Answer, RecordError, YesNoQuestion, require

SPLITS = ("random", "popular", "adversarial")
QUESTION_KEYS = ("question", "text", "query")

# File name part -> the name that the paper prints. The files say Instruction1; the paper's table 1 calls the prompt I2.
CAPTION_MODELS = {
    "instructblip": "InstructBLIP",
    "llava": "LLaVA",
    "minigpt-4": "MiniGPT-4",
    "mmgpt": "MultiModal-GPT",
    "mplug": "mPLUG-Owl",
}


def read_questions(path: str | Path) -> list[YesNoQuestion]:
    """Reads yes/no questions with their labels, in POPE's form or as `YesNoQuestion` records.

    The id is `id` or `question_id`, the picture `image_id` or `image` (a COCO file name becomes its number), the text
    `question`, `text` or `query`.

    Raises:
        RecordError: names file and line when something is missing, wrong, or an id comes twice.
    """
    questions, first_seen = [], {}
    for line, values in json_objects(path):
        here = f"{path}, line {line}"
        name = next((as_id(values[key]) for key in ID_KEYS[:2] if key in values), None)
        require(name is not None, f"{here}: no question id among {', '.join(ID_KEYS[:2])}")
        image = next((as_id(values[key]) for key in IMAGE_KEYS if key in values), None)
        require(image is not None, f"{here}: no picture among {', '.join(IMAGE_KEYS)}")
        text = next((values[key] for key in QUESTION_KEYS if key in values), None)
        require(isinstance(text, str), f"{here}: no question among {', '.join(QUESTION_KEYS)}")
        require("label" in values, f"{here}: no `label`; is this a file of answers instead of questions?")
        require(name not in first_seen, f"{here}: question id {name!r} was already used in line {first_seen.get(name)}")
        first_seen[name] = line
        image = coco_image_id(image) if image.startswith("COCO_") else image
        try:
            questions.append(YesNoQuestion(name, image, text, str(values["label"]).strip().lower()))
        except RecordError as error:
            raise RecordError(f"{here}: {error}") from error
    require(len(questions) > 0, f"{path}: no questions in it")
    return questions


def pope_questions(split: str) -> list[YesNoQuestion]:
    """The 3,000 published questions of one split, from the data folder.

    Raises:
        MissingFile: when they are not here; the message names the command that gets them.
        RecordError: for a split that does not exist.
    """
    require(split in SPLITS, f"no POPE split {split!r}; there are {', '.join(SPLITS)}")
    return read_questions(data_file(f"pope/coco_pope_{split}.json"))


def vlm_captions(model: str) -> list[Answer]:
    """2,000 captions by one of the five VLMs of `CAPTION_MODELS`, from the data folder.

    Raises:
        MissingFile: when they are not here; the message names the command that gets them.
        RecordError: for a model that is not among the five.
    """
    require(model in CAPTION_MODELS, f"no captions by {model!r}; there are {', '.join(CAPTION_MODELS)}")
    return read_answers(data_file(f"pope/captions/Instruction1_{model}.json"))
