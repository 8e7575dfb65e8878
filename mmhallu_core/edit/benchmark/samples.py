"""Questions about pairs that exist already: edit samples, from photos or from Diorama.

Here the pictures are given, and one sentence about them is true. The wrong ones are other samples' sentences, drawn
from the same category: each was as likely to be the true one.

Where a sample says what is true in the other order of its pictures (`provenance.editor.reverse`), a die takes the
order, and the options are both directions of this sample and of another one. Where it does not, they are four samples'
own sentences, in the order in which they were made.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

from mmhallu_core.data.question import LETTERS, Question
from mmhallu_core.evaluate.contrast import prompt
from mmhallu_core.evaluate.diorama.making import evenly
from mmhallu_core.types import CATEGORIES, CannotRun, EditSample, slug
from mmhallu_core.world.language.compare import DIFFERENCE_PROMPTS
from mmhallu_core.world.language.read import read

OPTIONS = 4
Texts = tuple[str, ...]


def directions(sample: EditSample) -> Texts:
    """What differs between the pictures of a sample, and, where it is known, what differs when they are swapped."""
    back = sample.provenance.get("editor", {}).get("reverse", {}).get("difference")
    return (sample.difference, back) if back else (sample.difference,)


def from_samples(samples: Sequence[EditSample], per_category: int, seed: int, name: str) -> list[Question]:
    """As many questions of each category that the samples have.

    Args:
        samples: with pictures by path or bytes; every category among them gives questions.
        per_category: how many.
        seed: of all draws.
        name: begins the questions' ids.

    Returns:
        Questions in MED's form, see `contrast.questions`; `about` also names the `sample`.

    Raises:
        CannotRun: when a category has too few samples whose sentences differ; the message has the counts.
    """
    pools: dict[str, list[EditSample]] = defaultdict(list)
    for sample in samples:
        pools[sample.category].append(sample)
    if not pools:
        raise CannotRun("there are no samples to make questions of")
    columns = []
    for category in (one for one in CATEGORIES if one in pools):
        made = _of_category(pools[category], per_category, random.Random(f"{name}/{seed}/{slug(category)}"))
        if len(made) < per_category:
            raise CannotRun(
                f"{category}: {len(pools[category])} samples give {len(made)} questions of {per_category}, because the "
                "sentences of others are too few or too much alike; make more samples, or take fewer a category"
            )
        columns.append(made)
    rows = [one for row in zip(*columns, strict=True) for one in row]
    return [_question(f"{name}:{number:04d}", *one) for number, one in enumerate(rows)]


Made = tuple[EditSample, str, Texts, int, int | None, bool]  # sample, question, options, right, back, swapped


def _of_category(pool: list[EditSample], n: int, rng: random.Random) -> list[Made]:
    """Up to n questions; letters, wordings and orders are dealt out evenly."""
    pool = rng.sample(pool, len(pool))
    letters, orders = evenly(range(OPTIONS), n, rng), evenly((0, 1), n, rng)
    questions = evenly(DIFFERENCE_PROMPTS, n, rng)
    made: list[Made] = []
    for sample in pool:
        if len(made) == n:
            break
        own = directions(sample)
        wrong = _others(sample, [one for one in pool if len(directions(one)) == len(own)], rng)
        if wrong is None:
            continue
        letter, swapped = letters[len(made)], len(own) == 2 and orders[len(made)] == 1
        texts = own[::-1] if swapped else own
        rest = rng.sample([*texts[1:], *wrong], OPTIONS - 1)
        back = rest.index(texts[1]) if len(own) == 2 else None
        back = back if back is None or back < letter else back + 1
        options = (*rest[:letter], texts[0], *rest[letter:])
        made.append((sample, questions[len(made)], options, letter, back, swapped))
    return made


def _others(sample: EditSample, pool: Sequence[EditSample], rng: random.Random) -> list[str] | None:
    """Wrong sentences from other samples, so many that there are four in all; None when the pool has too few."""
    taken = list(directions(sample))
    wanted, wrong = OPTIONS - len(taken), []
    seen = {_meaning(text) for text in taken}
    for other in rng.sample(list(pool), len(pool)):
        texts = directions(other)
        meanings = {_meaning(text) for text in texts}
        if other.id != sample.id and not meanings & seen and len(meanings) == len(texts):
            wrong += texts
            seen |= meanings
        if len(wrong) == wanted:
            return wrong
    return None


def _meaning(text: str) -> object:
    """What a sentence says, whatever its wording, where the world's reader understands it; else its words."""
    found = read(text)
    if found.category is None or found.unread:
        return " ".join(text.lower().split())
    return found.category, found.facts, found.removed


def _question(
    name: str, sample: EditSample, text: str, options: Texts, right: int, back: int | None, swapped: bool
) -> Question:
    source = sample.provenance.get("source", {})
    about = {
        "category": sample.category,
        "question": text,
        "sample": sample.id,
        "swapped": swapped,
        "picture": str(source.get("scene", sample.id)),
    }
    if back is not None:
        about["back"] = LETTERS[back]
    images = (sample.image, sample.edited_image)
    return Question(name, prompt(text, options), LETTERS[right], images[::-1] if swapped else images, options, about)
