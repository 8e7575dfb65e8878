"""Questions about one picture, with answers that follow from its scene.

Each maker builds one `WorldQuestion`; `mixture.py` draws from them. Without an rng a maker uses the canonical wording.
The wordings of existence questions follow POPE. Answers trust the scene given: for an annotator who
imagines things, pass the scene as the annotator sees it.
"""

import random
from dataclasses import dataclass, replace

from mmhallu_core.world.language.caption import side_fact
from mmhallu_core.world.scene import Fact, Scene, Thing, is_behind, is_left_of
from mmhallu_core.world.vocabulary import (
    COLOURS,
    KINDS,
    PATTERNS,
    PEOPLE,
    PLACE_PHRASES,
    PLACES,
    SIDE_PHRASES,
    SIZES,
    number_word,
    part_phrase,
    plural,
    sentence,
    with_article,
)

LETTERS = "ABCD"
IN_A_SENTENCE = " Answer in a sentence."
WITH_A_LETTER = "Answer with the letter."
IMAGE_WORDS = (" in the image", " in the picture", "")
EXISTENCE_FORMS = (
    "Can you see {a}{where}?",
    "Does the image contain {a}?",
    "Is {a} visible in the image?",
    "Is there {a}?",
)
WHERE_FORMS = ("Where is the {0}?", "Where in the image is the {0}?", "On which side is the {0}?")
PLACE_FORMS = ("Where was this picture taken?", "Where is this?", "What place is this?")
RELATIONS = {"left of": ("to the left of", "to the right of"), "behind": ("behind", "in front of")}


@dataclass(frozen=True)
class WorldQuestion:
    """A question, its answer, and what it asks about.

    Attributes:
        kind: existence, counting, colour, pattern, size, where, action, place, part, relation, attribute or more.
        text: the question as asked, with its options when it has some.
        answer: "Yes.", "Two.", a sentence, or a letter.
        options: the lettered options' words, empty for an open question.
        fact: the fact that the question asks for or tests. For "no" it is the fact that does not hold,
            or, for existence and counting, the absence that does.
        spoken: the answer as a full sentence.
    """

    kind: str
    text: str
    answer: str
    options: tuple[str, ...] = ()
    fact: Fact | None = None
    spoken: str = ""


def yes_no(truth: bool) -> str:
    """The short answer."""
    return "Yes." if truth else "No."


def _pick(rng: random.Random | None, forms: tuple[str, ...]) -> str:
    """The canonical first form about half of the time, and always without an rng."""
    return forms[0] if rng is None or rng.random() < 0.5 else rng.choice(forms)


def _object_fact(scene: Scene, kind: str) -> Fact:
    """The fact that makes a kind present, or its absence."""
    group = scene.of_kind(kind)
    return Fact("object", group[0].id, "is", value=kind) if group else Fact("negation", kind, "absent")


def existence(scene: Scene, kind: str, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "Is there a dog in the image?"."""
    truth, a = bool(scene.of_kind(kind)), with_article(kind)
    text = f"Is there {a} in the image?"
    if rng is not None and rng.random() < 0.5:
        text = rng.choice(EXISTENCE_FORMS).format(a=a, where=rng.choice(IMAGE_WORDS))
    spoken = f"Yes, there is {a} in the image." if truth else f"No, there is no {kind} in the image."
    return WorldQuestion("existence", text, yes_no(truth), fact=_object_fact(scene, kind), spoken=spoken)


def counting(scene: Scene, kind: str, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "How many dogs are there in the image?"."""
    n, many = len(scene.of_kind(kind)), plural(kind)
    text = _pick(
        rng,
        (f"How many {many} are there in the image?", f"How many {many} are there?", f"How many {many} can you see?"),
    )
    spoken = f"There {'is' if n == 1 else 'are'} {number_word(n) if n else 'no'} {plural(kind, n)} in the image."
    fact = Fact("counting", kind, "number", value=str(n)) if n else Fact("negation", kind, "absent")
    return WorldQuestion("counting", text, sentence(number_word(n)) if n else "None.", fact=fact, spoken=spoken)


def colour(scene: Scene, thing: Thing, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "What colour is the dog?"; for people, of their clothes."""
    text = f"What colour is the {thing.kind}?"
    if thing.kind in PEOPLE:
        text = f"What colour is the {thing.kind} wearing?"
    elif rng is not None and rng.random() < 0.3:
        text = f"Which colour does the {thing.kind} have?"
    fact = Fact("attribute", thing.id, "colour", value=thing.colour)
    spoken = f"The {thing.kind} is {'in ' if thing.kind in PEOPLE else ''}{thing.colour}."
    return WorldQuestion("colour", text, sentence(thing.colour), fact=fact, spoken=spoken)


def pattern(scene: Scene, thing: Thing, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "What pattern does the dog have?"."""
    text = _pick(rng, (f"What pattern does the {thing.kind} have?", f"Is the {thing.kind} plain, striped or dotted?"))
    fact = Fact("attribute", thing.id, "pattern", value=thing.pattern)
    spoken = f"The {thing.kind} is {thing.pattern}."
    return WorldQuestion("pattern", text, sentence(thing.pattern), fact=fact, spoken=spoken)


def size(scene: Scene, thing: Thing, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "What size is the dog?"."""
    text = _pick(rng, (f"What size is the {thing.kind}?", f"Is the {thing.kind} small, medium or large?"))
    fact = Fact("attribute", thing.id, "size", value=thing.size)
    return WorldQuestion("size", text, sentence(thing.size), fact=fact, spoken=f"The {thing.kind} is {thing.size}.")


def where(scene: Scene, thing: Thing, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "Where is the dog?"."""
    fact = side_fact(thing)
    text = _pick(rng, WHERE_FORMS).format(thing.kind)
    words = SIDE_PHRASES[fact.value]
    return WorldQuestion("where", text, sentence(words), fact=fact, spoken=f"The {thing.kind} is {words}.")


def action(scene: Scene, thing: Thing, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "What is the man doing?", for a thing that has a pose."""
    text = _pick(rng, (f"What is the {thing.kind} doing?", f"What does the {thing.kind} do?"))
    fact = Fact("action_relation", thing.id, "pose", value=thing.pose)
    return WorldQuestion("action", text, sentence(thing.pose), fact=fact, spoken=f"The {thing.kind} is {thing.pose}.")


def place(scene: Scene, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "Where was this picture taken?"."""
    words = PLACE_PHRASES[scene.place][1]
    fact = Fact("scene", "scene", "place", value=scene.place)
    return WorldQuestion(
        "place", _pick(rng, PLACE_FORMS), sentence(words), fact=fact, spoken=f"The picture was taken {words}."
    )


def part(scene: Scene, thing: Thing, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "Does the dog have a tail?", for a kind with a part."""
    name = KINDS[thing.kind].part
    words = part_phrase(name)
    text = _pick(rng, (f"Does the {thing.kind} have {words}?", f"Can you see the {name} of the {thing.kind}?"))
    spoken = f"Yes, the {thing.kind} has {words}." if thing.part else f"No, the {thing.kind} does not have {words}."
    fact = Fact("part_relation", thing.id, "has" if thing.part else "lacks", value=name)
    return WorldQuestion("part", text, yes_no(thing.part), fact=fact, spoken=spoken)


def relation(scene: Scene, a: Thing, predicate: str, b: Thing, rng: random.Random | None = None) -> WorldQuestion:
    """Asks "Is the dog to the left of the car?"; sometimes asked from the other end.

    `predicate` is "left of" or "behind"; the other end says "to the right of" or "in front of".
    """
    truth = {"left of": is_left_of, "behind": is_behind}[predicate](a, b)
    inverse = rng is not None and rng.random() < 0.5
    first, second, words = (b, a, RELATIONS[predicate][1]) if inverse else (a, b, RELATIONS[predicate][0])
    spoken = f"{'Yes' if truth else 'No'}, the {first.kind} is {'' if truth else 'not '}{words} the {second.kind}."
    fact = Fact("spatial_relation", a.id, predicate, object=b.id)
    return WorldQuestion(
        "relation", f"Is the {first.kind} {words} the {second.kind}?", yes_no(truth), fact=fact, spoken=spoken
    )


def attribute(scene: Scene, thing: Thing, what: str, value: str) -> WorldQuestion:
    """Asks "Is the dog red?"; `what` is colour, pattern, size or pose."""
    truth = getattr(thing, what) == value
    words = f"in {value}" if what == "colour" and thing.kind in PEOPLE else value
    spoken = f"{'Yes' if truth else 'No'}, the {thing.kind} is {'' if truth else 'not '}{words}."
    fact = Fact("action_relation" if what == "pose" else "attribute", thing.id, what, value=value)
    return WorldQuestion("attribute", f"Is the {thing.kind} {words}?", yes_no(truth), fact=fact, spoken=spoken)


def more(scene: Scene, kind: str, other: str) -> WorldQuestion:
    """Asks "Are there more dogs than cats?"."""
    truth = len(scene.of_kind(kind)) > len(scene.of_kind(other))
    words = f"more {plural(kind)} than {plural(other)}"
    spoken = f"Yes, there are {words}." if truth else f"No, there are not {words}."
    return WorldQuestion(
        "more",
        f"Are there {words}?",
        yes_no(truth),
        fact=Fact("counting", kind, "more than", object=other),
        spoken=spoken,
    )


# ---------------------------------------------------------------- other forms of a question


def in_a_sentence(question: WorldQuestion) -> WorldQuestion:
    """The same question, to be answered in a sentence."""
    return replace(question, text=question.text + IN_A_SENTENCE, answer=question.spoken)


def alternatives(question: WorldQuestion) -> list[str]:
    """Every answer that the question could have, as words without capital and full stop."""
    pools = {
        "counting": ["none", "one", "two", "three", "four", "five"],
        "colour": list(COLOURS),
        "pattern": list(PATTERNS),
        "size": list(SIZES),
        "where": list(SIDE_PHRASES.values()),
        "place": [PLACE_PHRASES[name][1] for name in PLACES],
    }
    if question.kind == "action":
        return list(next(kind.poses for name, kind in KINDS.items() if kind.poses and f"the {name}" in question.text))
    return pools.get(question.kind, ["yes", "no"])


def lettered(question: WorldQuestion, rng: random.Random) -> WorldQuestion:
    """The same question with two to four lettered options, the right one at any letter equally often."""
    right = question.answer[0].lower() + question.answer[1:].rstrip(".")
    wrong = [words for words in alternatives(question) if words != right]
    options = rng.sample(wrong, min(len(wrong), rng.choice((1, 2, 3, 3)))) + [right]
    rng.shuffle(options)
    lines = [
        question.text,
        *(f"{letter}. {words}" for letter, words in zip(LETTERS, options, strict=False)),
        WITH_A_LETTER,
    ]
    return replace(question, text="\n".join(lines), answer=LETTERS[options.index(right)], options=tuple(options))
