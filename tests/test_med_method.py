"""MED's training examples: what is asked of which pictures, in which order, and what the answer then must be."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mmhallu_core.data.chats import IMAGE
from mmhallu_core.methods.med.examples import ConversationExamples, EditExamples, facts_of_sample, way_back
from mmhallu_core.train.records import Turn
from mmhallu_core.types import CannotRun, EditSample
from mmhallu_core.world.language.difference import NO_DIFFERENCE


def picture(value):
    return Image.new("RGB", (32, 32), (value, value, value))


def samples(folder, count=40, reverse=True, **changes):
    made = []
    for i in range(count):
        picture(i).save(folder / f"{i}-a.png")
        second = picture(i)
        second.paste((255, 255, 255), (0, 0, 4, 4))
        second.save(folder / f"{i}-b.png")
        provenance = {"reverse": {"difference": f"cup {i} is gone"}} if reverse else {}
        made.append(
            EditSample(
                f"s{i}", f"{i}-a.png", f"{i}-b.png", "Object", "Add a cup.", f"table {i}", f"table and cup {i}",
                f"cup {i} is new", "What differs?", f"There is cup {i}.", provenance=provenance,
            )
        )  # fmt: skip
    return [dataclasses.replace(one, **changes) for one in made]


def value_of(image):
    """Which of the test's pictures this is, and whether it is the edited one."""
    pixels = np.asarray(image)
    return int(pixels[-1, -1, 0]), bool((pixels[0, 0] == 255).all())


TURNED = (("Is there a cup?", "No.", "Yes."), ("How many cups are there?", "0", "1"))


def by_pictures(examples):
    """The examples of an epoch by sample, and by which of its pictures they show: False for the one before the edit."""
    found = {}
    for example in examples:
        shown = [value_of(image) for image in example.images]
        assert len({number for number, _ in shown}) == 1 and example.id.startswith(f"s{shown[0][0]}/")
        found.setdefault(shown[0][0], []).append((tuple(edited for _, edited in shown), example))
    return found


def test_an_epoch_shows_each_pair_in_both_orders_and_each_picture_alone(tmp_path):
    """Against the rule of the study's arm `med`, written out: three times each picture, what is said of it is true."""
    made = samples(tmp_path)
    turned = [[*one, "x"][:3] for one in TURNED]
    made = [dataclasses.replace(one, provenance={**one.provenance, "editor": {"turned": turned}}) for one in made]
    examples = EditExamples(made, tmp_path, seed=3, packing=True)
    assert len(examples) == 160
    kinds = Counter()
    for number, shown in by_pictures(map(examples, range(160))).items():
        assert Counter(edited for which, _ in shown for edited in which) == {False: 3, True: 3}
        for which, example in shown:
            turns = {turn.question: turn for turn in example.turns}
            assert all(len(conversation) == 1 for conversation in example.conversations)
            kinds[which] += 1
            if len(which) == 1:
                caption = turns.pop("Describe the image.")
                said = f"table and cup {number}" if which[0] else f"table {number}"
                assert caption == Turn("Describe the image.", said, 0.3)
                assert {q: turn.answer for q, turn in turns.items()} == {q: a[which[0]] for q, *a in TURNED}
                continue
            assert example.changed is None
            difference, same = turns.pop("What differs?"), turns.pop("Are the two images the same?")
            assert same.answer == ("Yes." if which[0] == which[1] else "No.")
            if which[0] == which[1]:
                assert difference.answer in NO_DIFFERENCE and not turns
            else:
                assert difference.answer == (f"cup {number} is gone" if which[0] else f"There is cup {number}.")
                assert {q: turn.answer for q, turn in turns.items()} == {
                    f"{q} Answer based on the {place} image.": a[edited]
                    for q, *a in TURNED
                    for place, edited in zip(("first", "second"), which, strict=True)
                }
    assert kinds[False, False] == kinds[True, True] and 2 <= kinds[True, True] <= 20
    assert kinds[False, True] == kinds[True, False] == 40 - kinds[True, True]
    assert kinds[False,] == kinds[True,] == 40
    assert examples.counts() == {
        "differences": kinds[False, True], "swapped": kinds[True, False], "same": 2 * kinds[True, True], "alone": 80,
        "samples_without_way_back": 0,
    }  # fmt: skip


def test_without_packing_each_question_is_an_example(tmp_path):
    packed, single = (EditExamples(samples(tmp_path, 6), tmp_path, packing=packing) for packing in (True, False))

    def questions(examples):
        return Counter(
            (tuple(image.tobytes() for image in one.images), turn)
            for one in map(examples, range(len(examples)))
            for turn in one.turns
        )

    assert questions(packed) == questions(single)
    assert all(len(one.conversations) == 1 for one in map(single, range(len(single))))
    assert [chat.turns[0][1] for chat in single.chats()] == [single(i).turns[0].answer for i in range(len(single))]


def test_without_words_for_the_way_back_pictures_stay_in_order(tmp_path):
    examples = EditExamples(samples(tmp_path, reverse=False), tmp_path, same=0.0)
    for example in map(examples, range(len(examples))):
        if len(example.images) == 2:
            assert [value_of(image)[1] for image in example.images] == [False, True]
    counts = examples.counts()
    assert counts["swapped"] == counts["same"] == 0 and counts["differences"] == 160
    assert counts["samples_without_way_back"] == 40


def test_the_order_is_the_seeds_and_each_epoch_has_its_own(tmp_path):
    made = samples(tmp_path, 8)
    first, again, other = (EditExamples(made, tmp_path, seed=seed, packing=True) for seed in (0, 0, 1))

    def shown(examples, numbers):
        return [(one.id, one.turns) for one in map(examples, numbers)]

    order = shown(first, range(64))
    assert order == shown(again, range(64)) != shown(other, range(64))
    assert order[40:] + order[:40] == shown(first, [*range(40, 64), *range(40)]), "any number may be asked for"
    assert sorted(name for name, _ in order[:32]) == sorted(name for name, _ in order[32:])
    assert order[:32] != order[32:]


def test_masks_come_from_the_file_or_from_the_pictures(tmp_path):
    made = samples(tmp_path, 2)
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (0, 0, 8, 8))
    mask.save(tmp_path / "mask.png")
    made[1] = dataclasses.replace(made[1], provenance={**made[1].provenance, "mask": "mask.png"})
    for same, expected in ((0.0, {0: {16}, 1: {64}}), (1.0, {0: {0}, 1: {0}})):
        examples = EditExamples(made, tmp_path, same=same, masks=True)
        found = by_pictures(map(examples, range(len(examples))))
        changed = {n: {int(one.changed.sum()) for which, one in some if len(which) == 2} for n, some in found.items()}
        assert changed == expected
        assert all(one.changed is None for some in found.values() for which, one in some if len(which) == 1)


def test_lettered_samples_teach_the_sentence_and_not_the_letter(tmp_path):
    (one,) = samples(tmp_path, 1, options=("a cup", "a dog"), answer="A")
    facts = facts_of_sample(one)
    assert facts.difference == "cup 0 is new" and "What differs?" not in facts.prompts
    assert "What is different between the two images?" == facts.prompts[0]


def test_a_damaged_picture_is_named(tmp_path):
    (one,) = samples(tmp_path, 1)
    (tmp_path / "0-a.png").write_bytes(b"no picture")
    examples = EditExamples([one], tmp_path, same=0.0, packing=True)
    with pytest.raises(CannotRun, match="sample s0: a picture cannot be used"):
        [examples(i) for i in range(len(examples))]


def test_written_conversations_are_shown_as_they_are(tmp_path):
    from mmhallu_core.data.chats import Chat

    picture(7).save(tmp_path / "a.png")
    chat = Chat("k", ("a.png",), (("<image>What?", "A dog."), ("And?", "No.")))
    examples = ConversationExamples([chat], tmp_path)
    turns = (Turn("<image>What?", "A dog."), Turn("And?", "No."))
    assert examples(0).conversations == examples(1).conversations == (turns,)
    assert value_of(examples(0).images[0])[0] == 7
    assert examples.counts() == {"conversations": 1} and examples.pairs(3) == []


@pytest.mark.long
def test_the_pipelines_samples_are_learned_from(tmp_path):
    """From Diorama through the pipeline to an adapter: swapped pairs say the way back, the mask is the pipeline's."""
    from mmhallu_core.edit.engine.run import build
    from mmhallu_core.edit.recipe import World
    from mmhallu_core.methods.med.sft import Sft, fine_tune
    from mmhallu_core.models.vlm import Vlm
    from mmhallu_core.types import read_jsonl

    build(World(16, 0, 0.0), tmp_path / "edits", workers=0)
    made = read_jsonl(tmp_path / "edits" / "samples.jsonl", EditSample)
    examples = EditExamples(made, tmp_path / "edits", masks=True)
    assert examples.counts()["swapped"] >= 1
    by_id, swapped = {sample.id: sample for sample in made}, 0
    for i, chat in enumerate(examples.chats()):
        sample = by_id[chat.id.rpartition("/")[0]]
        if len(chat.images) == 2 and chat.images[0] == sample.edited_image != chat.images[1]:
            if chat.turns[0][0].removeprefix(IMAGE * 2) in facts_of_sample(sample).prompts:
                assert chat.turns[0][1] == way_back(sample) != sample.answer
                swapped += 1
            mask = Image.open(tmp_path / "edits" / sample.provenance["mask"])
            assert examples(i).changed.sum() == (np.asarray(mask) > 127).sum()
    assert swapped
    ask = Sft("tiny-llava", tmp_path / "edits" / "samples.jsonl", steps=2, micro_batch=3, consistency="masked")
    record = fine_tune(ask, tmp_path / "run", "a test")
    assert record["spec"]["lr"] == 3e-3 and record["loss"]["consistency"] >= 0 and not record["collapse"]["collapsed"]
    assert record["data"]["epoch"] == examples.counts()
    assert Vlm.load(tmp_path / "run", "cpu").adapters == (tmp_path / "run",)
