"""mmhallu_core: count, explain and reduce hallucination in vision-language models (VLMs).

A VLM *hallucinates* when its sentence names something that the picture does not show. This
library draws pictures whose truth is known, asks models about them, counts the wrong words,
and trains models to make fewer of them. The book in `book/` walks through it.

Rooms, in the order data flows. A room imports only from the rooms above it:

    types, config, store                records, profiles, files
    statistics, comparison, power       intervals, tests of a difference, what a benchmark can show
    world, data                         Diorama (the drawn world), public benchmarks
    models, clients, train, evaluate    the models, judges behind a server, their training, their scores
    edit                                MED's pipeline: pairs of pictures that differ in one thing
    methods                             the papers' recipes, every number beside its source
    studies                             lists of runs that answer a question
    viz, tour, doctor, cli              figures, five minutes in a terminal, what runs here, the command `mmhallu`

Importing this package is cheap: it loads no torch. Import the room that you need.
"""

__version__ = "0.1.0"
