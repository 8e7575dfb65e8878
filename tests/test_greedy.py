"""A model's own settings for writing: set aside and named in results, or kept on request. And a missing chat form.

That answers are greedy in every family is tested in test_families.py.
"""

import json

import pytest
from quick_cli import run
from transformers import AutoModelForImageTextToText

from mmhallu_core.data.decode import decode
from mmhallu_core.evaluate.walk import spell
from mmhallu_core.models import tiny_random
from mmhallu_core.models.greedy import own_settings
from mmhallu_core.models.mix import mixed_answers
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import CannotRun
from mmhallu_core.world.prior import sample_scene
from mmhallu_core.world.render import render

pytestmark = pytest.mark.long

# The model is random, so that what it writes means nothing; the letters of English are not for it.
OWN = {"repetition_penalty": 3.0, "no_repeat_ngram_size": 1, "suppress_tokens": list(range(32, 90))}
FILE = {**OWN, "do_sample": True, "temperature": 0.7, "top_p": 0.8, "num_beams": 1, "max_length": 30}


@pytest.fixture(scope="module")
def steered(tmp_path_factory):
    """The folder of a model whose files ask for a way of writing."""
    folder = tiny_random.build("llava", tmp_path_factory.mktemp("greedy") / "steered")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **FILE}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same model without."""
    return tiny_random.build("llava", tmp_path_factory.mktemp("greedy") / "plain")


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "0.png"
    render(sample_scene("greedy"), 32).image.save(path)
    return path


def ask(picture, folder, *more):
    code, out, err = run("ask", picture, "Is there a dog?", "--model", folder, "--max-new-tokens", 8, "--json", *more)
    assert code == 0, err
    return json.loads(out)


def test_ask_sets_a_models_own_settings_aside_or_keeps_them(steered, plain, picture):
    bare, aside = ask(picture, plain), ask(picture, steered)
    kept = ask(picture, steered, "--keep-generation-config")
    assert bare["generation"] == {"kept": False, "settings": {}}
    assert aside["generation"] == {"kept": False, "settings": OWN}, "sampling and lengths are never the model's"
    assert kept["generation"] == {"kept": True, "settings": OWN}
    assert bare["answer"] == aside["answer"] != kept["answer"]
    assert kept == ask(picture, steered, "--keep-generation-config"), "and nothing is drawn"


def test_eval_records_them_and_one_folder_holds_one_way_of_writing(steered, picture, tmp_path):
    named = {"image": "0.png", "text": "Is there a dog?", "label": "no"}
    rows = [{"question_id": number, **named} for number in range(2)]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    words = ["eval", "pope", "--questions", tmp_path / "questions.jsonl", "--images", picture.parent]
    words += ["--model", steered, "--max-new-tokens", 8, "--out", tmp_path / "run"]
    code, out, err = run(*words)
    assert code == 0, err
    assert "set aside (--keep-generation-config keeps them): repetition_penalty 3.0, no_repeat_ngram_size 1" in out
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["generation"] == {"kept": False, "settings": OWN}
    code, _, err = run(*words, "--keep-generation-config")
    assert code == 2 and "another" in err, "answers of two ways of writing must not mix"
    assert run(*words, "--keep-generation-config", "--by", "likelihood")[0] == 2
    assert run(*words, "--keep-generation-config", "--server", "http://127.0.0.1:9")[0] == 2


def test_what_looks_inside_an_answer_is_greedy_too(steered, plain, picture):
    image, question = decode(picture).image, "Is there a dog?"
    one, other = Vlm.load(steered, device="cpu"), Vlm.load(plain, device="cpu")
    assert own_settings(one.model) == OWN and own_settings(other.model) == {}
    assert [step.token for step in spell(one, image, question, 8)] == [
        step.token for step in spell(other, image, question, 8)
    ]
    assert mixed_answers(one, one, [image], [question], [0.3], 8) == other.answer([image], [question], 8)


def test_a_model_keeps_its_file_when_it_is_saved_again(steered, tmp_path):
    vlm = Vlm.load(steered, device="cpu")
    vlm.answer([render(sample_scene("greedy"), 32).image], ["Where?"], 2)
    vlm.model.save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path).generation_config
    assert (again.repetition_penalty, again.do_sample, again.temperature) == (3.0, True, 0.7)


# ---------------------------------------------------------------- the chat form


@pytest.fixture
def without_template(tmp_path):
    folder = tiny_random.build("llava", tmp_path / "model")
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").unlink()
    return folder, template


def test_a_missing_chat_template_is_told_at_once(without_template, picture):
    folder, template = without_template
    with pytest.raises(CannotRun, match="has no chat template.*instruction-tuned version, or put its chat_template"):
        Vlm.load(folder, device="cpu")
    code, out, err = run("ask", picture, "Is there a dog?", "--model", folder)
    assert (code, out) == (2, "") and "has no chat template" in err and err.count("\n") == 1
    path = folder / "tokenizer_config.json"  # where older folders keep it
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "chat_template": template}), "utf-8")
    assert "Where?" in Vlm.load(folder, device="cpu").prompt("Where?")


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages %}{{ message['content'] + '\\n' }}{% endfor %}",  # of a model for text alone
        "{{ raise_exception('only text, please') }}",
        "{% for message in messages %}",
    ],
)
def test_a_chat_template_that_cannot_write_pictures_is_told(plain, template):
    vlm = Vlm.load(plain, device="cpu")
    vlm.processor.chat_template = template
    with pytest.raises(CannotRun, match="chat template of .* cannot write a question with pictures"):
        vlm.prompt("Where?")
