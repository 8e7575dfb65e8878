"""One way to round, so that a command gives the same weights on another processor.

A sum of floating-point numbers depends on the order in which it is added up. torch adds in the order that suits the
processor: wider instructions take more numbers at once, and more threads cut a sum into more parts. The last digit
differs, and training makes much of little: after some thousand steps two such runs are two models of one recipe, as
far apart as two seeds (`results/tiny-llava/rebuild.json`).
"""

import os

import torch

# Each of the three libraries that torch reckons with is told by its own name, and listens before its first sum only.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
THREADS = 2


def round_alike() -> None:
    """Makes this process reckon with AVX2, which nearly every x86-64 processor has, and with two threads.

    To be called before torch's first sum, so by a command and not by a library function. What the user has set in the
    environment stays (those of `AVX2`, and OMP_NUM_THREADS). Processors without AVX2 are left as they are; so is a GPU,
    which rounds in its own way.
    """
    if torch.cpu.get_capabilities().get("avx2"):
        for name, value in AVX2.items():
            os.environ.setdefault(name, value)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(THREADS)


def rounding() -> str:
    """How this process rounds, for a record: its threads and instructions."""
    return f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
