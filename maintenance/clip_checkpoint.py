"""From a finished tiny-clip run to the shipped checkpoint: measure it, record it, write its card.

`python -m maintenance.clip_checkpoint RUN` writes `results/tiny-clip/order.json` and the package's copy. The
bar was written down before the run: each area under the curve (AUC) at least 0.98. With `--rebuilt`, RUN is another run
of the same command: it is measured and recorded in `rebuild.json`, must meet the same bar, and ships nothing.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from maintenance.checkpoint_scores import clip_order
from mmhallu_core.models.tiny_clip import TinyClip
from mmhallu_core.recorded import write
from mmhallu_core.store import PACKAGE, sha256

BAR = 0.98
JUDGED = ("identical_over_edited", "edited_over_other")


def card(run: dict[str, Any], result: dict[str, Any], rebuilt: dict[str, Any] | None = None) -> str:
    """The model card, in Markdown; every number comes from the records."""
    order = result["order"]
    again = rebuilt["order"]["auc"] if rebuilt else {}
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {value:.4f} | {f'{again[name]:.4f}' if again else 'not run'} | "
        f"{'bar 0.98' if name in JUDGED else 'reported'} |"
        for name, value in order["auc"].items()
    )
    means = ", ".join(f"{name} {value:.3f}" for name, value in order["mean"].items())
    return f"""# tiny-clip

A CLIP of {run["parameters"] / 1e6:.2f} million parameters for Diorama, built with open_clip, reading tiny-llava's
tokens. It measures how alike two pictures are and how well a sentence fits one. Plain open_clip reads this folder,
model, preprocessing and tokenizer, as `local-dir:FOLDER`. Licence: Apache-2.0.

- Command: `{run["command"]}`
- Recipe: {", ".join(f"{key} {value}" for key, value in run["recipe"].items())}
- Time: {run["seconds"] / 60:.0f} minutes on {run["versions"]["machine"]}
- Versions: {", ".join(f"{key} {value}" for key, value in run["versions"].items() if key != "machine")}
- Weights sha256: `{result["weights_sha256"]}`

## Which pair is more alike? ({order["n"]} micro-edits of held-out scenes, kind of evidence: diorama)

| area under the curve | shipped | rebuilt by the same command | |
|---|---|---|---|
{rows}

Mean similarity: {means}. *Redrawn* is the same scene drawn at twice the size and reduced; *other* is another scene.

Trained on true captions. Scenes keep company half as much as tiny-llava's do. It has no habit on purpose.
"""


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder that `mmhallu pretrain tiny-clip --out` wrote")
    parser.add_argument("--results", type=Path, default=Path("results/tiny-clip"))
    parser.add_argument("--rebuilt", action="store_true", help="another run of the command: record it, ship nothing")
    arguments = parser.parse_args()
    run = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))
    order = clip_order(TinyClip.load(arguments.run / "model"))
    result = {
        "kind": "diorama",
        "run": run,
        "order": order,
        "bar_met": all(order["auc"][name] >= BAR for name in JUDGED),
        "weights_sha256": sha256(arguments.run / "model" / "open_clip_model.safetensors"),
    }
    shipped, rebuilt = arguments.results / "order.json", arguments.results / "rebuild.json"
    write(result, rebuilt if arguments.rebuilt else shipped)
    folder = PACKAGE / "checkpoints" / "tiny-clip"
    if not arguments.rebuilt:
        shutil.copytree(arguments.run / "model", folder, dirs_exist_ok=True)
        shutil.copy(arguments.run / "run.json", folder / "run.json")
    again = json.loads(rebuilt.read_text(encoding="utf-8")) if rebuilt.is_file() else None
    first = json.loads(shipped.read_text(encoding="utf-8"))
    (folder / "README.md").write_text(card(first["run"], first, again), encoding="utf-8", newline="\n")
    print(json.dumps({"bar_met": result["bar_met"], **order["auc"]}, indent=2))


if __name__ == "__main__":
    main()
