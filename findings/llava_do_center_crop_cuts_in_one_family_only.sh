#!/usr/bin/env bash
# transformers: the image processors of LLaVA-1.5 and of LLaVA-NeXT both say `do_center_crop` True, with one size for the
# short side and the crop. LLaVA-NeXT inherits the setting from CLIP as LLaVA-1.5 does.
#
# Expected: the same word does the same in both. Either both cut a square out of the middle of a wide picture, or, as
# the authors of both models had it, neither does (LLaVA-1.5 was trained on pictures that were padded to a square).
# Seen: LLaVA-1.5's cuts. Of a picture twice as wide as high the outer quarters move no number that the model reads. In
# LLaVA-NeXT's the word does nothing: what it crops has been made square before, and every pixel counts. For LLaVA-1.5
# the authors' way is `do_pad=True`, which is off.
#
# So the setting does not tell whether a model sees a whole picture; painting the edges and looking does.
# Ends with 1 when the package behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check transformers==5.23.0 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import sys

import numpy as np
import transformers
from PIL import Image
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil as Llava
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil as LlavaNext

draw = np.random.default_rng(0)
picture = draw.integers(0, 256, (300, 600, 3), dtype=np.uint8)  # twice as wide as high
other = picture.copy()
other[:, :140], other[:, -140:] = 0, 255  # nearly all of the outer quarters


def read(processor, pixels):
    return np.asarray(processor(images=Image.fromarray(pixels), return_tensors="np")["pixel_values"])


print("transformers", transformers.__version__)
same = True
for name, processor, seen in (
    ("LLaVA-1.5", Llava(), False),
    ("LLaVA-1.5 with do_pad=True", Llava(do_pad=True), True),
    ("LLaVA-NeXT", LlavaNext(), True),
    ("LLaVA-NeXT, its first view alone", LlavaNext(), True),
):
    before, after = read(processor, picture), read(processor, other)
    if name.endswith("alone"):
        before, after = before[0, 0], after[0, 0]
    found = not np.array_equal(before, after)
    print(f"  {name}: do_center_crop {processor.do_center_crop}, sees the outer quarters: {found}")
    same = same and found == seen and processor.do_center_crop is True
print("as found" if same else "this has changed")
sys.exit(0 if same else 1)
PYTHON
