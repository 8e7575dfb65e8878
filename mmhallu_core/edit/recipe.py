"""What a worker makes when a run begins: the pipeline of a source, with its annotator.

A recipe holds a few plain values, so it can be sent to another process or machine, and is made there with models and
connections that cannot be sent.
"""

from dataclasses import asdict, dataclass

from mmhallu_core.clients.client import Client
from mmhallu_core.edit.draft import Draft
from mmhallu_core.edit.engine.calls import ChunkClient
from mmhallu_core.edit.engine.work import Pipeline
from mmhallu_core.types import CannotRun

IN_FLIGHT = 8  # requests to a server at a time, from each worker


@dataclass(frozen=True)
class Annotator:
    """Who answers the prompts.

    Attributes:
        named: `oracle`, the address of an OpenAI-compatible server, or a model: a shipped one, a folder or a hub id.
        model: the server's name for its model.
    """

    named: str = "oracle"
    model: str = ""

    def client(self) -> Client | None:
        """The client; None for the oracle, which the pipeline of a source makes itself.

        Raises:
            CannotRun: when a server is named without its model, or there is no such model.
        """
        if self.named == "oracle":
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
        from mmhallu_core.edit.pipeline import world_pipeline
        from mmhallu_core.edit.world import without_truth

        def bare(drafts: list[Draft]) -> list[Draft]:
            return [without_truth(draft) for draft in drafts]

        client = self.annotator.client()
        kept = None if client is None else ChunkClient(client, IN_FLIGHT)
        source, stages = world_pipeline(self.seed, self.n, self.error, client=kept)
        clients = () if kept is None else (kept,)
        return Pipeline(source, [*stages, ("bare", bare)], clients, asdict(self))
