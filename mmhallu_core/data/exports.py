"""Training data in the forms that other tools read: LLaMA-Factory's, and Hugging Face's `datasets`.

LLaMA-Factory reads a folder with `dataset_info.json` and pictures by path; `datasets` reads Parquet files whose schema
says which columns are pictures. Neither tool is needed to write these. The tests read with `datasets`; the loader of
LLaMA-Factory 0.9.5 was tried by hand.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from mmhallu_core.data.chats import Chat, open_picture
from mmhallu_core.data.decode import Decoded, as_png
from mmhallu_core.data.pictures import require_inside
from mmhallu_core.types import CannotRun, EditSample

NAME = "mmhallu"
ROWS = 500  # in one Parquet file: with photos some 100 MB
PICTURES = ("image", "edited_image", "mask")


def to_llamafactory(
    chats: Iterable[Chat], folder: Path, out: Path, name: str = NAME, allow: Sequence[Path] = ()
) -> dict[str, Any]:
    """Writes conversations as LLaMA-Factory's sharegpt form with several pictures, and the entry that names them.

    Args:
        chats: the conversations.
        folder: where the paths of their pictures start.
        out: the folder to write; LLaMA-Factory's `dataset_dir`.
        name: of the data set; the `dataset` of its configuration. Other entries of the folder stay.
        allow: other folders whose pictures may go along, see `require_inside`.

    Returns:
        `name`, `n`, `images` (files written) and `file`.

    Raises:
        CannotRun: when a picture cannot be read, or the folder's `dataset_info.json` is damaged.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    index, written, count = out / "dataset_info.json", set(), 0
    try:
        entries = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    except ValueError as error:
        raise CannotRun(f"{index} is not JSON ({error}); repair it or use a new --out") from error
    with open(out / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as lines:
        for chat in chats:
            require_inside(chat.images, folder, allow, chat.id)
            paths = []
            for picture in chat.images:
                kind, content = open_picture(picture, folder, chat.id).portable
                paths.append(f"images/{hashlib.sha256(content).hexdigest()[:24]}.{kind}")
                if paths[-1] not in written:
                    (out / paths[-1]).write_bytes(content)
                    written.add(paths[-1])
            row = {"id": chat.id, "messages": _messages(chat), "images": paths}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    entries[name] = {
        "file_name": f"{name}.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    }
    index.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return {"name": name, "n": count, "images": len(written), "file": str(out / f"{name}.jsonl")}


def to_datasets(
    records: Sequence[EditSample] | Sequence[Chat], folder: Path, out: Path, allow: Sequence[Path] = ()
) -> dict[str, Any]:
    """Writes records as a folder that `datasets.load_dataset` reads, with columns of pictures.

    Edit samples keep their fields, with the mask beside the two pictures and `provenance` as JSON text. Conversations
    become `id`, `images` and `messages`.

    Args:
        records: all of one kind.
        folder, allow: as in `to_llamafactory`.
        out: the folder to write; it must hold no Parquet files yet.

    Returns:
        `n`, `files` and `folder`.

    Raises:
        CannotRun: when a picture cannot be read, there is no record, or the folder is in use.
    """
    for one in records:
        named = one.images if isinstance(one, Chat) else (one.image, one.edited_image, one.provenance.get("mask"))
        require_inside(named, folder, allow, one.id)
    (out / "data").mkdir(parents=True, exist_ok=True)
    if any((out / "data").glob("*.parquet")):
        raise CannotRun(f"{out / 'data'} holds Parquet files already: use a new --out")
    count, files = 0, []
    for start in range(0, len(records), ROWS):
        rows = records[start : start + ROWS]
        is_chat = isinstance(rows[0], Chat)
        table = [_chat_row(row, folder) if is_chat else _sample_row(row, folder) for row in rows]
        path = out / "data" / f"train-{len(files):05}.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table, schema=_schema(is_chat)), path)
        files.append(path.name)
        count += len(rows)
    if not files:
        raise CannotRun("there is no record to write")
    return {"n": count, "files": files, "folder": str(out)}


def _messages(chat: Chat) -> list[dict[str, str]]:
    """A conversation's turns as messages."""
    return [
        {"role": role, "content": text}
        for turn in chat.turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]


def _sample_row(sample: EditSample, folder: Path) -> dict[str, Any]:
    """An edit sample as a row."""
    row = {entry.name: getattr(sample, entry.name) for entry in fields(sample)}
    row["options"] = None if sample.options is None else list(sample.options)
    row["provenance"] = json.dumps(sample.provenance, ensure_ascii=False)
    image, edited = (open_picture(one, folder, sample.id) for one in (sample.image, sample.edited_image))
    row |= {"image": _cell(image, sample.image), "edited_image": _cell(edited, sample.edited_image), "mask": None}
    if (named := sample.provenance.get("mask")) is not None:
        mask = open_picture(named, folder, sample.id)
        turned = image.turned_mask(mask.image)
        row["mask"] = _cell(mask, named) if turned is mask.image else {"bytes": as_png(turned), "path": None}
    return row


def _chat_row(chat: Chat, folder: Path) -> dict[str, Any]:
    """A conversation as a row."""
    images = [_cell(open_picture(picture, folder, chat.id), picture) for picture in chat.images]
    return {"id": chat.id, "images": images, "messages": _messages(chat)}


def _cell(found: Decoded, named: Any) -> dict[str, Any]:
    """A picture as `datasets` keeps it: its name, and the bytes of its file, or of a PNG where another program would
    see other pixels in the file."""
    return {"bytes": found.portable[1], "path": named if isinstance(named, str) else None}


def _schema(is_chat: bool) -> pyarrow.Schema:
    """The columns, with the note by which `datasets` knows its features."""
    text, image = pyarrow.string(), pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    words, picture = {"dtype": "string", "_type": "Value"}, {"_type": "Image"}
    if is_chat:
        message = pyarrow.struct([("role", text), ("content", text)])
        columns = {"id": text, "images": pyarrow.list_(image), "messages": pyarrow.list_(message)}
        features: dict[str, Any] = {
            "id": words, "images": {"feature": picture, "_type": "List"},
            "messages": {"feature": {"role": words, "content": words}, "_type": "List"},
        }  # fmt: skip
    else:
        columns = {entry.name: text for entry in fields(EditSample)}
        columns |= {"options": pyarrow.list_(text), "similarity": pyarrow.float64(), **dict.fromkeys(PICTURES, image)}
        features = {name: picture if name in PICTURES else words for name in columns}
        features["options"] = {"feature": words, "_type": "List"}
        features["similarity"] = {"dtype": "float64", "_type": "Value"}
    note = json.dumps({"info": {"features": features}})
    return pyarrow.schema(list(columns.items()), metadata={"huggingface": note})
