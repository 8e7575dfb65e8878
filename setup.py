"""What pyproject.toml cannot say: a wheel carries results/ inside the package, for `store.results_folder` to find."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithResults(build_py):
    """Copies the package, then the recorded results into it; an editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "mmhallu_core" / "results"
            shutil.copytree(Path(__file__).parent / "results", target, dirs_exist_ok=True)


setup(cmdclass={"build_py": WithResults})
