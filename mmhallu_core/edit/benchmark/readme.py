"""The page that lies beside a written benchmark: what it is, how it was checked, how to use it."""

from typing import Any

from mmhallu_core.evaluate.audit import apart


def readme(manifest: dict[str, Any]) -> str:
    """The text of README.md, made from the manifest."""
    found, name = manifest["audit"], manifest["name"]
    own, key = ([f"| {rule} | {100 * score:.1f} |" for rule, score in some.items()] for some in apart(found))
    categories = [f"| {category} | {count} |" for category, count in manifest["categories"].items()]
    source = ", ".join(f"{key} {value}" for key, value in manifest["source"].items())
    task = name.replace("-", "_")
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{manifest['questions']} questions about two pictures that differ in one thing. Made from: {source}.",
            "",
            "| category | questions |",
            "|---|---|",
            *categories,
            "",
            "## What can be scored without the pictures",
            "",
            f"Guessing gives {100 * found['chance']:.1f}%. The folder is not written when a rule beats that by more",
            "than five points.",
            "",
            "| rule that sees no picture | right, % |",
            "|---|---|",
            *own,
            "",
            "Apart, because it reads right answers of the file:",
            "",
            "| rule | right, % |",
            "|---|---|",
            *key,
            "",
            "## Use",
            "",
            "Each line of `items.jsonl` is one question: `prompt` is the whole text that a model gets, `images` are",
            "its pictures in their order, `truth` is the right letter, and `about.back` the letter that is right when",
            "the pictures are swapped, where there is one.",
            "",
            "```",
            "mmhallu eval med-tiny --questions items.jsonl --model MODEL --out RUN",
            "mmhallu audit items.jsonl",
            "```",
            "",
            "As a task of lmms-eval (not needed for the above, and not installed with it), from inside this folder:",
            "",
            "```",
            f"python -m lmms_eval --include_path lmms_eval --tasks {task} --model NAME --model_args pretrained=MODEL",
            "```",
            "",
            "The metrics there are the official rule's (an answer without `Answer:` counts as a guess) and the strict",
            "rule's; `manifest.json` has the hashes of all files.",
            "",
        ]
    )
