"""`mmhallu judge`, and questions to a model behind a server: files that other commands read, stops that say why."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from faulty_server import FaultyServer, echo, good, status
from test_bench_blink import written as blink_file
from test_bench_mmhal import written
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.clients.openai_client import OpenAiClient
from mmhallu_core.data.answers import read_answers
from mmhallu_core.data.question import Question
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.evaluate.served import ask_questions, judge_answers
from mmhallu_core.store import Locked, run_lock
from mmhallu_core.types import CannotRun


def run(*words):
    """Runs a command; gives exit code, standard output and standard error."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def eight(tmp_path):
    """MMHal-Bench's file with eight questions, and answers to them; those to even ones are true."""
    ids = [question.id for question in benchmark("mmhal").read(written(tmp_path, 8))]
    said = [{"question_id": name, "text": f"A {'dog' if i % 2 == 0 else 'cat'}."} for i, name in enumerate(ids)]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    return tmp_path


@pytest.fixture
def files(tmp_path):
    return eight(tmp_path)


def rated(call) -> str:
    assert 'picture = "Dog"' in call.prompt and 'reference = "A dog."' in call.prompt
    true = 'answer = "A dog."' in call.prompt
    return f"It names an animal.\nRating: {4 if true else 1}"


def words(files, server, *more):
    given = ["--questions", files / "response_template.json", "--answers", files / "answers.jsonl"]
    return ["judge", "mmhal", *given, "--server", server.url, "--model", "m", "--out", files / "out", *more]


def test_verdicts_are_scored_and_nothing_is_asked_twice(files):
    with FaultyServer(answer=rated) as server:
        code, out, _ = run(*words(files, server, "--json"))
        result = json.loads(out)
        assert code == 0 and (result["judged"], result["reasons"], result["calls"]) == (8, {}, 8)
        assert (result["total_tokens"], result["possibly_paid_twice"]) == (120, 0)
        assert (result["official"]["score"], result["official"]["hallucination_rate"]) == (2.5, 0.5)
        code, out, _ = run(*words(files, server))
        assert code == 0 and len(server.calls) == 8 and "8 verdicts by m, 0 without one" in out
    given = ["--questions", files / "response_template.json", "--answers", files / "answers.jsonl"]
    verdicts = files / "out" / "verdicts.jsonl"
    code, out, _ = run("score", "mmhal", *given, "--verdicts", verdicts, "--json")
    assert code == 0 and json.loads(out)["official"]["score"] == 2.5


def test_a_budget_and_a_quarantine_on_the_command_line(files):
    with FaultyServer([status(503, {"Retry-After": "0"})], rated) as server:
        code, out, err = run(*words(files, server, "--calls", "4", "--workers", "1", "--json"))
        assert code == 2 and err == f"mmhallu: {json.loads(out)['error']}\n" and len(server.calls) == 4
        assert "4 of 4 calls" in err and "3 of 8 requests are answered" in err and err.count("\n") == 1
        server.steps += [good(None, refusal="no")] * 4  # the fifth call is the first of the next run
        code, out, _ = run(*words(files, server, "--workers", "1", "--json"))
        result = json.loads(out)
        assert code == 1 and result["reasons"] == {"refused": 1} and "official" not in result
        assert len(read_answers(files / "out" / "verdicts.jsonl")) == 7


def test_a_judge_gets_only_what_the_official_rule_leaves_to_it(tmp_path):
    """BLINK: one answer of four is read by no rule, and the judge is not told which option is right."""
    file = blink_file(tmp_path, 4)
    questions = benchmark("blink").read(file)
    said = [f"({q.truth})" for q in questions[:3]] + ["The first of the five."]
    lines = [json.dumps({"question_id": q.id, "text": text}) for q, text in zip(questions, said, strict=True)]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    given = ["judge", "blink", "--questions", file, "--answers", tmp_path / "answers.jsonl", "--model", "m", "--json"]

    def chosen(call) -> str:
        assert "The first of the five." in call.prompt and "reference =" not in call.prompt
        return f"({questions[3].truth})"

    with FaultyServer(answer=chosen) as server:
        code, out, _ = run(*given, "--server", server.url, "--out", tmp_path / "out")
        assert code == 0 and len(server.calls) == json.loads(out)["judged"] == 1
        assert json.loads(out)["official"]["mean_of_subtasks"] == 1
    (tmp_path / "answers.jsonl").write_text("\n".join(lines[:3]), encoding="utf-8")
    with FaultyServer() as server:
        code, out, _ = run(*given, "--server", server.url, "--out", tmp_path / "none", "--subset")
        assert code == 0 and server.calls == [] and json.loads(out)["official"]["mean_of_subtasks"] == 1


def test_wrong_uses_are_refused(files):
    with FaultyServer() as server:
        given = words(files, server, "--json")
        (files / "answers.jsonl").write_text('{"question_id": "strange", "text": "A dog."}', encoding="utf-8")
        code, _, err = run(*given)
        assert code == 2 and "1 answers to no question: strange" in err and server.calls == []


def test_a_benchmark_without_a_judge(tmp_path):
    with pytest.raises(CannotRun, match="pope needs no judge: use `mmhallu score pope`"):
        judge_answers(benchmark("pope"), [], [], OpenAiClient("http://127.0.0.1:1/v1", "m"), tmp_path)


def test_questions_to_a_served_model(tmp_path):
    asked = [Question(f"q{i}", f"Is it number {i}?", "yes") for i in range(5)]
    with FaultyServer([good("Yes."), good("No", finish="length")], lambda call: call.prompt) as server:
        client = OpenAiClient(server.url, "m")
        for _ in range(2):
            result = ask_questions(asked, client, tmp_path, max_tokens=9, workers=1, about={"benchmark": "x"})
            assert result["answered"] == 4 and result["errors"] == 1
        assert len(server.calls) == 5 and {call.body["max_tokens"] for call in server.calls} == {9}
    assert [answer.id for answer in read_answers(tmp_path / "answers.jsonl")] == ["q0", "q2", "q3", "q4"]
    (line,) = (tmp_path / "errors.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"id": "q1", "error": "cut: the reply reached max_tokens; allow more"}


@pytest.mark.long
def test_two_runs_in_one_folder_at_once_pay_once(files, tmp_path):
    """The second is refused while the first is at work, and no question is paid for twice."""
    asked = [Question(f"q{i}", f"Is there a {i}?", "yes") for i in range(10)]
    with FaultyServer(seconds=0.2) as server, ThreadPoolExecutor() as pool:
        ends = [
            pool.submit(ask_questions, asked, OpenAiClient(server.url, "m"), tmp_path / "run", workers=1)
            for _ in range(2)
        ]
        errors = [error for end in ends if (error := end.exception()) is not None]
        assert [type(error) for error in errors] == [Locked] and "is in use by process" in str(errors[0])
        assert len(server.calls) == len(asked)
        with run_lock(files / "out"):
            code, _, err = run(*words(files, server))
        assert code == 2 and "is in use by process" in err and len(server.calls) == len(asked)


@pytest.mark.long
def test_eval_writes_no_key_that_a_server_echoes(tmp_path, monkeypatch):
    monkeypatch.setenv("MMHALLU_API_KEY", "sk-long-key ")
    with FaultyServer([echo(good), echo(lambda said: status(400, message=said))] * 9) as server:
        given = ["--server", server.url, "--model", "m", "--out", tmp_path, "--limit", 4]
        shown = [run("eval", "pope-diorama", *given, *more) for more in ([], ["--json"])]
        assert {call.headers["authorization"] for call in server.calls} == {"Bearer sk-long-key"}
    kept = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.is_file()}
    assert "[key]" in kept["errors.jsonl"] and "[key]" in kept["answers.jsonl"]
    assert not any("sk-long-key" in one for one in [*kept.values(), str(shown)])
