"""MED's talks: what is asked of which pictures, in which order, and what the answer then must be."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mmhallu_core.data.chats import IMAGE
from mmhallu_core.methods.med.lessons import DESCRIBE, Chats, Lessons, difference_of, way_back
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


def test_an_epoch_shows_every_picture_alone_and_every_pair_once(tmp_path):
    lessons = Lessons(samples(tmp_path), tmp_path, seed=3)
    assert len(lessons) == 120
    talks = [lessons(i) for i in range(len(lessons))]
    alone = [talk for talk in talks if len(talk.images) == 1]
    assert sorted(value_of(talk.images[0]) for talk in alone) == sorted(
        (i, e) for i in range(40) for e in (False, True)
    )
    for talk in alone:
        (question, answer), (number, edited) = talk.turns[0], value_of(talk.images[0])
        assert question.removeprefix(IMAGE) in DESCRIBE
        assert answer == (f"table and cup {number}" if edited else f"table {number}")
    kinds = Counter()
    for talk in talks:
        if len(talk.images) == 2:
            (question, answer), shown = talk.turns[0], [value_of(image) for image in talk.images]
            number = shown[0][0]
            assert question == IMAGE * 2 + "What differs?" and shown[1][0] == number == int(talk.id[1:])
            kinds[tuple(edited for _, edited in shown)] += 1
            if shown[0] == shown[1]:
                assert answer in NO_DIFFERENCE
            else:
                assert answer == (f"cup {number} is gone" if shown[0][1] else f"There is cup {number}.")
            assert talk.changed is None
    same = kinds[True, True] + kinds[False, False]
    assert sum(kinds.values()) == 40 and 1 <= same <= 10 and kinds[True, False] >= 8 and kinds[False, True] >= 8
    assert lessons.counts() == {
        "captions": 80, "same": same, "differences": 40 - same, "swapped": kinds[True, False],
        "not_swapped_for_want_of_words": 0,
    }  # fmt: skip


def test_without_words_for_the_way_back_pictures_stay_in_order(tmp_path):
    lessons = Lessons(samples(tmp_path, reverse=False), tmp_path, same=0.0)
    for i in range(len(lessons)):
        talk = lessons(i)
        if len(talk.images) == 2:
            assert [value_of(image)[1] for image in talk.images] == [False, True]
    counts = lessons.counts()
    assert counts["swapped"] == counts["same"] == 0 and counts["differences"] == 40
    assert 8 <= counts["not_swapped_for_want_of_words"] <= 32


def test_the_order_is_the_seeds_and_each_epoch_has_its_own(tmp_path):
    made = samples(tmp_path, 8)
    first, again, other = (Lessons(made, tmp_path, seed=seed) for seed in (0, 0, 1))
    ids = [first.chat(i) for i in range(48)]
    assert ids == [again.chat(i) for i in range(48)] != [other.chat(i) for i in range(48)]
    assert sorted(chat.id for chat in ids[:24]) == sorted(chat.id for chat in ids[24:]) and ids[:24] != ids[24:]
    assert {len(chat.images) for chat in (Lessons(made, tmp_path, captions=False).chat(i) for i in range(8))} == {2}


def test_masks_come_from_the_file_or_from_the_pictures(tmp_path):
    made = samples(tmp_path, 2)
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (0, 0, 8, 8))
    mask.save(tmp_path / "mask.png")
    made[1] = dataclasses.replace(made[1], provenance={**made[1].provenance, "mask": "mask.png"})
    lessons = Lessons(made, tmp_path, same=0.0, captions=False, masks=True)
    found = {talk.id: talk for talk in (lessons(i) for i in range(2))}
    assert found["s0"].changed.sum() == 16 and found["s1"].changed.sum() == 64
    twice = Lessons(made, tmp_path, same=1.0, captions=False, masks=True)
    assert all(twice(i).changed.sum() == 0 for i in range(2))


def test_lettered_samples_teach_the_sentence_and_not_the_letter(tmp_path):
    (one,) = samples(tmp_path, 1, options=("a cup", "a dog"), answer="A")
    assert difference_of(one) == "cup 0 is new"
    lessons = Lessons([one], tmp_path, same=0.0, swap=0.0, captions=False)
    assert lessons.chat(0).turns == ((IMAGE * 2 + "What is different between the two images?", "cup 0 is new"),)


def test_a_damaged_picture_is_named(tmp_path):
    (one,) = samples(tmp_path, 1)
    (tmp_path / "0-a.png").write_bytes(b"no picture")
    with pytest.raises(CannotRun, match="sample s0: a picture cannot be used"):
        Lessons([one], tmp_path, same=0.0, captions=False)(0)


def test_written_talks_are_shown_as_they_are(tmp_path):
    from mmhallu_core.data.chats import Chat

    picture(7).save(tmp_path / "a.png")
    chats = Chats([Chat("k", ("a.png",), (("<image>What?", "A dog."), ("And?", "No.")))], tmp_path)
    assert chats(0).turns == chats(1).turns == (("<image>What?", "A dog."), ("And?", "No."))
    assert value_of(chats(0).images[0])[0] == 7 and chats.counts() == {"talks": 1} and chats.pairs(3) == []


@pytest.mark.long
def test_the_pipelines_samples_are_learned_from(tmp_path):
    """From Diorama through the pipeline to an adapter: swapped pairs say the way back, the mask is the pipeline's."""
    from mmhallu_core.edit.engine.run import build
    from mmhallu_core.edit.recipe import World
    from mmhallu_core.methods.med.sft import Sft, train
    from mmhallu_core.models.vlm import Vlm
    from mmhallu_core.types import read_jsonl

    build(World(16, 0, 0.0), tmp_path / "edits", workers=0)
    made = read_jsonl(tmp_path / "edits" / "samples.jsonl", EditSample)
    lessons = Lessons(made, tmp_path / "edits", masks=True)
    assert lessons.counts()["swapped"] >= 1
    by_id = {sample.id: sample for sample in made}
    for i in range(len(lessons)):
        chat = lessons.chat(i)
        if len(chat.images) == 2 and chat.images[0] == by_id[chat.id].edited_image != chat.images[1]:
            assert chat.turns[0][1] == way_back(by_id[chat.id]) != by_id[chat.id].answer
            mask = Image.open(tmp_path / "edits" / by_id[chat.id].provenance["mask"])
            assert lessons(i).changed.sum() == (np.asarray(mask) > 127).sum()
    ask = Sft("tiny-llava", tmp_path / "edits" / "samples.jsonl", steps=2, batch=3, consistency="masked")
    record = train(ask, tmp_path / "run", "a test")
    assert record["spec"]["lr"] == 3e-3 and record["loss"]["consistency"] >= 0 and not record["collapse"]["collapsed"]
    assert record["data"]["epoch"] == lessons.counts()
    assert Vlm.load(tmp_path / "run", "cpu").adapters == (tmp_path / "run",)
