"""Every sentence form that a small model here will ever need, for training its tokenizer once.

Captions, questions, answers and differences come from the world. The rest is a list: how tasks are asked for,
which of two pictures is meant, feedback on an answer, judges' words, boxes, numbers, letters.
"""

import itertools
import random
from collections.abc import Iterator

from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.language.caption import DETAILS, describe
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS, difference_questions
from mmhallu_core.world.language.difference import NO_DIFFERENCE, difference
from mmhallu_core.world.language.mixture import questions
from mmhallu_core.world.language.questions import LETTERS
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.vocabulary import COLOURS, KINDS, UNITS, with_article

INSTRUCTIONS = (
    # asking for a caption
    "Describe the image.", "Describe the image in detail.", "Describe the image briefly.", "Describe the picture.",
    "What do you see in the image?", "Write a caption for the image.", "Give a detailed description of the image.",
    "Give a brief description of the image.", "Describe only what you can see in the image.",
    "Describe what is usually there, from what you know.", "Please describe this image in detail.",
    # one of two pictures
    "Answer based on the first image.", "Answer based on the second image.", "Describe the first image.",
    "Describe the second image.", "Are the two images the same?", "Is there a difference between the two images?",
    "First image:", "Second image:", "In the first image,", "In the second image,", "Image 1:", "Image 2:",
    # making and judging edits
    "Please look carefully at these two images.", "Choose the right option.", "Answer with the letter.",
    "Answer: A", "Answer: B", "Answer: C", "Answer: D", "Options:", "Question:", "Caption:", "CAPTION:", "DIFFERENCE:",
    "TYPE:", "Edit the image:", "Can this image be edited?", "Does the sentence describe the change?", "Yes", "No",
    "Change the colour of the dog to red.", "Remove the cat.", "Add a blue ball.", "Make the tree larger.",
    "Object", "Attribute", "Scene", "Spatial Relation", "Action Relation", "Part Relation", "Counting",
    "Differentiation", "Comparison", "Negation", "Universality",
    # judges
    "Correct.", "Incorrect.", "correct", "incorrect", "unclear", "Rating: 5", "rating: 0", "Score: 10",
    "The answer is correct.", "The answer is not correct.", "true", "false", "True.", "False.", "Unknown.",
    "I do not know.", "I cannot see that.", "Yes or no?", "Please answer yes or no.", "Answer in a sentence.",
    "Answer in one word.", "Think before you answer.", "Which one is better, A or B?",
    # feedback and revision
    "No further corrections needed.", "Feedback:", "Revised answer:", "Answer:", "User:", "Assistant:",
    "Revise the answer.", "Check the answer against the image.", "The answer mentions things that are not there.",
    # grounding
    "Give the box of the dog.", "Where is the dog? Answer with a box.", "Describe this region.", "What is in this box?",
)  # fmt: skip
FEEDBACK = (
    "The {kind} is not in the image; remove it.",
    "The {kind} is {colour}, not {other}; correct it.",
    "There is {a} in the image; add it.",
    "There are {n} {kinds}, not {m}; correct the number.",
    "The {kind} is on the left, not on the right; correct it.",
    "Replace the {kind} with {a}.",
    "The {kind} is not mentioned in the caption.",
)


def corpus(n: int, seed: int = 0) -> Iterator[str]:
    """n texts: the fixed lists first, then captions, questions, answers, differences, feedback and boxes."""
    return itertools.islice(itertools.chain(_lists(), _world(random.Random(f"corpus/{seed}"), seed)), n)


def _lists() -> Iterator[str]:
    yield from INSTRUCTIONS
    yield from DIFFERENCE_PROMPTS
    yield from NO_DIFFERENCE
    yield " ".join(str(number) for number in range(100))
    yield " ".join(UNITS)
    yield " ".join(LETTERS) + " a b c d e f g h i j k l m n o p q r s t u v w x y z"
    yield "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z . , : ; ? ! ' \" ( ) [ ] - / % *"
    for kind, spec in KINDS.items():
        yield f"{kind} {spec.plural} {spec.part or ''} {kind.capitalize()} {spec.plural.capitalize()}"


def _world(rng: random.Random, seed: int) -> Iterator[str]:
    """Texts from random scenes and edits, for ever."""
    for i in itertools.count():
        scene = sample_scene(f"corpus-{seed}-{i}")
        for detail in DETAILS:
            yield describe(scene, detail, rng).text
        for question in questions(scene, rng, 6):
            yield question.text
            yield question.answer
            yield question.spoken
        yield _feedback(rng)
        yield _box(rng)
        if i % 2 == 0:
            edit = sample_edit(CATEGORIES[i // 2 % len(CATEGORIES)], f"corpus-{seed}-{i}")
            yield difference(edit, rng).text
            yield from (question.text for question in difference_questions(edit, rng))


def _feedback(rng: random.Random) -> str:
    kind, colours, numbers = rng.choice(list(KINDS)), rng.sample(COLOURS, 2), rng.sample(UNITS[1:7], 2)
    words = {"kind": kind, "kinds": KINDS[kind].plural, "a": with_article(rng.choice(list(KINDS)))}
    return rng.choice(FEEDBACK).format(**words, colour=colours[0], other=colours[1], n=numbers[0], m=numbers[1])


def _box(rng: random.Random) -> str:
    box = ", ".join(str(rng.randrange(100)) for _ in range(4))
    return f"The {rng.choice(list(KINDS))} is at [{box}]."
