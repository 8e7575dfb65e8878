"""What the chapter *Ask it* uses: manners of answering, answers without looking, and its tables."""

import re

import pytest

from mmhallu_core.evaluate.answers import YES_NO, disagreements, strict
from mmhallu_core.evaluate.blind import answer_all, blank, blind_replies, false_yes
from mmhallu_core.evaluate.diorama.exam import scenes_alone
from mmhallu_core.evaluate.pope import SAMPLINGS, question_about, right_by_image, sample_questions, score_pope
from mmhallu_core.evaluate.replies import MANNERS, all_forms, dress, harness_scores, thing_asked
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import Answer, CannotRun, YesNoQuestion
from mmhallu_core.viz.samplings import (
    asked_table,
    false_yes_table,
    harness_figure,
    pope_figure,
    pope_table,
    readings_table,
    rules_list,
)
from mmhallu_core.world.prior import TYPICAL
from mmhallu_core.world.vocabulary import KINDS

SCENES = scenes_alone(30)
TRUTH = {name: scene.kinds() for name, scene in SCENES.items()}
QUESTIONS = {name: sample_questions(TRUTH, name) for name in SAMPLINGS}


class Parrot(Vlm):
    """Says yes to what it likes, whatever it is shown."""

    def __init__(self, liked):
        self.liked = {question_about(kind) for kind in liked}

    def answer(self, images, questions, max_new_tokens, batch_size):
        assert all(image.getcolors() == [(96 * 96, (128, 128, 128))] for image in images)
        return ["Yes." if question in self.liked else "No." for question in questions]


def test_every_manner_says_both_and_every_form_has_one_meaning():
    forms = [form for manner in MANNERS.values() for answer in manner.values() for form in answer]
    assert all(set(manner) == {"yes", "no"} for manner in MANNERS.values())
    assert len(all_forms("dog")) == len(set(forms))
    assert "There is an umbrella in the image." in all_forms("umbrella")
    assert "{" not in "".join(all_forms("ball"))


def test_manners_say_the_same_in_other_words():
    forms = {kind: all_forms(kind) for kind in KINDS}
    used = set()
    for question in QUESTIONS["random"]:
        it, thing = thing_asked(question.question)
        for said in ("yes", "no"):
            assert strict(dress(said, question, "polite")) == strict(dress(said, question, "terse")) == said
            wordy = dress(said, question, "wordy")
            assert wordy == dress(said, question, "wordy") and forms[thing][wordy] == said
            used.add(wordy.replace(it, "{it}").replace(thing, "{thing}"))
    assert used == {form for answer in ("yes", "no") for form in MANNERS["wordy"][answer]}


def test_harnesses_agree_on_the_terse_and_split_on_the_wordy():
    group = QUESTIONS["random"]
    terse, wordy = (harness_scores(group, [dress(q.label, q, manner) for q in group]) for manner in ("terse", "wordy"))
    assert all(one == {"accuracy": 1.0, "yes_ratio": 0.5, "unparsed": 0.0} for one in terse.values())
    assert len({one["accuracy"] for one in wordy.values()}) > 3 and max(one["accuracy"] for one in wordy.values()) < 1
    replies = [dress(q.label, q, "wordy") for q in group]
    read = [YES_NO["MME"](reply) for reply in replies]
    right = [said == q.label for said, q in zip(read, group, strict=True)]
    assert wordy["MME"]["accuracy"] == pytest.approx(sum(right) / len(right))
    assert wordy["MME"]["unparsed"] == pytest.approx(sum(said is None for said in read) / len(read))


def test_a_question_of_another_form_is_refused():
    assert thing_asked("Is there an umbrella in the image?") == ("an umbrella", "umbrella")
    with pytest.raises(ValueError, match="not a question"):
        thing_asked("Are there dogs in the image?")


def test_blind_answers_depend_on_the_question_alone():
    assert blank((8, 4)).size == (8, 4)
    replies = blind_replies(Parrot(["car"]))
    assert set(replies) == {question_about(kind) for kind in KINDS}
    answers = answer_all(QUESTIONS["popular"], replies)
    about_cars = {q.id for q in QUESTIONS["popular"] if q.question == question_about("car")}
    assert {one.id for one in answers if one.answer == "Yes."} == about_cars
    score = score_pope(QUESTIONS["popular"], answers, draws=50)["strict"]
    assert score["yes_ratio"] == pytest.approx(len(about_cars) / len(answers))


def test_false_yes_against_counting_by_hand():
    liked = ["umbrella", "car"]
    for group in QUESTIONS.values():
        rates = false_yes(group, answer_all(group, blind_replies(Parrot(liked))), SCENES)
        counts = {"typical": [0, 0], "other": [0, 0]}
        for q in group:
            kind = re.match("Is there an? (.*) in the image", q.question).group(1)
            assert (kind in TRUTH[q.image_id]) == (q.label == "yes")
            if q.label == "no":
                where = "typical" if kind in TYPICAL[SCENES[q.image_id].place] else "other"
                counts[where][0] += kind in liked
                counts[where][1] += 1
        for name, (yes, n) in counts.items():
            assert (rates[name]["n"], rates[name]["rate"]) == (n, pytest.approx(yes / n))
            assert rates[name]["ci"][0] <= rates[name]["rate"] <= rates[name]["ci"][1]


def test_false_yes_with_nothing_to_count():
    only_yes = [q for q in QUESTIONS["random"] if q.label == "yes"]
    rates = false_yes(only_yes, [Answer(q.id, "Yes") for q in only_yes], SCENES)
    assert rates == {name: {"n": 0, "rate": None, "ci": None} for name in ("typical", "other")}
    assert "none of 0" in str(false_yes_table({"random": rates}, "Nothing"))


def test_right_by_image():
    questions = [YesNoQuestion(str(i), f"image {i // 2}", "Is there a dog?", "yes") for i in range(4)]
    answers = [Answer(str(i), text) for i, text in enumerate(["yes", "no", "Yes.", "YES"])]
    assert right_by_image(questions, answers[::-1]) == {"image 0": 0.5, "image 1": 1.0}
    with pytest.raises(CannotRun, match="1 questions without an answer"):
        right_by_image(questions, answers[:3])


def test_tables_and_figures_say_their_numbers():
    liked = answer_all(QUESTIONS["random"], blind_replies(Parrot(["dog"])))
    scores = {
        name: score_pope(group, answer_all(group, blind_replies(Parrot(["dog"]))), draws=50)
        for name, group in QUESTIONS.items()
    }
    told = str(pope_table({"a parrot": scores}, "Parrots"))
    for name in SAMPLINGS:
        assert f"accuracy, {name}" in told and f"{100 * scores[name]['strict']['accuracy']:.1f} [" in told
    figure = pope_figure({"a parrot": scores, "another": scores}, "Parrots")
    assert "a parrot: random " in figure.text and "Accuracy in percent" in figure.html
    manners = {manner: harness_scores(QUESTIONS["random"], [one.answer for one in liked]) for manner in ("x", "y")}
    assert "x: from " in harness_figure(manners, 0.5, "Manners").text
    rules = rules_list(YES_NO, "Rules")
    assert all(one.says in rules.text and one.source in rules.text for one in YES_NO.values())
    assert "(nothing)" in str(readings_table(disagreements([""]), "Readings"))


def test_what_was_asked_about_one_picture():
    group = [q for questions in QUESTIONS.values() for q in questions if q.image_id == "test-0000"]
    replies = {(q.image_id, q.question): f"said {number}" for number, q in enumerate(group)}
    told = [re.split(" {2,}", line) for line in str(asked_table(group, replies)).splitlines()[2:]]
    assert len(told) == len(replies) == len({q.question for q in group})
    for it, truth, reply, samplings in told:
        asked = [q for q in group if thing_asked(q.question)[0] == it]
        assert {truth} == {q.label for q in asked} and reply == replies["test-0000", asked[0].question]
        names = SAMPLINGS if samplings == "all" else samplings.split(", ")
        assert set(names) == {q.id.split("/")[0] for q in asked}
