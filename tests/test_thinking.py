"""What a model thinks aloud is not its answer: in texts, in files of answers, in `ask` and in `eval`.

The model here is a tiny Qwen3-VL whose chat template begins a thought, as that of the published thinking models does.
It learns in some steps to think about every picture alike and then to answer.
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from quick_cli import run

from mmhallu_core.clients.client import CallFailed, Reply, Request
from mmhallu_core.clients.judge import HALLUSION, Case, first_replies, judge
from mmhallu_core.clients.local import LocalClient
from mmhallu_core.data.answers import read_answers, split_thought, thinking
from mmhallu_core.evaluate.blind import blank
from mmhallu_core.models import tiny_random
from mmhallu_core.models.greedy import text_of
from mmhallu_core.models.score import score
from mmhallu_core.models.shared_prefix import answers
from mmhallu_core.models.tiny_random.parts import tokenizer
from mmhallu_core.models.vlm import Vlm
from mmhallu_core.types import Answer

THOUGHT, ANSWER = "No dog so far, no tree, but a car.", "Yes."
QUESTIONS = ("Is there a car?", "Is there a dog?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", ("Yes.", None)),
        ("  Yes", ("  Yes", None)),  # some published rules count blanks
        ("", ("", None)),
        ("<think>no</think> yes", ("yes", "no")),
        ("no, no</think>\n\nYes", ("Yes", "no, no")),  # the chat template wrote the opening tag
        ("<think>\nit is a", ("", "it is a")),  # cut
        ("<think></think>Yes", ("Yes", "")),  # thinking was switched off
        ("A dog. <think>or a cat?</think>And a tree.<think>no</think>", ("A dog. And a tree.", "or a cat?no")),
        ("<THINK>a <think>b</think> c</think>d", ("d", "a b c")),
        ("Yes <think>or no", ("Yes", "or no")),
        ("<thinking>no</thinking>\nYes", ("Yes", "no")),
        ("I think so", ("I think so", None)),
    ],
)
def test_the_answer_is_what_stands_outside_the_tags(text, expected):
    assert split_thought(text) == expected


def test_tags_survive_where_they_are_special_tokens():
    words = tokenizer(["<think>", "</think>", "<s>", "</s>", "<pad>"], "<s>", "</s>", "<pad>")
    ids = words("<think>no</think> yes</s><pad>", add_special_tokens=False)["input_ids"]
    assert words.decode(ids, skip_special_tokens=True) == "no yes"
    assert text_of(words, ids) == "<think>no</think> yes"
    assert text_of(words, ids[1:], opened=True) == "<think>no</think> yes"
    assert text_of(words, words("yes</s>", add_special_tokens=False)["input_ids"]) == "yes"


# ---------------------------------------------------------------- files of answers


@pytest.fixture
def pope(tmp_path):
    """Four questions of POPE's form with their pictures, and the answers of a thinking model, one of them cut."""
    labels = ["yes", "no", "yes", "yes"]
    said = ["<think>no dog?</think>Yes", "a dog</think>\n\nNo", "<think>no, no, no", "Yes"]
    asked = [
        {"question_id": i, "image": f"{i // 2}.png", "text": QUESTIONS[i % 2], "label": label}
        for i, label in enumerate(labels)
    ]
    told = [{"question_id": i, "text": text} for i, text in enumerate(said)]
    for name, rows in (("questions", asked), ("answers", told)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for i in range(2):
        noise(i).save(tmp_path / f"{i}.png")
    return tmp_path


def noise(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8))


def test_a_file_of_answers_is_read_without_thoughts(pope):
    read = read_answers(pope / "answers.jsonl")
    assert [(one.answer, one.thought) for one in read] == [
        ("Yes", "no dog?"), ("No", "a dog"), ("", "no, no, no"), ("Yes", None),
    ]  # fmt: skip
    assert thinking(read) == {"thinking": {"thought": 3, "cut": 1}} and thinking(read[3:]) == {}


def test_score_counts_what_was_cut_in_a_thought(pope):
    words = "score", "pope", "--questions", pope / "questions.jsonl", "--answers", pope / "answers.jsonl"
    code, out, _ = run(*words, "--json")
    result = json.loads(out)
    assert code == 0 and result["thinking"] == {"thought": 3, "cut": 1}
    assert result["strict"]["accuracy"] == 0.75 and result["strict"]["unparsed"] == 0.25
    assert "1 of 3 thoughts end before an answer" in run(*words)[1]


def test_a_judge_that_thinks_is_read_by_its_answer():
    class Thinks:
        def ask_all(self, requests, progress):
            return [Reply(one.id, "<think>It is incorrect? No.</think>correct", {}) for one in requests]

    case = Case("1", "Is there a car?", "yes", "Yes, there is.")
    verdicts = judge(Thinks(), HALLUSION, [case])
    assert verdicts[0].value == "correct" and first_replies(verdicts)[0].answer == "correct"


# ---------------------------------------------------------------- a model that thinks


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """The folder of a model that thinks before it answers."""
    folder = tmp_path_factory.mktemp("thinker")
    vlm = Vlm.load(tiny_random.build("qwen3_vl", folder), device="cpu")
    template = vlm.processor.chat_template
    vlm.processor.chat_template = template.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    assert vlm.opens_thought
    tail = f"{THOUGHT}\n</think>\n\n{ANSWER}<|im_end|>"
    prompts = [vlm.prompt(question) for question in QUESTIONS] * 2
    pictures = [noise(0), noise(1), blank((48, 48)), blank((48, 48))]
    inputs = vlm.encode(pictures, [prompt + tail for prompt in prompts], side="right")
    learned = len(vlm.processor.tokenizer(tail)["input_ids"])
    ends = inputs["attention_mask"].sum(1)
    places = torch.arange(inputs["input_ids"].shape[1])
    asked = (places < (ends - learned)[:, None]) | (places >= ends[:, None])
    labels = inputs["input_ids"].masked_fill(asked, -100)
    optimizer = torch.optim.AdamW(vlm.model.parameters(), lr=3e-3)
    for _ in range(200):
        loss = vlm.model(**inputs, labels=labels).loss
        if loss < 0.01:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.01
    vlm.model.save_pretrained(folder)
    vlm.processor.save_pretrained(folder)
    return folder


@pytest.mark.long
def test_a_thinking_model_answers_behind_its_thought(thinker):
    vlm = Vlm.load(thinker, device="cpu")
    pictures = [noise(0), noise(1)]
    whole = f"<think>{THOUGHT}\n</think>\n\n{ANSWER}"
    assert vlm.say(pictures, QUESTIONS) == [whole] * 2 and vlm.answer(pictures, QUESTIONS) == [ANSWER] * 2
    assert answers(vlm, pictures[:1], [QUESTIONS]) == [[whole] * 2]
    assert vlm.answer(pictures, QUESTIONS, 10) == ["", ""], "cut inside the thought, a text is no answer"


@pytest.mark.long
@pytest.mark.parametrize("closes", [True, False], ids=["template closes the thought", "and does not"])
@torch.no_grad()
def test_the_likelihood_of_an_answer_is_that_behind_an_empty_thought(thinker, closes):
    vlm = Vlm.load(thinker, device="cpu")
    if closes:  # as the published template writes an answer without a thought
        said = "{% if message['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
        form, content = vlm.processor.chat_template, "{% if message['content'] is"
        vlm.processor.chat_template = form.replace(content, said + content, 1)
        assert "assistant\n<think>\n\n</think>\n\nNo." in vlm.prompt("?", 1, "No.")
    for answer in ("No.", "think", "n"):  # two of them stand in the tag too
        prompt = vlm.prompt(QUESTIONS[0]) + "\n</think>\n\n"
        begun, whole = (vlm.encode([noise(0)], [text]) for text in (prompt, prompt + answer))
        ids = whole["input_ids"][0]
        count = len(ids) - begun["input_ids"].shape[1]
        expected = vlm.model(**whole).logits[0].log_softmax(-1)[:-1].gather(-1, ids[1:, None])[-count:, 0]
        found = score(vlm, [noise(0)], QUESTIONS[:1], [answer])[0]
        assert "".join(found.tokens) == answer
        torch.testing.assert_close(found.log_probs, expected)


@pytest.mark.long
def test_ask_says_when_a_thought_took_all_tokens(thinker, pope):
    words = "ask", pope / "0.png", QUESTIONS[0], "--model", thinker
    assert run(*words)[:2] == (0, f"{ANSWER}\n")
    result = json.loads(run(*words, "--json")[1])
    assert (result["answer"], result["thought"], result["cut"]) == (ANSWER, THOUGHT, False)
    code, out, _ = run(*words, "--max-new-tokens", 10)
    assert code == 1 and "No answer: in 10 tokens" in out and "--max-new-tokens" in out
    code, out, _ = run(*words, "--max-new-tokens", 10, "--json")
    assert code == 1 and json.loads(out)["cut"] and THOUGHT.startswith(json.loads(out)["thought"])


@pytest.mark.long
@pytest.mark.parametrize(("most", "cut"), [(100, 0), (10, 4)])
def test_eval_counts_answers_cut_in_a_thought(thinker, pope, most, cut):
    words = ("eval", "pope", "--questions", pope / "questions.jsonl", "--images", pope, "--model", thinker)
    words += ("--max-new-tokens", most)
    code, out, err = run(*words, "--out", pope / "run", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["thinking"] == {"thought": 4, "cut": cut} and result["strict"]["unparsed"] == cut / 4
    said = read_answers(pope / "run" / "answers.jsonl")
    assert {one.answer for one in said} == {"" if cut else ANSWER} and all(one.thought for one in said)
    assert THOUGHT[:10] in (pope / "run" / "journal.jsonl").read_text(encoding="utf-8")
    code, out, _ = run(*words, "--out", pope / "run")
    assert ("4 of 4 thoughts end before an answer" in out) == bool(cut)


@pytest.mark.long
def test_the_blind_audit_lets_a_model_think(thinker, pope):
    code, out, err = run("audit", pope / "questions.jsonl", "--model", thinker, "--json")
    assert code == 0, err
    found = json.loads(out)["no_image"]
    assert found["thinking"]["cut"] == 0 and found["thinking"]["thought"] == 2, "each question is asked once"
    assert found["unparsed"] == 0 and found["accuracy"] == 0.75, "it says yes to all"


def test_an_answer_with_a_thought_is_a_record_like_others():
    assert Answer("1", "Yes", thought="hm").to_dict() == {"id": "1", "answer": "Yes", "thought": "hm"}
    assert Answer("1", "Yes").to_dict() == {"id": "1", "answer": "Yes"}
    assert Answer.from_dict({"id": "1", "answer": "", "thought": "hm"}).thought == "hm"


@pytest.mark.long
def test_a_local_judge_that_is_cut_in_a_thought_has_no_reply(thinker):
    client = LocalClient(Vlm.load(thinker, device="cpu"))
    with pytest.raises(CallFailed, match="max_tokens") as failure:
        client.ask(Request("1", QUESTIONS[0], max_tokens=3))
    assert failure.value.text.startswith("<think>")
