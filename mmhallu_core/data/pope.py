"""POPE's questions: yes or no about COCO photos, and labels that others corrected.

POPE (Li et al., "Evaluating Object Hallucination in Large Vision-Language Models", arXiv 2305.10355) asks "Is there a
dog in the image?" about 500 photos.

The labels are not all right: COCO's annotators left things out, and saw some that are not there. RePOPE (Neuhaus and
Hein, "RePOPE: Impact of Annotation Errors on the POPE Benchmark", arXiv 2504.15707) looked at the photos again. Its
files have POPE's form and ids, without the questions that its authors found ambiguous. In all three files (commit
bcf22e5), of 4,500 labels "yes" 417 are changed (9.3%) and 621 left out, of 4,500 labels "no" 77 (1.7%) and 194. No
licence is stated, so the files do not come with `mmhallu data get`; who has them scores by them too (`relabelled`).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmhallu_core.data.answers import ID_KEYS, IMAGE_KEYS, as_id, json_objects
from mmhallu_core.data.vocabulary import coco_image_id
from mmhallu_core.store import data_file
from mmhallu_core.types import CannotRun, RecordError, YesNoQuestion, require

SPLITS = ("random", "popular", "adversarial")
QUESTION_KEYS = ("question", "text", "query")


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


def relabelled(
    questions: Sequence[YesNoQuestion], corrected: Sequence[YesNoQuestion]
) -> tuple[list[YesNoQuestion], dict[str, dict[str, int]]]:
    """The questions under other labels, such as RePOPE's; those that have none there are left out.

    Returns:
        The questions, and how many labels were `changed` and `left_out`, by the label that they had: {"yes": 3, ...}.

    Raises:
        CannotRun: when the other file asks something else under an id, or about another picture.
    """
    there = {one.id: one for one in questions}
    for one in corrected:
        mine = there.get(one.id)
        if mine is None or (mine.image_id, mine.question) != (one.image_id, one.question):
            raise CannotRun(f"the file of labels is about other questions: {one.id} is {one.question!r} there")
    labels = {one.id: one.label for one in corrected}
    change = {name: {"yes": 0, "no": 0} for name in ("changed", "left_out")}
    for one in questions:
        if one.id not in labels:
            change["left_out"][one.label] += 1
        elif labels[one.id] != one.label:
            change["changed"][one.label] += 1
    return [replace(one, label=labels[one.id]) for one in questions if one.id in labels], change


def repope_file(questions: Path) -> Path:
    """Where RePOPE's file for a file of POPE's is looked for: beside it, as `coco_repope_random.json` and so on.

    Raises:
        CannotRun: when it is not there; the message says where it comes from.
    """
    file = questions.with_name(questions.name.replace("pope", "repope"))
    if file == questions or not file.is_file():
        raise CannotRun(
            f"there is no {file} beside the questions. RePOPE's labels are in `annotations/` of "
            "https://github.com/YanNeu/RePOPE; put the file there, or name it: --labels FILE"
        )
    return file


def pope_questions(split: str) -> list[YesNoQuestion]:
    """The 3,000 published questions of one split, from the data folder.

    Raises:
        MissingFile: when they are not here; the message names the command that gets them.
        RecordError: for a split that does not exist.
    """
    require(split in SPLITS, f"no POPE split {split!r}; there are {', '.join(SPLITS)}")
    return read_questions(data_file(f"pope/coco_pope_{split}.json"))
