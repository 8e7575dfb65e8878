"""Diorama in words: captions, questions, differences, and reading them back into facts."""

from mmhallu_core.world.language.caption import Description, NounSpan, describe
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS, difference_options, difference_questions
from mmhallu_core.world.language.corpus import corpus
from mmhallu_core.world.language.difference import Difference, difference, no_difference
from mmhallu_core.world.language.mixture import questions
from mmhallu_core.world.language.questions import WorldQuestion, in_a_sentence, lettered
from mmhallu_core.world.language.read import Reading, match, read

__all__ = [
    "DIFFERENCE_PROMPTS",
    "Description",
    "Difference",
    "NounSpan",
    "WorldQuestion",
    "Reading",
    "corpus",
    "describe",
    "difference",
    "difference_options",
    "difference_questions",
    "in_a_sentence",
    "lettered",
    "match",
    "no_difference",
    "questions",
    "read",
]
