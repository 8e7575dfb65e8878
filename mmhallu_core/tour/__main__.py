"""For maintainers: `python -m mmhallu_core.tour --train-adapter` trains the adapter that the package ships."""

import argparse
from pathlib import Path

from mmhallu_core.tour.run import ADAPTER, train_adapter

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train-adapter", action="store_true", required=True, help="train it and write it to --out")
    parser.add_argument("--out", type=Path, default=ADAPTER, help="folder for the adapter (the package's own)")
    record = train_adapter(parser.parse_args().out)
    print(f"{record['steps']} steps in {record['seconds']:.0f} s; loss {record['loss']}")
