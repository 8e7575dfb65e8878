"""What a worker makes when a run begins: the pipeline of a source, with its annotator and its editor.

A recipe holds a few plain values, so it can be sent to another process or machine, and is made there with models and
connections that cannot be sent.
"""

from dataclasses import asdict, dataclass

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft, Stage
from mmhallu_core.edit.engine.calls import ChunkClient
from mmhallu_core.edit.engine.folder import FolderSource
from mmhallu_core.edit.engine.work import Pipeline
from mmhallu_core.edit.pipeline import world_pipeline
from mmhallu_core.edit.stages.photos import photo_stages
from mmhallu_core.edit.world import without_truth
from mmhallu_core.types import CannotRun

IN_FLIGHT = 8  # requests to a server at a time, from each worker
ORACLE, NOBODY, OPENCV, GEMINI = "oracle", "none", "opencv", "gemini:"


@dataclass(frozen=True)
class Annotator:
    """Who answers the prompts.

    Attributes:
        named: `oracle`, the address of an OpenAI-compatible server, or a model: a shipped one, a folder or a hub id.
        model: the server's name for its model.
    """

    named: str = ORACLE
    model: str = ""

    def client(self) -> Client | None:
        """The client; None for the oracle, which the pipeline of a source makes itself.

        Raises:
            CannotRun: when a server is named without its model, or there is no such model.
        """
        if self.named == ORACLE:
            return None
        if self.named.startswith(("http://", "https://")):
            from mmhallu_core.clients.openai_client import OpenAiClient

            if not self.model:
                raise CannotRun("--annotator with an address needs --model, the server's name for the model")
            return OpenAiClient(self.named, self.model)
        from mmhallu_core.clients.local import LocalClient
        from mmhallu_core.models.vlm import Vlm

        return LocalClient(Vlm.load(self.named))


@dataclass(frozen=True)
class World:
    """MED's pipeline on Diorama, see `pipeline.world_pipeline`.

    Attributes:
        n: how many drafts.
        seed: of scenes and questions, and of the oracle's errors.
        error: the oracle's error rate.
        annotator: who answers the prompts.
    """

    n: int
    seed: int = 0
    error: float = 0.0
    annotator: Annotator = Annotator()

    def __call__(self) -> Pipeline:
        """Makes the pipeline. A client that is not the oracle keeps its replies, chunk by chunk.

        Raises:
            CannotRun: when there is no such annotator.
        """

        def bare(drafts: list[Draft]) -> list[Draft]:
            return [without_truth(draft) for draft in drafts]

        client = self.annotator.client()
        kept = None if client is None else ChunkClient(client, IN_FLIGHT)
        source, stages = world_pipeline(self.seed, self.n, self.error, client=kept)
        clients = () if kept is None else (kept,)
        return Pipeline(source, [*stages, ("bare", bare)], clients, asdict(self))


@dataclass(frozen=True)
class Photos:
    """MED's pipeline on a folder of photos, see `stages.photos.photo_stages`.

    Attributes:
        folder: of the photos.
        n: how many to take at most.
        seed: of edits and questions.
        clip: hub id or folder of a CLIP for the similarity filter; none when empty.
        fit: how a picture is fitted into what that CLIP reads, see `models/fit.py`.
        annotator: who captions and judges; templates when its name is `none`.
        editor: `opencv`, `gemini:` and a model's name, or a folder or hub id of a diffusers pipeline.
    """

    folder: str
    n: int | None = None
    seed: int = 0
    clip: str = ""
    annotator: Annotator = Annotator(NOBODY)
    editor: str = OPENCV
    fit: str = "processor"

    def __call__(self) -> Pipeline:
        """Makes the pipeline. Replies of annotator and editor are kept, chunk by chunk.

        Raises:
            CannotRun: when there is no such folder, CLIP, annotator or editor, or an editor has no annotator.
        """
        source = FolderSource(self.folder, self.n)
        client = self._annotator()
        if self.editor != OPENCV and client is None:
            raise CannotRun("an editor that follows instructions needs --annotator, which plans its edits")
        edit, called = self._editor()
        clients = tuple(one for one in (client, called) if one is not None)
        settings = asdict(self) | {"folder": ""}  # another place for the same photos is the same run
        return Pipeline(source, photo_stages(self.seed, self._similarity(), client, edit), clients, settings)

    def _similarity(self) -> Stage | None:
        if not self.clip:
            return None
        from mmhallu_core.edit.stages.similarity import ClipEmbedder, similar

        return similar(ClipEmbedder(self.clip, fit=self.fit))

    def _annotator(self) -> ChunkClient | None:
        if self.annotator.named == NOBODY:
            return None
        if self.annotator.named == ORACLE:
            raise CannotRun("the oracle knows Diorama alone; photos need --annotator with a server or a model, or none")
        return ChunkClient(self.annotator.client(), IN_FLIGHT)

    def _editor(self) -> tuple[Stage | None, ChunkClient | None]:
        """The edit stage, and the client whose replies must be kept; neither for OpenCV."""
        if self.editor == OPENCV:
            return None, None
        from mmhallu_core.edit.editors.editor import edited_by

        if self.editor.startswith(GEMINI):
            from mmhallu_core.clients.gemini_client import GeminiClient
            from mmhallu_core.edit.editors.gemini import GeminiEditor

            kept = ChunkClient(GeminiClient(self.editor.removeprefix(GEMINI)), IN_FLIGHT)
            return edited_by(GeminiEditor(kept), self.seed), kept
        from mmhallu_core.edit.editors.diffusion import DiffusersEditor

        return edited_by(DiffusersEditor(self.editor), self.seed), None
