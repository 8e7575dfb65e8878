"""Diorama in words: captions, questions, differences, and reading them back into facts."""

from mmhallu_core.world.language.caption import Description, Mention, describe
from mmhallu_core.world.language.mixture import questions
from mmhallu_core.world.language.questions import Question, in_a_sentence, lettered

__all__ = ["Description", "Mention", "Question", "describe", "in_a_sentence", "lettered", "questions"]
