"""A written benchmark as a task of lmms-eval: one YAML file, and the functions that it names.

The harness finds tasks in any folder given with `--include_path`. It reads the questions with `datasets` from
`items.jsonl`, calls the functions of `utils.py` for pictures, prompt and score, and averages. `utils.py` is
`lmms_utils.py`, copied as it stands: it needs nothing of this library.

Checked by hand with lmms-eval 0.7.3, from inside the benchmark's folder:

    python -m lmms_eval --model llava_hf --model_args pretrained=FOLDER,device_map=cpu,dtype=float32
        --tasks med_tiny --include_path lmms_eval --batch_size 1 --device cpu
"""

from pathlib import Path

FOLDER = "lmms_eval"
METRICS = ("macro_accuracy", "accuracy", "strict_macro_accuracy", "strict_accuracy", "unparsed")
NEW_TOKENS = 16


def task_yaml(name: str) -> str:
    """The task's configuration; lmms-eval's own `!function` marks stay, which plain YAML readers do not know."""
    task = name.replace("-", "_")
    lines = [
        "# Run lmms-eval from inside the benchmark's folder: the data file is looked for there.",
        f"task: {task}",
        "dataset_path: json",
        "dataset_kwargs:",
        "  data_files:",
        "    test: items.jsonl",
        "test_split: test",
        "output_type: generate_until",
        "doc_to_visual: !function utils.doc_to_visual",
        "doc_to_text: !function utils.doc_to_text",
        "doc_to_messages: !function utils.doc_to_messages",
        "doc_to_target: truth",
        "generation_kwargs:",
        f"  max_new_tokens: {NEW_TOKENS}",
        "  temperature: 0",
        "  do_sample: false",
        "process_results: !function utils.process_results",
        "metric_list:",
    ]
    for metric in METRICS:
        mean = "mean_of_categories" if metric.endswith("macro_accuracy") else "mean"
        better = str(metric != "unparsed").lower()
        lines += [
            f"  - metric: {metric}",
            f"    aggregation: !function utils.{mean}",
            f"    higher_is_better: {better}",
        ]
    lines += ["metadata:", "  - version: 1.0"]
    return "\n".join(lines) + "\n"


def write_lmms_task(out: Path, name: str) -> None:
    """Writes `lmms_eval/NAME.yaml` and `lmms_eval/utils.py` beside a benchmark's `items.jsonl`."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.replace('-', '_')}.yaml").write_text(task_yaml(name), encoding="utf-8", newline="\n")
    source = Path(__file__).with_name("lmms_utils.py").read_text(encoding="utf-8")
    (folder / "utils.py").write_text(source, encoding="utf-8", newline="\n")
