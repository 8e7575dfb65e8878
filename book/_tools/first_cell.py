# Set-up. Where mmhallu is installed, this does nothing. Elsewhere, as in
# Colab, it installs mmhallu, and leaves the torch that is there untouched.
import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

SOURCE = ""  # from where: "git+https://...", a folder, a .whl file


def install(source):
    """Installs mmhallu by pip, without replacing torch."""
    here = Path.cwd()
    clones = [up for up in (here, *here.parents) if (up / "mmhallu_core").is_dir()]
    found = [source, *clones[:1], *sorted(here.glob("mmhallu-*.whl"))]
    found = [str(place) for place in found if str(place)]
    if not found:
        raise ModuleNotFoundError(
            "mmhallu is not installed. Write into SOURCE, above, where to get"
            " it, or lay its .whl file beside this notebook. Then run again."
        )
    kept = []
    for name in ("torch", "torchvision"):
        if importlib.util.find_spec(name):
            kept.append(f"{name}=={importlib.metadata.version(name)}")
    command = [sys.executable, "-m", "pip", "install", "--quiet"]
    command += [found[0], "ipywidgets", *kept]
    print("Running:", *command)
    if subprocess.run(command).returncode:
        raise RuntimeError(
            "pip could not install mmhallu beside what is here, and nothing"
            f" was replaced: {', '.join(kept)}. Its last lines say why."
        )


if importlib.util.find_spec("mmhallu_core"):
    print("mmhallu is installed: nothing to do.")
else:
    install(SOURCE)
