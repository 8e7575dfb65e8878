"""`mmhallu score BENCH`: scores answers that anyone produced, by the official rule and by a strict one."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from mmhallu_core.cli.base import AsJson, app, command, emit, table, thoughts
from mmhallu_core.cli.errors import guarded


class Benchmarks(TyperGroup):
    """The commands of `score`: `chair` and `pope` below, whose options differ, and one for each other benchmark.

    Benchmarks are looked for when `score` needs their names: a new one is a file in `evaluate/benchmarks/` and
    nothing else, and `mmhallu --help` waits for none.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """See `click.Group.list_commands`."""
        guarded(self._find)(as_json="--json" in sys.argv)
        return sorted(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """See `click.Group.get_command`."""
        if cmd_name not in self.commands:
            self.list_commands(ctx)
        return self.commands.get(cmd_name)

    def _find(self, as_json: bool) -> None:
        from mmhallu_core.evaluate.diorama import names

        for name in set(names()) - set(self.commands):
            alone = typer.Typer(add_completion=False)
            command(alone, name)(_score(name))
            self.commands[name] = typer.main.get_command(alone)


score = typer.Typer(cls=Benchmarks, no_args_is_help=True, help="Score answers that anyone produced.")
app.add_typer(score, name="score")

Answers = Annotated[
    Path, typer.Option(help="Answers with ids: JSON list, JSON Lines, objects, or the authors' own result files.")
]
Questions = Annotated[Path | None, typer.Option(help="The benchmark's published file; the data folder's if not given.")]
Verdicts = Annotated[Path | None, typer.Option(help="A judge's verdicts by id, where the official rule needs them.")]
Subset = Annotated[bool, typer.Option("--subset", help="Score the questions that have an answer; print coverage.")]
ByPosition = Annotated[bool, typer.Option("--by-position", help="Join by order, for answers without ids.")]
Rules = Literal["2018", "fixed"]
AnswerKey = Annotated[str | None, typer.Option(help="Column of the answer, where a record has several texts.")]


def shown(result: dict[str, Any]) -> str:
    """A score as lines for a person."""
    about = f"{result['benchmark']}, {result['n']} questions"
    covered = "" if result["coverage"] == 1 else f" ({100 * result['coverage']:.1f}% of all)"
    lines = [f"{about}{covered}, 95% intervals over pictures", *_empty(result)]
    for rule in ("official", "strict"):
        if result[rule] is None:
            lines.append(f" {rule} rule: it reads a judge's verdicts; give them with --verdicts")
        else:
            shares = tuple(result["shares"][rule])
            lines += [f" {rule} rule", table(result[rule], result["ci"][rule], shares)]
            if waiting := result[rule].get("undecided"):
                lines.append(f"  {100 * waiting:.1f}% of the answers need a judge; give its verdicts with --verdicts")
    blind = ", ".join(f"{name} {value:.3f}" for name, value in result["blind"].items() if value is not None)
    lines.append(f" {result['headline']}: guessing gives {result['chance']:.3f}" + (f"; {blind}" if blind else ""))
    return "\n".join(lines) + thoughts(result)


def _empty(result: dict[str, Any]) -> list[str]:
    """A line about answers without a text, if there are any."""
    none, n = result["empty_answers"], result["n"]
    return [f" {none} of {n} answers are empty"] if none else []


def warn_of_silence(empty: int, n: int) -> None:
    """Says on standard error that no answer has a text: some published rules read an empty answer as a yes."""
    if empty == n:
        what = "No score below is about a model that said something"
        print(f"mmhallu: WARNING: all {n} answers are empty. {what}.", file=sys.stderr)


def _score(name: str):
    def run(
        answers: Answers,
        questions: Questions = None,
        verdicts: Verdicts = None,
        subset: Subset = False,
        by_position: ByPosition = False,
        answer_key: AnswerKey = None,
        as_json: AsJson = False,
    ) -> None:
        from mmhallu_core.evaluate.benchmark import score as score_answers
        from mmhallu_core.evaluate.diorama import benchmark
        from mmhallu_core.evaluate.files import answers_of, refuse_same_file, verdicts_of

        bench = benchmark(name)
        asked = bench.read(questions)
        refuse_same_file(questions, answers, answer_key)
        said = answers_of(bench, asked, answers, answer_key, by_position)
        judged = None if verdicts is None else verdicts_of(bench, asked, verdicts, by_position)
        result = score_answers(bench, asked, said, judged, subset, by_position)
        warn_of_silence(result["empty_answers"], result["n"])
        emit(result, as_json, shown(result))

    run.__doc__ = f"Score answers to {name}, by its official rule and by a strict one."
    return run


@command(score, "chair")
def score_chair_command(
    answers: Annotated[Path, typer.Option(help="Captions: JSON list, JSON Lines, objects, or CHAIR's own files.")],
    rules: Annotated[Rules, typer.Option(help="2018: as published. fixed: its mistakes repaired.")] = "2018",
    gt: Annotated[str, typer.Option(help="coco, or a JSON file: image id to objects.")] = "coco",
    answer_key: AnswerKey = None,
    as_json: AsJson = False,
) -> None:
    """CHAIR: how many of the objects that captions name are not in the picture."""
    from dataclasses import replace

    from mmhallu_core.data.answers import read_captions
    from mmhallu_core.data.vocabulary import coco_image_id, coco_objects, coco_vocabulary, read_truth
    from mmhallu_core.evaluate.chair import score_chair

    captions = read_captions(answers, answer_key)
    truth, vocabulary = (coco_objects(), None) if gt == "coco" else read_truth(gt)
    if gt == "coco":  # COCO's file names and padded numbers become its plain image numbers.
        captions = [replace(one, image_id=coco_image_id(one.image_id or one.id)) for one in captions]
    result = score_chair(captions, truth, vocabulary or coco_vocabulary(), rules)
    warn_of_silence(round(result["empty"] * result["n"]), result["n"])
    percent = ("chair_i", "chair_s", "recall", "empty")
    rows = {name: result[name] for name in ("n", "images", "chair_i", "chair_s", "recall", "mean_length", "empty")}
    text = f"CHAIR, rules {rules}, 95% intervals over pictures\n" + table(rows, result["ci"], percent)
    emit(result, as_json, text + thoughts(result))


@command(score, "pope")
def score_pope_command(
    questions: Annotated[Path, typer.Option(help="Questions with labels, as in POPE's own files.")],
    answers: Annotated[Path, typer.Option(help="Answers with the questions' ids.")],
    labels: Annotated[
        str, typer.Option(help="Score by other labels too: repope (its file beside the questions), or a file.")
    ] = "",
    by_position: ByPosition = False,
    answer_key: AnswerKey = None,
    as_json: AsJson = False,
) -> None:
    """POPE: yes/no questions about objects, by the official reading of an answer and by a strict one."""
    from mmhallu_core.data.answers import read_answers
    from mmhallu_core.data.pope import read_questions, relabelled, repope_file
    from mmhallu_core.evaluate.files import refuse_same_file
    from mmhallu_core.evaluate.pope import in_order, score_pope

    asked = read_questions(questions)
    refuse_same_file(questions, answers, answer_key)
    said = read_answers(answers, answer_key, by_position)
    said = in_order(asked, said) if by_position else said
    result = score_pope(asked, said)
    text = [f"POPE, {result['n']} questions about {result['images']} pictures, 95% intervals over pictures"]
    text += [*_empty(result), *_readings(result)]
    if labels:
        file = repope_file(questions) if labels == "repope" else Path(labels)
        again, change = relabelled(asked, read_questions(file))
        kept = {one.id for one in again}
        other = score_pope(again, [one for one in said if one.id in kept])
        result["labels"] = {"file": file.name, "coverage": len(again) / len(asked), **change, **other}
        changed, gone = (sum(change[name].values()) for name in ("changed", "left_out"))
        text.append(f"By the labels of {file.name}: {len(again)} questions; {changed} labels changed, {gone} left out")
        text += _readings(other)
    warn_of_silence(result["empty_answers"], result["n"])
    emit(result, as_json, "\n".join(text) + thoughts(result))


def _readings(result: dict[str, Any]) -> list[str]:
    """POPE's five scores by both readings, as lines."""
    lines = []
    for reading in ("official", "strict"):
        scores = result[reading]
        lines += [f" {reading} reading", table(scores, result["ci"][reading], tuple(scores))]
    return lines
