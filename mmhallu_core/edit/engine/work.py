"""One chunk of a long run: its drafts go through every stage, and what comes of them goes to files.

A chunk is a fixed range of the source, so its files have the same bytes whoever makes them, and however often. They
are complete before the run's journal says that the chunk is finished; until then they count as not there.

    images/000012/000768.png            the original of draft 768
    images/000012/000768-edited.png     its edited twin
    masks/000012/000768.png             where the editor gave a mask; named in the sample's provenance as `mask`
    chunks/000012.samples.jsonl         the chunk's samples
    chunks/000012.rejected.jsonl        its rejected drafts
    calls/000012-0.jsonl                what was asked of the first client, and its replies
"""

import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import mmhallu_core
from mmhallu_core.edit.draft import Draft, Rejected, Stage
from mmhallu_core.edit.engine.calls import ChunkClient
from mmhallu_core.types import EditSample, Record, RecordError

FILES_AT_ONCE = 8  # a disk that is asked to keep eight files at once does it in little more time than one
SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
KINDS = ("samples", "rejected")


@runtime_checkable
class Source(Protocol):
    """Where drafts come from.

    Attributes:
        about: what identifies it, as JSON values.
    """

    about: dict[str, Any]

    def __len__(self) -> int: ...

    def draft(self, index: int) -> Draft | Rejected:
        """The draft at an index, always the same; called once for each index, in any process."""
        ...


class Pipeline(NamedTuple):
    """What a worker needs: drafts, and what is done with them.

    Attributes:
        source: of drafts.
        stages: by name, in order.
        clients: those that stages ask and whose replies must be kept.
        settings: whatever else the results depend on, as JSON values.
    """

    source: Source
    stages: Sequence[tuple[str, Stage]]
    clients: tuple[ChunkClient, ...] = ()
    settings: dict[str, Any] = {}


# Makes the pipeline in the process that works: it must be picklable, what it makes need not be. A plain tuple of source
# and stages does as well.
Make = Callable[[], Pipeline | tuple[Source, Sequence[tuple[str, Stage]]]]


class Work:
    """The pipeline of one worker.

    Args:
        make: makes it.
        out: the run's folder.
        size: drafts in a chunk.
    """

    def __init__(self, make: Make, out: Path, size: int) -> None:
        self.pipeline = Pipeline(*make())
        self.out, self.size = Path(out), size
        if "torch" in sys.modules:  # workers share the machine, and sums in another order differ in their last bits
            import torch

            torch.set_num_threads(1)

    def about(self) -> dict[str, Any]:
        """What identifies a run: two with equal values write the same bytes."""
        source, stages, clients, settings = self.pipeline
        return {
            "version": mmhallu_core.__version__,
            "n": len(source),
            "chunk": self.size,
            "source": source.about,
            "stages": [name for name, _ in stages],
            "settings": settings,
            "clients": [client.gate.about for client in clients],
        }

    def halt(self) -> None:
        """Asks the clients to send nothing more; safe from another thread."""
        for client in self.pipeline.clients:
            client.halt()

    def do(self, number: int) -> dict[str, Any]:
        """Works through one chunk.

        Returns:
            The journal's line: `chunk`, `drafts`, `samples`, `reasons` ("stage: reason" to count), `sha256` of both
            files, `spent` on calls, and processor `seconds` by stage.

        Raises:
            CannotRun: when a client ends the run.
            OSError: when the disk is full, or not to be written.
            ValueError: when a stage answers other drafts than it was given.
        """
        seconds: dict[str, float] = {}
        with ExitStack() as journals:
            for place, client in enumerate(self.pipeline.clients):
                journals.enter_context(client.at(self.out / "calls" / f"{number:06d}-{place}.jsonl", number))
            indices = range(number * self.size, min((number + 1) * self.size, len(self.pipeline.source)))
            began = time.process_time()
            drafts = [self.pipeline.source.draft(index) for index in indices]
            seconds["source"] = time.process_time() - began
            ended = through(drafts, self.pipeline.stages, seconds)
            if any(client.may_pass() for client in self.pipeline.clients):
                # What failed is asked once more; all else stands in the journals. A server that is down fails so often
                # in a row that the gate closes, and drafts are not rejected for it.
                ended = through(drafts, self.pipeline.stages, seconds)
            spent: Counter[str] = Counter()
            for client in self.pipeline.clients:
                spent.update(client.spent())
        began = time.process_time()
        ended = self._keep_pictures(number, dict(zip(indices, ended, strict=True)))
        hashes = {kind: self._keep_lines(number, kind, ended) for kind in KINDS}
        seconds["files"] = time.process_time() - began
        rejected = [one for one in ended if isinstance(one, Rejected)]
        return {
            "chunk": number,
            "drafts": len(ended),
            "samples": len(ended) - len(rejected),
            "reasons": dict(Counter(f"{one.stage}: {one.reason}" for one in rejected)),
            "sha256": hashes,
            "spent": dict(spent),
            "seconds": {name: round(taken, 3) for name, taken in seconds.items()},
        }

    def _keep_pictures(self, number: int, ended: dict[int, Draft | Rejected]) -> list[EditSample | Rejected]:
        """Writes the pictures of what has become a sample, and gives the samples that name them."""
        records, files = [], {}
        for index, one in ended.items():
            if isinstance(one, Draft):
                pictures = picture_files(one, f"{number:06d}/{index:06d}")
                one = finished(one, {field: name for field, (name, _) in pictures.items()})
                if isinstance(one, EditSample):
                    files.update(dict(pictures.values()))
            records.append(one)
        if files:
            for folder in {(self.out / name).parent for name in files}:
                folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
                list(pool.map(lambda entry: _keep(self.out / entry[0], entry[1]), files.items()))
        return records

    def _keep_lines(self, number: int, kind: str, ended: list[EditSample | Rejected]) -> str:
        """Writes one of the chunk's two files; gives its SHA-256."""
        records = [one for one in ended if isinstance(one, Rejected) == (kind == "rejected")]
        # half a surrogate pair, which a broken reply may hold, becomes the JSON escape that means the same
        content = "".join(map(_line, records)).encode("utf-8", errors="backslashreplace")
        write_whole(chunk_file(self.out, number, kind), content)
        return hashlib.sha256(content).hexdigest()


def through(
    drafts: Sequence[Draft | Rejected], stages: Sequence[tuple[str, Stage]], seconds: dict[str, float]
) -> list[Draft | Rejected]:
    """Takes drafts through stages; what is rejected skips the rest.

    Args:
        drafts: of a source.
        stages: by name, in order.
        seconds: where the processor time of each stage is added.

    Returns:
        What became of each, in their order.

    Raises:
        ValueError: when two drafts have one id, or a stage answers other drafts than it was given.
    """
    ended = {one.id: one for one in drafts}
    if len(ended) < len(drafts):
        raise ValueError(f"the source gives an id twice among {[one.id for one in drafts]}")
    for name, stage in stages:
        alive = [one for one in ended.values() if isinstance(one, Draft)]
        if not alive:
            break
        began = time.process_time()
        answers = stage(alive)
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - began
        if [one.id for one in answers] != [one.id for one in alive]:
            raise ValueError(f"stage {name} must answer the drafts that it got, in their order")
        ended.update((one.id, one) for one in answers)
    return list(ended.values())


def picture_files(draft: Draft, stem: str) -> dict[str, tuple[str, bytes]]:
    """The draft's pictures by field: each with its file, as a path from the run's folder, and its bytes."""
    named = {"image": f"images/{stem}", "edited_image": f"images/{stem}-edited", "mask": f"masks/{stem}"}
    contents = {field: (place, getattr(draft, field)) for field, place in named.items()}
    return {field: (place + _suffix(content), content) for field, (place, content) in contents.items() if content}


def finished(draft: Draft, pictures: dict[str, str]) -> EditSample | Rejected:
    """The sample that a draft has become, or why it is none.

    Args:
        draft: after the last stage.
        pictures: the files of `image`, `edited_image` and `mask`.
    """
    filled = {entry.name: getattr(draft, entry.name) for entry in fields(draft)}
    values = {name: value for name, value in filled.items() if value is not None and not isinstance(value, bytes)}
    named = {name: file for name, file in pictures.items() if name != "mask"}
    provenance = draft.provenance | ({"mask": pictures["mask"]} if "mask" in pictures else {})
    try:
        return EditSample.from_dict(values | named | {"provenance": provenance})
    except RecordError as error:
        return Rejected(draft.id, "finish", "not_a_sample", str(error))


def chunk_file(out: Path, number: int, kind: str) -> Path:
    """Where a chunk's `samples` or `rejected` are until the run is complete."""
    return out / "chunks" / f"{number:06d}.{kind}.jsonl"


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _keep(part, content)
    os.replace(part, path)


def _keep(path: Path, content: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with open(path, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _line(record: Record) -> str:
    """A record as `write_jsonl` writes it."""
    return json.dumps(record.to_dict(), ensure_ascii=False) + "\n"


def _suffix(content: bytes) -> str:
    """The ending of a picture file's name, by how its bytes begin."""
    return next((suffix for start, suffix in SUFFIXES.items() if content.startswith(start)), ".bin")
