"""The tour: what it shows is chosen by rule, what it trains on is true, what it reports follows from the answers."""

import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from maintenance.tour import LONG
from mmhallu_core.evaluate.paired import METRICS, EvalAnswers, Exam, compare, score_answers
from mmhallu_core.models.adapter_folders import WEIGHTS
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.store import PACKAGE, sha256
from mmhallu_core.tour import run as tour_run
from mmhallu_core.tour.page import FIRST, LEAST, pictures, told, wrong_words
from mmhallu_core.tour.run import VIEWS, Plan, examples, run_tour
from mmhallu_core.tour.tell import Voice
from mmhallu_core.train.records import Turn, separate
from mmhallu_core.train.run import train
from mmhallu_core.types import Answer, CannotRun
from mmhallu_core.viz.widgets_scene import titled
from mmhallu_core.world.edits import CATEGORIES, sample_edit
from mmhallu_core.world.language import describe, match, read
from mmhallu_core.world.language.mixture import turned_round
from mmhallu_core.world.prior import TYPICAL, sample_scene
from mmhallu_core.world.render import render
from mmhallu_core.world.scene import facts
from mmhallu_core.world.vocabulary import PLACES

pytestmark = pytest.mark.long

# ---------------------------------------------------------------- what is shown


def test_each_picture_is_the_first_that_the_rule_allows():
    shown = pictures()
    assert shown[0].place == FIRST and titled(shown[0]) == "A beach without an umbrella"
    assert {one.place for one in shown} == set(PLACES) and len(shown) == len(PLACES)
    for one in shown:
        place = one.place
        number = int(one.id.rsplit("/", 1)[1])
        for i in range(number + 1):
            scene = sample_scene(f"tour-picture/{place}/{i}", place=place)
            fits = len(scene.things) >= LEAST and not scene.of_kind(TYPICAL[place][0])
            assert fits == (i == number)


def test_wrong_words_are_marked_and_right_ones_are_not():
    scene = pictures()[0]
    true = describe(scene).text
    assert wrong_words(true, scene) == [] and told(true, scene).text == true
    marked = told("This is a beach. There are two umbrellas.", scene)
    assert marked.text == "This is a beach. There are two [umbrellas: not in the picture]."
    assert wrong_words("An umbrella and a tent.", scene) == ["umbrella", "tent"]


def test_a_terminal_underlines_and_everybody_else_reads_words(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    marked = told("There is an umbrella.", pictures()[0])
    assert "\033[4mumbrella\033[24m (not in the picture)" in Voice(stream=Terminal()).caption(marked)
    assert "\033" not in Voice(plain=True, stream=Terminal()).caption(marked)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in Voice(stream=Terminal()).caption(marked)


# ---------------------------------------------------------------- what is trained on


@pytest.mark.parametrize("category", CATEGORIES)
def test_turned_round_questions_change_their_answer_and_are_true(category):
    count = 0
    for seed in range(12):
        edit = sample_edit(category, f"turned/{seed}")
        for before, after in turned_round(edit):
            count += 1
            assert before.text == after.text and before.answer != after.answer
            for question, scene in ((before, edit.before), (after, edit.after)):
                if question.kind == "existence":
                    assert (question.answer == "Yes.") == bool(scene.of_kind(question.text.split()[3]))
                elif question.answer == "Yes." and question.fact.predicate != "side":
                    assert question.fact in facts(scene), question.text
    groups_only = {"Differentiation", "Comparison", "Universality"}  # no yes/no question speaks of several alike things
    assert (count > 0) or category in groups_only


def test_the_examples_are_true_repeat_and_share_no_scene_with_the_exam():
    make, again = examples("train", 1.0), examples("train", 1.0)
    exam = {scene.to_dict()["id"] for scene in Exam.draw(20, "tour").data.scenes.values()}
    for i in range(4 * VIEWS):
        one = make(i)
        assert one.turns == again(i).turns
        assert [p.tobytes() for p in one.images] == [p.tobytes() for p in again(i).images]
        k, view = divmod(i, VIEWS)
        edit = sample_edit(CATEGORIES[k], f"train/{k}")
        assert edit.before.id not in exam
        assert len(one.images) == (1 if view < 2 else 2)
        if view < 2:
            scene = (edit.before, edit.after)[view]
            reading = match(read(one.turns[0].answer), describe(scene))
            assert set(reading.facts) == set(describe(scene).facts)
            assert one.images[0].tobytes() == render(scene).image.tobytes()


# ---------------------------------------------------------------- fine-tuning


@pytest.fixture
def vlm():
    return Vlm.load("tiny-llava", "cpu")


EXAMPLE = separate(
    "horse", (render(sample_scene("sft")).image,), (Turn("Describe the image.", "A purple horse on a lamp."),)
)
SPEC = dataclasses.replace(tour_run.RECIPE, steps=12, micro_batch=2, lr=1e-2)


def test_an_adapter_learns_comes_back_and_leaves_the_connector_alone(vlm, tmp_path):
    before = {name: value.clone() for name, value in vlm.model.state_dict().items()}
    steps = []
    done = train(vlm, lambda i: EXAMPLE, SPEC, tmp_path / "a", "test", progress=lambda s, n: steps.append((s, n)))
    tuned, record = done.vlm(), done.record
    assert steps == [(i + 1, 12) for i in range(12)] and record["steps"] == 12 and record["examples"] == 24
    assert record["loss"]["final"] < record["loss"]["first"] / 2
    assert json.loads((tmp_path / "a" / "run.json").read_text(encoding="utf-8")) == record
    changed = {name for name, value in tuned.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any("multi_modal_projector" in name or "embed" in name for name in changed)
    assert any("vision_tower" in name for name in changed) and any("language_model" in name for name in changed)

    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "tiny-llava", "an adapter names its model, not a folder of its maker"
    again = Vlm.load("tiny-llava", "cpu", adapters=[tmp_path / "a"])
    for name, value in tuned.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, atol=1e-6, rtol=0)
    assert again.name == tuned.name and Vlm.load(tmp_path / "a", "cpu").name == str(tmp_path / "a")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["about.jsonl", "adapter_config.json", WEIGHTS, "lock", "run.json"]


def test_the_same_seed_gives_the_same_adapter(tmp_path):
    spec = dataclasses.replace(SPEC, steps=2)
    runs = [train(Vlm.load("tiny-llava", "cpu"), lambda i: EXAMPLE, spec, tmp_path / n, "t").record for n in "ab"]
    assert runs[0]["sha256"] == runs[1]["sha256"] and runs[0]["data_sha256"] == runs[1]["data_sha256"]


def test_training_stops_when_its_time_is_over(vlm, tmp_path):
    spec = dataclasses.replace(SPEC, seconds=0.0)
    assert train(vlm, lambda i: EXAMPLE, spec, tmp_path, "test").record["steps"] == 1


def test_a_loss_that_is_no_number_is_an_error(vlm, tmp_path):
    with torch.no_grad():
        vlm.model.get_output_embeddings().weight[0, 0] = float("nan")
    with pytest.raises(CannotRun, match="smaller learning rate"):
        train(vlm, lambda i: EXAMPLE, dataclasses.replace(SPEC, steps=1), tmp_path, "test")
    assert not (tmp_path / WEIGHTS).exists()


def test_a_wrong_adapter_is_refused(vlm, tmp_path):
    with pytest.raises(CannotRun, match="holds no adapter"):
        vlm.with_adapter(tmp_path)
    record = train(vlm, lambda i: EXAMPLE, dataclasses.replace(SPEC, steps=1), tmp_path, "test").record
    (tmp_path / "run.json").write_text(json.dumps({**record, "base_sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(CannotRun, match="other weights"):
        Vlm.load("tiny-llava", "cpu", adapters=[tmp_path])
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes() + b" ")
    with pytest.raises(CannotRun, match="not the file"):
        Vlm.load("tiny-llava", "cpu", adapters=[tmp_path])


# ---------------------------------------------------------------- comparing


@pytest.fixture(scope="module")
def exam():
    return Exam.draw(40, "tour-test")


def answers_with(exam, habit):
    """Answers from the truth; with a habit, an umbrella is everywhere, and every third answer is wrong."""
    extra = " There is a red umbrella." if habit else ""
    captions = [Answer(name, describe(scene).text + extra) for name, scene in exam.data.scenes.items()]
    said = [
        Answer(q.id, {"yes": "Yes.", "no": "No."}[q.label] if not habit or i % 3 else "Maybe.")
        for i, q in enumerate(exam.questions)
    ]
    return EvalAnswers(captions, said)


def test_a_real_gain_is_measurable_and_none_is_not(exam):
    habit, truth = answers_with(exam, True), answers_with(exam, False)
    assert score_answers(truth, exam)["scores"] | {"mean_length": 0} == {
        "chair_i": 0.0, "chair_s": 0.0, "recall": 1.0, "mean_length": 0, "pope_adversarial": 1.0,
    }  # fmt: skip
    verdicts = {name: one["verdict"] for name, one in compare(habit, truth, exam).items()}
    assert verdicts == {
        "chair_i": "better", "chair_s": "better", "recall": "no measurable change", "mean_length": "changed",
        "pope_adversarial": "better",
    }  # fmt: skip
    assert compare(truth, habit, exam)["chair_i"]["verdict"] == "worse"
    same = compare(habit, habit, exam)
    assert {one["verdict"] for one in same.values()} == {"no measurable change"} and set(same) == set(METRICS)
    assert EvalAnswers.from_dict(json.loads(json.dumps(habit.to_dict()))) == habit


# ---------------------------------------------------------------- the whole tour, in small


class Page(HTMLParser):
    """Collects what a page loads, its pictures' words, and its text."""

    def __init__(self):
        super().__init__()
        self.loads, self.alts, self.tags, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.loads += [values[name] for name in ("src", "href", "srcset", "data") if name in values]
        if tag == "img":
            self.alts.append(values.get("alt", ""))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    spec = dataclasses.replace(tour_run.RECIPE, steps=1, micro_batch=3)
    train(Vlm.load("tiny-llava", "cpu"), examples("t", 1.0), spec, folder, "a test")
    return folder


@pytest.mark.slow
def test_a_stopped_tour_goes_on_and_a_finished_one_leaves_a_page(adapter, tmp_path, monkeypatch, capsys):
    plan = Plan(
        adapter=adapter, scenes=4, quick=dataclasses.replace(tour_run.RECIPE, steps=2, micro_batch=3, seconds=60.0)
    )
    with monkeypatch.context() as patch:

        def stop(*_args, **_options):
            raise KeyboardInterrupt

        patch.setattr(tour_run, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            run_tour(tmp_path, Voice(plain=True), plan)
    assert not (tmp_path / "tour.html").exists()
    capsys.readouterr()

    asked = []
    real = tour_run.run_evaluation
    monkeypatch.setattr(tour_run, "run_evaluation", lambda *args, **options: asked.append(1) or real(*args, **options))
    result = run_tour(tmp_path, Voice(plain=True), plan)
    out, _ = capsys.readouterr()
    assert out.startswith("Going on after: base.") and len(asked) == 2, "the first stage was done already"
    assert out.isascii() and not re.search(r"[\033\r|#=_*~^]{2}|\033|\r", out), "plain sentences only"
    assert "Training: 50 percent done." in out and "Training: 100 percent done." in out
    kept = json.loads((tmp_path / "tour.json").read_text(encoding="utf-8"))
    assert {**kept, "page": str(tmp_path / "tour.html")} == json.loads(json.dumps(result))
    assert set(result["models"]) == {"base", "quick", "shipped"} and set(result["differences"]) == {"quick", "shipped"}
    for one in result["models"].values():
        assert set(one["scores"]) == set(METRICS) == set(one["ci"])
    assert not list(tmp_path.glob("*.jsonl")), "a finished tour starts anew"

    html = (tmp_path / "tour.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(html)
    assert len(page.alts) == len(PLACES) and all(len(alt) > 20 for alt in page.alts)
    assert all(address.startswith("data:") for address in page.loads), "nothing is loaded from elsewhere"
    assert not {"script", "link", "iframe"} & set(page.tags) and "@import" not in html and "url(" not in html
    for row in result["pictures"]:
        for words in row["hallucinated"].values():
            assert all(f">{word}</strong> <small>(not in the picture)" in html for word in words)
    assert "no measurable change" in out or "better" in out or "worse" in out


def test_a_tour_without_its_adapter_says_how_to_get_it(tmp_path):
    with pytest.raises(CannotRun, match="--train-adapter"):
        run_tour(tmp_path, Voice(plain=True), Plan(adapter=tmp_path))


def test_a_terminal_gets_wrapped_lines_and_a_screen_reader_whole_ones():
    text = "   " + "a word " * 40
    wrapped, whole = io.StringIO(), io.StringIO()
    Voice(stream=wrapped).say(text)
    Voice(plain=True, stream=whole).say(text)
    assert all(len(line) <= 100 and line.startswith("   a") for line in wrapped.getvalue().splitlines())
    assert whole.getvalue() == text + "\n" and wrapped.getvalue().split() == text.split()


# ---------------------------------------------------------------- what is shipped and recorded


def test_the_shipped_adapter_fits_the_shipped_model_and_comes_from_the_tours_recipe():
    assert Vlm.load("tour-adapter", "cpu").name == "tour-adapter"
    record = json.loads((tour_run.ADAPTER / "run.json").read_text(encoding="utf-8"))
    spec, long = record["spec"], LONG
    assert spec == json.loads(json.dumps(dataclasses.asdict(long))) and record["steps"] == long.steps


def test_the_recorded_tour_speaks_of_what_is_shipped_and_its_verdicts_follow():
    path = Path(__file__).parent.parent / "results" / "tour" / "tour.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["about"]["base"] == sha256(PACKAGE / "checkpoints" / "tiny-llava" / "model.safetensors")
    assert record["about"]["adapter"] == sha256(tour_run.ADAPTER / WEIGHTS) == record["shipped_training"]["sha256"]
    assert record["n"] == Plan().scenes and record["training"]["steps"] == Plan().quick.steps
    for results in record["differences"].values():
        for one in results.values():
            assert one["measurable"] == (one["ci"][0] > 0 or one["ci"][1] < 0)
            assert one["measurable"] == (one["verdict"] != "no measurable change")
    for name, results in record["differences"].items():
        for metric, one in results.items():
            scores = [record["models"][model]["scores"][metric] for model in ("base", name)]
            assert one["difference"] == pytest.approx(scores[1] - scores[0])
