"""What a worker makes for a run over photos: the folder, the CLIP, the annotator and the editor, from plain values."""

from dataclasses import asdict, dataclass

from mmhallu_core.edit.draft import Stage
from mmhallu_core.edit.engine.calls import ChunkClient
from mmhallu_core.edit.engine.folder import FolderSource
from mmhallu_core.edit.engine.work import Pipeline
from mmhallu_core.edit.recipe import IN_FLIGHT, Annotator
from mmhallu_core.edit.stages.photos import photo_stages
from mmhallu_core.types import CannotRun

NOBODY, OPENCV, GEMINI = "none", "opencv", "gemini:"


@dataclass(frozen=True)
class Photos:
    """MED's pipeline on a folder of photos, see `photo_stages.photo_stages`.

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
        from mmhallu_core.edit.stages.similarity import TRAINING, ClipEmbedder, similar

        return similar(ClipEmbedder(self.clip, fit=self.fit), TRAINING)

    def _annotator(self) -> ChunkClient | None:
        if self.annotator.named == NOBODY:
            return None
        if self.annotator.named == "oracle":
            raise CannotRun("the oracle knows Diorama alone; photos need --annotator with a server or a model, or none")
        return ChunkClient(self.annotator.client(), IN_FLIGHT)

    def _editor(self) -> tuple[Stage | None, ChunkClient | None]:
        """The edit stage, and the client whose replies must be kept; neither for OpenCV."""
        if self.editor == OPENCV:
            return None, None
        from mmhallu_core.edit.editors.inpaint import edited_by

        if self.editor.startswith(GEMINI):
            from mmhallu_core.clients.gemini_client import GeminiClient
            from mmhallu_core.edit.editors.gemini import GeminiEditor

            kept = ChunkClient(GeminiClient(self.editor.removeprefix(GEMINI)), IN_FLIGHT)
            return edited_by(GeminiEditor(kept), self.seed), kept
        from mmhallu_core.edit.editors.diffusion import DiffusersEditor

        return edited_by(DiffusersEditor(self.editor), self.seed), None
