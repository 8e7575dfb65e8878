"""Repairs that need no training: they change how a model writes, and leave its weights alone.

- `contrast.py`: what they share: two branches of one batch, and how their logits are put together.
- `vcd.py`: the other branch sees a disturbed picture (VCD). `no_picture.py`: it sees none.
- `pai.py`: more attention to the picture (PAI's first half), and with the subtraction of its second (PAI).
- `controls.py`: what such repairs are said to come down to: a bias towards yes, and the plausibility cut alone.

    vlm.decoding = decoding("vcd")
    vlm.answer([picture], ["Describe the image."])

All of them choose greedily. What the released code of the two papers does is said beside each number, with file,
commit and date; no line of it is copied.
"""

from mmhallu_core.methods.baselines.contrast import Contrast
from mmhallu_core.methods.baselines.controls import Cut, YesBias
from mmhallu_core.methods.baselines.no_picture import NoPicture
from mmhallu_core.methods.baselines.pai import Amplify, Pai
from mmhallu_core.methods.baselines.vcd import Vcd
from mmhallu_core.models.greedy import Decoding
from mmhallu_core.types import CannotRun

__all__ = ["DECODINGS", "Amplify", "Contrast", "Cut", "NoPicture", "Pai", "Vcd", "YesBias", "decoding"]

# Name to the class and its main number, which `--strength` sets.
DECODINGS: dict[str, tuple[type[Decoding], str]] = {
    "vcd": (Vcd, "weight"),
    "no-picture": (NoPicture, "weight"),
    "amplify": (Amplify, "factor"),
    "pai": (Pai, "factor"),
    "yes-bias": (YesBias, "shift"),
    "cut": (Cut, "cut"),
}


def decoding(name: str, strength: float | None = None) -> Decoding:
    """A way to write by its name: "greedy" or one of DECODINGS.

    Args:
        name: which.
        strength: its main number; the released one when None.

    Raises:
        CannotRun: when there is none of that name, or the number is not one that it takes.
    """
    if name == "greedy" and strength is None:
        return Decoding()
    if name not in DECODINGS:
        raise CannotRun(f"no decoding {name!r} with a strength; there is {', '.join(DECODINGS)}, and greedy without")
    made, number = DECODINGS[name]
    return made() if strength is None else made(**{number: strength})
