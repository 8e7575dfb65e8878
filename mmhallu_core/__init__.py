"""mmhallu_core: count, explain and reduce hallucination in vision-language models (VLMs).

A VLM *hallucinates* when its sentence names something that the picture does not show. This
library draws pictures whose truth is known, asks models about them, counts the wrong words,
and trains models to make fewer of them. The book in `book/` walks through it.

Sub-packages, in the order data flows. Each imports only from those above it:

    types, config, store, recorded      records, profiles, files, results measured before
    statistics, comparison, power       intervals, tests of a difference, what a benchmark can show
    world, data                         Diorama (the drawn world), public benchmarks
    models, clients, train, evaluate    the models, judges behind a server, their training, their scores
    edit                                MED's pipeline: pairs of pictures that differ in one thing
    explain                             which parts of a picture speak for a word
    methods                             recipes of papers, and repairs without training, numbers beside their source
    studies                             one engine, and a plan for each paper
    viz, chapters                       figures and widgets that pages share, and what one page alone needs
    tour, doctor, cli                   five minutes in a terminal, what runs here, the command `mmhallu`

Importing this package is cheap: it loads no torch. What most people need can be had from here by name, such as
`from mmhallu_core import Vlm`; `PUBLIC` lists it, and a name is loaded when it is first asked for.
"""

__version__ = "0.1.0"

# The public surface: a name to the file that has it. Everything else may move between two versions.
PUBLIC = {
    "Vlm": "models.vlm",
    "Answer": "types",
    "CannotRun": "types",
    "EditSample": "types",
    "TrainSpec": "train.spec",
    "TrainingExample": "train.records",
    "Turn": "train.records",
    "audit": "evaluate.audit",
    "benchmark": "evaluate.diorama",
    "benchmarks": "evaluate.benchmarks",
    "describe": "world.language",
    "difference": "world.language",
    "read": "world.language",
    "read_answers": "data.answers",
    "render": "world.render",
    "sample_edit": "world.edits",
    "sample_scene": "world.prior",
    "score": "evaluate.benchmark",
    "score_chair": "evaluate.chair",
    "score_pope": "evaluate.pope",
    "world_vocabulary": "evaluate.diorama.exam",
}
__all__ = [*PUBLIC]


def __getattr__(name: str):
    """Loads a name of the public surface."""
    from importlib import import_module  # here: importing this package shall cost next to nothing

    if name not in PUBLIC:
        raise AttributeError(f"mmhallu_core has no public name {name!r}; there are {', '.join(PUBLIC)}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
