"""Makes CHAIR's two files on this machine: what is in 123,287 COCO photos, and which words name it.

Neither can be passed on here, so both are made from their public homes. The words stand in the 2018 authors' script,
which is read as text and never run; the objects come from COCO's own annotation archive. Both results are checked
against the SHA-256 of the content that this project's numbers were computed with.
"""

import ast
import gzip
import json
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from mmhallu_core.data.sources import RAW, source, state
from mmhallu_core.data.vocabulary import Vocabulary, read_vocabulary
from mmhallu_core.evaluate.chair import chair_mentions
from mmhallu_core.store import cache_folder, download
from mmhallu_core.types import CannotRun, require

ARCHIVE = "http://images.cocodataset.org/annotations/annotations_trainval2014.zip"
SCRIPT = "Maxlinn/CHAIR-metric-standalone/{commit}/chair.py"


def vocabulary_of_script(text: str) -> dict[str, Any]:
    """Reads the word lists out of the text of a CHAIR script, without running it.

    Args:
        text: Python source with the assignments `synonyms_txt`, `coco_double_words`, `animal_words`, `vehicle_words`,
            and single entries `self.double_word_dict["a b"] = "c"`.

    Returns:
        `mscoco_objects` (all terms), `inverse_synonym_dict` (term to object), `double_word_dict` (pair to what it
        counts as).

    Raises:
        CannotRun: when one of the lists is not there.
    """
    found: dict[str, Any] = {}
    extra: dict[str, str] = {}
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Assign):
            continue
        target = node.targets[0]
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant | ast.List):
            found[target.id] = ast.literal_eval(node.value)
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            if getattr(target.value, "attr", "") == "double_word_dict" and isinstance(node.value, ast.Constant):
                extra[target.slice.value] = node.value.value
    for name in ("synonyms_txt", "coco_double_words", "animal_words", "vehicle_words"):
        require(name in found, f"the script has no `{name}`: it is not the version that this reader knows")
    groups = [line.strip().split(", ") for line in found["synonyms_txt"].splitlines()]
    doubles = {pair: pair for pair in found["coco_double_words"]}
    for animal in found["animal_words"]:
        doubles |= {f"baby {animal}": animal, f"adult {animal}": animal}
    doubles |= {f"passenger {vehicle}": vehicle for vehicle in found["vehicle_words"]}
    return {
        "mscoco_objects": [term for group in groups for term in group],
        "inverse_synonym_dict": {term: group[0] for group in groups for term in group},
        "double_word_dict": doubles | extra,
    }


def objects_of_archive(archive: Path, vocabulary: Vocabulary) -> dict[str, list[str]]:
    """The objects of every photo in COCO's 2014 annotation archive, as CHAIR counts them.

    Args:
        archive: `annotations_trainval2014.zip`; it is read in place and nothing is unpacked. Needs about 3 GB of
            memory.
        vocabulary: CHAIR's.

    Raises:
        CannotRun: when the archive is damaged or lacks a member.
    """
    present: dict[str, set[str]] = defaultdict(set)
    try:
        with zipfile.ZipFile(archive) as members:
            for split in ("train", "val"):
                instances = json.loads(members.read(f"annotations/instances_{split}2014.json"))
                names = {row["id"]: vocabulary.terms[row["name"]] for row in instances["categories"]}
                for row in instances["annotations"]:
                    present[str(row["image_id"])].add(names[row["category_id"]])
                del instances
                captions = json.loads(members.read(f"annotations/captions_{split}2014.json"))["annotations"]
                for row in tqdm(captions, desc=f"reference captions, {split}2014"):
                    named = chair_mentions(row["caption"], (), vocabulary, "2018")
                    present[str(row["image_id"])].update(mention.object for mention in named)
    except (zipfile.BadZipFile, KeyError) as error:
        raise CannotRun(f"{archive} is not COCO's 2014 annotation archive: {error}") from error
    return {image: sorted(objects) for image, objects in present.items()}


def fetch_chair(say: Callable[[str], None] = print, address: str = RAW, archive: str = ARCHIVE) -> list[str]:
    """Fetches what CHAIR needs and makes its two files, each only when it is missing here or changed.

    Args:
        say: is told licence and size before anything is fetched.
        address: where GitHub's files are served; tests use a server on this machine.
        archive: address of COCO's annotation archive.

    Returns:
        The paths that were made.

    Raises:
        CannotRun: without a network, or when a result is not the one that this project's numbers were computed with.
    """
    chosen = source("chair")
    say(chosen.describe())
    made = []
    for entry in sorted(chosen.files, key=lambda entry: entry.path != "chair_vocab.json"):
        target = chosen.folder / entry.path
        if state(entry, chosen.folder) == "ok":
            continue
        cached = cache_folder() / "downloads"
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.path == "chair_vocab.json":
            script = cached / "chair.py.txt"
            download(f"{address}/{SCRIPT.format(commit=chosen.commit)}", script, None)
            content = vocabulary_of_script(script.read_text(encoding="utf-8"))
            target.write_text(json.dumps(content), encoding="utf-8")
        else:
            say(f"  fetching {archive} (about 250 MB), then reading some 617,000 captions (minutes)")
            download(archive, cached / "annotations_trainval2014.zip", None)
            vocabulary = read_vocabulary(chosen.folder / "chair_vocab.json")
            objects = objects_of_archive(cached / "annotations_trainval2014.zip", vocabulary)
            with gzip.open(target, "wt", encoding="utf-8") as out:
                json.dump(objects, out)
        made.append(entry.path)
        if state(entry, chosen.folder) != "ok":
            raise CannotRun(f"{target} was made, but its content is not the one that this project's numbers rest on")
    return made
