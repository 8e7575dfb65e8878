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
    methods                             the papers' recipes, every number beside its source
    studies                             one engine, and a plan for each paper
    viz, chapters                       figures and widgets that pages share, and what one page alone needs
    tour, doctor, cli                   five minutes in a terminal, what runs here, the command `mmhallu`

Importing this package is cheap: it loads no torch. Import the sub-package that you need.
"""

__version__ = "0.1.0"
