"""`mmhallu judge BENCH`: a judge's verdicts on free answers, by a model behind a server or in this process."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmhallu_core.cli.base import MOST, MOST_WORKERS, AsJson, app, command, emit, table
from mmhallu_core.cli.score import AnswerKey
from mmhallu_core.types import CannotRun


@command(app, "judge")
def judge(
    bench: Annotated[str, typer.Argument(metavar="BENCH", help="blink, hallusionbench, mmhal or mmvp.")],
    answers: Annotated[Path, typer.Option(help="Answers with the questions' ids.")],
    model: Annotated[str, typer.Option(help="The judge: the server's name for it, or a model to load here.")],
    out: Annotated[Path, typer.Option(help="Folder for verdicts.jsonl, judged.jsonl and the journal.")],
    server: Annotated[
        str, typer.Option(help="Address, such as http://127.0.0.1:8000/v1; its key in MMHALLU_API_KEY.")
    ] = "",
    questions: Annotated[Path | None, typer.Option(help="The benchmark's published file.")] = None,
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
    from mmhallu_core.evaluate.answer_files import answers_of
    from mmhallu_core.evaluate.benchmark import score
    from mmhallu_core.evaluate.diorama import benchmark
    from mmhallu_core.evaluate.served import VERDICTS, judge_answers

    for_servers = {
        "--calls": calls,
        "--tokens": tokens,
        "--seconds": seconds,
        "--no-temperature": no_temperature or None,
    }
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
