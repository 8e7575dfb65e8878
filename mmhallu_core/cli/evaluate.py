"""`mmhallu audit`, `eval`, `judge` and `new benchmark`: measuring, by the rules of `evaluate/`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mmhallu_core.cli.base import MOST, MOST_WORKERS, AsJson, app, command, emit, only, table
from mmhallu_core.cli.models import Fit, KeepGeneration, settings
from mmhallu_core.cli.score import AnswerKey, Questions, shown, warn_of_silence
from mmhallu_core.types import CannotRun

new = typer.Typer(no_args_is_help=True, help="Write the skeleton of something new.")
app.add_typer(new, name="new")

MAX_NEW_TOKENS = 120
BY = {"likelihood": "sum", "likelihood-mean": "mean"}  # of the tokens of an option, see `evaluate.likelihood`


@command(app, "audit")
def audit(
    what: Annotated[str, typer.Argument(metavar="BENCH|FILE", help="A benchmark, or a file of questions.")],
    questions: Questions = None,
    model: Annotated[str, typer.Option(help="Also ask this model, with a blank picture.")] = "",
    as_json: AsJson = False,
) -> None:
    """Blind baselines: what can be scored without looking at the picture."""
    from mmhallu_core.evaluate.audit import apart
    from mmhallu_core.evaluate.audit import audit as audit_questions
    from mmhallu_core.evaluate.diorama import benchmark
    from mmhallu_core.evaluate.files import read_any

    a_file = os.path.isfile(what)
    if a_file and questions is not None:
        raise CannotRun(f"{what} is a file of questions already: leave out --questions, or name a benchmark before it")
    asked = read_any(Path(what)) if a_file else benchmark(what).read(questions)
    vlm = None
    if model:
        from mmhallu_core.models.vlm import Vlm

        vlm = Vlm.load(model)
    result = audit_questions(asked, vlm)
    lines = [f"{what}, {result['n']} questions; guessing gives {100 * result['chance']:.1f}%; 95% intervals"]
    own, key = apart(result)
    lines.append(table(own, result["ci"], tuple(own)))
    lines += ["apart, because it reads right answers of the file:", table(key, result["ci"], tuple(key))]
    lines += [f"  {number} {what}" for what, number in result.get("contradictions", {}).items()]
    if "no_image" in result:
        lines.append(f"  {model} with a blank picture: {100 * result['no_image']['accuracy']:.1f}%")
    emit(result, as_json, "\n".join(lines))


@command(app, "eval")
def evaluate(
    bench: Annotated[str, typer.Argument(metavar="BENCH", help="A benchmark, such as pope-diorama.")],
    out: Annotated[Path, typer.Option(help="Folder for answers.jsonl, the journal, and result.json.")],
    model: Annotated[
        str, typer.Option(help="A shipped model, a folder, or a hub id; the profile's if not given.")
    ] = "",
    profile: Annotated[str, typer.Option(help="tiny, small or full; MMHALLU_PROFILE if not given.")] = "",
    server: Annotated[str, typer.Option(help="Ask a server: its address; --model is its name for the model.")] = "",
    calls: Annotated[int | None, typer.Option(min=0, max=MOST, help="Calls to the server at most in this run.")] = None,
    questions: Questions = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the benchmark's pictures.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=MOST, help="Ask only the first N questions.")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Batch size; 48 or 16 by --by; halved when memory runs out."),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Maximum new tokens of an answer; 120 if not given.")
    ] = None,
    by: Annotated[
        Literal["letter", "likelihood", "likelihood-mean"],
        typer.Option(help="letter: what it writes. likelihood, likelihood-mean: the option that it finds likeliest."),
    ] = "letter",
    keep_generation_config: KeepGeneration = False,
    decode: Annotated[
        Literal["greedy", "vcd", "pai", "amplify", "no-picture", "yes-bias", "cut"],
        typer.Option(help="How it writes: plain greedy search, or a repair without training or its control."),
    ] = "greedy",
    strength: Annotated[
        float | None,
        typer.Option(
            min=-100, max=100, help="The main number of --decode, such as VCD's alpha; else the released one."
        ),
    ] = None,
    fit: Fit = "processor",
    as_json: AsJson = False,
) -> None:
    """Run a model on a benchmark and score what it says. Call it again to go on after a stop."""
    import json
    import time

    from mmhallu_core.data.answers import read_answers
    from mmhallu_core.data.question import in_folder
    from mmhallu_core.evaluate.benchmark import score as score_answers
    from mmhallu_core.evaluate.diorama import benchmark

    if server and by != "letter":
        raise CannotRun("a server does not tell how likely it finds an option; use --by letter")
    if server and not model:
        raise CannotRun("--server needs --model, the server's name for the model")
    only("--calls", calls, bool(server), "with --server")
    only("--batch-size", batch_size, not server, "for a model in this process; a server makes batches of its own")
    only("--max-new-tokens", max_new_tokens, by == "letter", "with --by letter: a likelihood writes no answer")
    only("--profile", profile or None, not model, "without --model: it is a profile's name for a model")
    only("--keep-generation-config", keep_generation_config or None, by == "letter" and not server,
         "with --by letter, and for a model in this process: it is about what that one writes")  # fmt: skip
    writes_greedily = by == "letter" and not server and not keep_generation_config
    only("--decode", None if decode == "greedy" else decode, writes_greedily,
         "with --by letter, for a model in this process, and without --keep-generation-config")  # fmt: skip
    only("--strength", strength, decode != "greedy", "with --decode: plain greedy search has no number")
    only("--fit", None if fit == "processor" else fit, not server,
         "for a model in this process: how a server fits a picture is not known")  # fmt: skip
    began, one = time.monotonic(), benchmark(bench)
    everything = one.read(questions)
    only("--images", images, any(isinstance(picture, str) for q in everything for picture in q.images),
         f"for pictures that are files; those of {bench} are not")  # fmt: skip
    everything = in_folder(everything, images)
    asked, rest = everything[:limit], everything[limit or len(everything) :]
    asked = asked if one.draw is None else [one.draw(question) for question in asked]
    tokens, about = max_new_tokens or MAX_NEW_TOKENS, {"benchmark": bench}
    if server:
        from mmhallu_core.clients.budget import Budget
        from mmhallu_core.clients.openai_client import OpenAiClient
        from mmhallu_core.evaluate.served import ask_questions

        client = OpenAiClient(server, model, budget=Budget(calls))
        ran = ask_questions(asked, client, out, tokens, about=about, progress="answers")
        ran["seconds"] = time.monotonic() - began
    else:
        from mmhallu_core.config import profile as profile_named
        from mmhallu_core.evaluate.likelihood import run_likelihood
        from mmhallu_core.evaluate.runner import processes, run
        from mmhallu_core.methods.baselines import decoding
        from mmhallu_core.models.vlm import Vlm

        workers = processes()  # before the model is loaded, so that each process takes its own GPU
        vlm = Vlm.load(model or profile_named(profile or None).model)
        vlm.keep_generation_config, vlm.decoding = keep_generation_config, decoding(decode, strength)
        if by == "letter":
            ran = run(asked, vlm, out, batch_size or 48, tokens, about=about, fit=fit)
            ran["generation"] = vlm.generation
        else:
            ran = run_likelihood(asked, vlm, out, BY[by], batch_size or 16, about=about, fit=fit)
        if not workers.is_main_process:  # of several processes one scores
            return
        model = vlm.name
    if ran["errors"] == len(asked):
        raise CannotRun(f"none of the {len(asked)} questions could be asked; {out / 'errors.jsonl'} says why")
    answers = read_answers(out / "answers.jsonl")
    scored = score_answers(one, [*asked, *rest], answers, subset=ran["errors"] > 0 or bool(rest))
    result = {"model": model, **scored, **ran}
    warn_of_silence(scored["empty_answers"], scored["n"])
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    wrong = f"{ran['errors']} questions could not be asked; {out / 'errors.jsonl'} says why.\n" if ran["errors"] else ""
    if drawn := ran.get("without_temperature"):
        wrong += f"The server takes no temperature 0: {drawn} answers are drawn, and may differ another time.\n"
    wrong += _seen(ran)
    emit(result, as_json, f"{model}: {ran['seconds']:.0f} s\n{wrong}{shown(result)}{settings(ran.get('generation'))}")
    if ran["errors"]:
        raise typer.Exit(1)


def _seen(ran: dict[str, Any]) -> str:
    """Lines about what of the pictures the model saw, where that is not all that the files hold."""
    cut, lines = ran.get("cut", {"questions": 0}), ran.get("picture_notes", {})
    said = [f"{count} questions, about a picture of theirs: {note}.\n" for note, count in lines.items()]
    if cut["questions"]:
        most = f"up to {cut['largest']:.0%} of it"
        said.append(f"{cut['questions']} questions: their picture's edges were cut off, {most}. --fit pad shows all.\n")
    return "".join(said)


@command(app, "judge")
def judge(
    bench: Annotated[str, typer.Argument(metavar="BENCH", help="blink, hallusionbench, mmhal or mmvp.")],
    answers: Annotated[Path, typer.Option(help="Answers with the questions' ids.")],
    model: Annotated[str, typer.Option(help="The judge: the server's name for it, or a model to load here.")],
    out: Annotated[Path, typer.Option(help="Folder for verdicts.jsonl, judged.jsonl and the journal.")],
    server: Annotated[
        str, typer.Option(help="Address, such as http://127.0.0.1:8000/v1; its key in MMHALLU_API_KEY.")
    ] = "",
    questions: Questions = None,
    subset: Annotated[bool, typer.Option("--subset", help="Judge the questions that have an answer.")] = False,
    answer_key: AnswerKey = None,
    calls: Annotated[int | None, typer.Option(min=0, max=MOST, help="Calls to make at most in this run.")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, max=MOST, help="Tokens to use at most in this run.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, max=MOST, help="Time to take at most in this run.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=MOST_WORKERS, help="Calls in flight at a time.")] = 4,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Maximum tokens of a reply; a judge that thinks first needs thousands."),
    ] = None,
    limit_field: Annotated[
        Literal["max_tokens", "max_completion_tokens"], typer.Option(help="The server's name for that limit.")
    ] = "max_tokens",
    no_temperature: Annotated[
        bool, typer.Option("--no-temperature", help="Send no temperature, to a server that refuses 0.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have a judge grade free answers. Call it again to go on after a stop: nothing is asked twice.

    A server's first refusal of `max_tokens` or of temperature 0 is understood without the two options.
    """
    from mmhallu_core.clients.budget import Budget
    from mmhallu_core.clients.journaled import WITHOUT_TEMPERATURE
    from mmhallu_core.clients.judge import JUDGES
    from mmhallu_core.data.answers import read_answers
    from mmhallu_core.evaluate.benchmark import score
    from mmhallu_core.evaluate.diorama import benchmark
    from mmhallu_core.evaluate.files import answers_of
    from mmhallu_core.evaluate.served import VERDICTS, judge_answers

    for_servers = {"--calls": calls, "--tokens": tokens, "--seconds": seconds}
    for_servers |= {"--no-temperature": no_temperature or None}
    for_servers |= {"--limit-field": None if limit_field == "max_tokens" else limit_field}
    given = [name for name, value in for_servers.items() if value is not None]
    if given and not server:
        raise CannotRun(f"{', '.join(given)}: only with --server; a model in this process costs nothing")
    one = benchmark(bench)
    asked = one.read(questions)
    said = answers_of(one, asked, answers, answer_key)
    if server:
        from mmhallu_core.clients.openai_client import OpenAiClient

        client = OpenAiClient(server, model, budget=Budget(calls, tokens, seconds), limit_field=limit_field)
    else:
        from mmhallu_core.clients.local import LocalClient
        from mmhallu_core.models.vlm import Vlm

        client = LocalClient(Vlm.load(model))
    job = JUDGES.get(one.judge or "")
    if job is not None:
        temperature = None if no_temperature else job.temperature
        job = replace(job, max_tokens=max_tokens or job.max_tokens, temperature=temperature)
    progress = None if as_json else "judge"
    result = {"benchmark": bench, "judge": model}
    result |= judge_answers(one, asked, said, client, out, subset, workers, progress, job)
    unread = sum(result["reasons"].values())
    lines = [f"{result['judged']} verdicts by {model}, {unread} without one ({out / 'judged.jsonl'} says why)"]
    if without := result.get(WITHOUT_TEMPERATURE):
        lines.append(f"The server takes no temperature 0: {without} replies are drawn, and may differ another time.")
    if not unread:
        verdicts = read_answers(out / VERDICTS) if result["judged"] else []  # its official rule may need none
        scored = score(one, asked, said, verdicts, subset)
        result["official"] = scored["official"]
        lines.append(table(scored["official"]))
    emit(result, as_json, "\n".join(lines))
    if unread:
        raise typer.Exit(1)


@command(new, "benchmark")
def new_benchmark(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and hyphens.")],
    out: Annotated[Path, typer.Option(help="Root of a clone of the repository.")] = Path("."),
    as_json: AsJson = False,
) -> None:
    """Write the two files of a new benchmark: the benchmark, and its test. Both run at once; edit what says EDIT."""
    from mmhallu_core.evaluate.new_benchmark import write_skeleton

    written = [str(path) for path in write_skeleton(name, out)]
    emit({"files": written}, as_json, "\n".join(["Edit what says EDIT:", *written]))
