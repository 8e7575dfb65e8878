"""What is in a COCO photo, as CHAIR counts it, and ground truth files of anybody's own.

CHAIR takes an object as present when COCO's annotators outlined it or when one of the five reference captions names
it. The second source matters: annotators skip what is tiny or cut off, and people still mention it.
"""

import re
from pathlib import Path

from mmhallu_core.data.sources import read_json
from mmhallu_core.data.vocabulary import Vocabulary, vocabulary_from
from mmhallu_core.store import data_file
from mmhallu_core.types import require

_COCO_NAME = re.compile(r"(?:.*/)?(?:COCO_(?:train|val|test)\d{4}_)?0*(\d+)(?:\.jpe?g)?", re.IGNORECASE)
Truth = dict[str, frozenset[str]]  # image id -> the objects in it


def coco_image_id(name: str) -> str:
    """The number of a COCO image as text: "COCO_val2014_000000310196.jpg" becomes "310196"; other names stay as they
    are."""
    match = _COCO_NAME.fullmatch(name.strip())
    return match.group(1) if match else name.strip()


def coco_objects() -> Truth:
    """The objects of 123,287 COCO images, from the data folder.

    Raises:
        MissingFile: when the file is not here; the message names the command that gets it.
    """
    return {image: frozenset(objects) for image, objects in read_json(data_file("chair/coco_objects.json.gz")).items()}


def read_truth(path: str | Path) -> tuple[Truth, Vocabulary | None]:
    """Reads a ground truth file: what is in which picture, and perhaps the words that name it.

    Two forms, plain or gzipped JSON: `{image id: [objects]}`, or `{"objects": {image id: [objects]}, "vocabulary":
    {"terms": {term: object}, "doubles": {pair: term}}}`.

    Returns:
        The truth, and the file's own vocabulary or None.

    Raises:
        CannotRun: when the file has neither form, or names an object that its vocabulary does not have.
    """
    content = read_json(Path(path))
    require(isinstance(content, dict), f"{path}: ground truth is a JSON object of image ids")
    own = "objects" in content and isinstance(content["objects"], dict)
    table = content["objects"] if own else content
    for image, objects in table.items():
        good = isinstance(objects, list) and all(isinstance(name, str) for name in objects)
        require(good, f"{path}: image {image!r} must have a list of object names, got {objects!r}")
    truth = {image: frozenset(objects) for image, objects in table.items()}
    if not own or "vocabulary" not in content:
        return truth, None
    vocabulary = vocabulary_from(content["vocabulary"], f"{path}: vocabulary")
    strange = sorted(set().union(*truth.values()) - set(vocabulary.objects))
    require(not strange, f"{path}: objects that the vocabulary does not have: {', '.join(strange[:5])}")
    return truth, vocabulary
