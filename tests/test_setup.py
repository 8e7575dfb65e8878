"""The house itself: one truth for the environment, tasks.py, rules that every file keeps."""

import ast
import builtins
import functools
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import jaxtyping
import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mmhallu_core.train.collapse import alignment
from mmhallu_core.types import CannotRun

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "mmhallu_core"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
FILES = sorted(LIBRARY.rglob("*.py"))

# Data flows downward: a sub-package imports only from those before it.
SUBPACKAGES = (
    "types config store recorded statistics comparison power world data models clients train evaluate edit explain "
    "methods studies claims viz chapters tour doctor cli"
).split()


@pytest.fixture
def tasks(monkeypatch):
    """tasks.py as a module, pointed at the environment that runs the tests."""
    monkeypatch.syspath_prepend(str(ROOT))
    import tasks

    monkeypatch.setattr(tasks, "VENV", Path(sys.prefix))
    return tasks


# ---------------------------------------------------------------- one truth for the environment


def constraints() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def requirements(*extras: str) -> list[Requirement]:
    texts = list(PROJECT["dependencies"])
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def test_every_range_is_met_by_its_pin():
    pinned = constraints()
    for requirement in requirements(*PYPROJECT["tool"]["mmhallu"]["lock"]["extras"]):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} has no pin: run `python tasks.py lock`"
        assert version in requirement.specifier, f"{requirement} excludes {version}: run `python tasks.py lock`"


def test_held_packages_are_pinned_as_held():
    for text in PYPROJECT["tool"]["mmhallu"]["lock"]["pins"]:
        requirement = Requirement(text)
        assert constraints()[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("older", ["torch==2.11.0", "torchvision==0.26.0", "transformers==5.17.0"])
def test_ranges_admit_what_gpu_machines_carry(older):
    name, version = older.split("==")
    (requirement,) = [r for r in requirements() if r.name == name]
    assert version in requirement.specifier


def test_environment_yml_is_what_lock_writes(tasks):
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert text == tasks.environment_yml(), "run `python tasks.py lock`"
    assert yaml.safe_load(text)["dependencies"][-1] == {"pip": ["-c constraints.txt", "-e .[book,test]"]}


def test_supported_pythons_agree(tasks):
    oldest, newest = (".".join(map(str, version)) for version in (tasks.OLDEST, tasks.NEWEST))
    assert PROJECT["requires-python"] == f">={oldest},<3.{tasks.NEWEST[1] + 1}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {oldest}" in readme and newest in readme


def test_makefile_and_ci_use_the_commands_that_exist(tasks):
    targets = re.search(r"^TASKS = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M).group(1).split()
    for target in targets:
        assert callable(getattr(tasks, {"setup": "ready", "book": "build_book"}.get(target, target)))
        assert f"\n    {target} " in tasks.__doc__
    ci = ROOT / ".ci" / "run"
    used = re.findall(r"^(?: *)(?:make|python3 tasks\.py) ([\w-]+)", "\n".join(code_lines(ci)), re.M)
    assert used == ["book", "wheel-check", "book", "test"]
    assert all(f"\n    {name} " in tasks.__doc__ for name in used)
    if os.name == "posix":
        assert os.access(ci, os.X_OK)


def code_lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]


@pytest.mark.long
def test_every_import_of_the_library_is_declared():
    declared = {canonicalize_name(r.name) for r in requirements("book", "edit", "ray", "amber")} | {"mmhallu"}
    declared |= {"matplotlib-inline"}  # comes with ipykernel: style.py imports it inside a notebook only
    owners = packages_distributions()
    for path in FILES:
        for module in imported(path):
            top = module.split(".")[0]
            if top in sys.stdlib_module_names or top == "mmhallu_core":
                continue
            names = {canonicalize_name(name) for name in owners.get(top, [top])}
            assert names & declared, f"{path.relative_to(ROOT)} imports {top}, which pyproject.toml does not declare"


# ---------------------------------------------------------------- tasks.py


def test_an_unsupported_python_is_refused_with_advice(tasks, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11, 3\.12 or 3\.13, and this is Python 3\.10\.4"):
        tasks.require_python()


def test_tasks_uses_the_standard_library_alone():
    assert {name.split(".")[0] for name in imported(ROOT / "tasks.py")} <= set(sys.stdlib_module_names)


def test_wrong_commands_are_refused(tasks, capsys):
    assert tasks.main(["boook"]) == 2
    assert "no command 'boook'" in capsys.readouterr().err
    assert tasks.main(["book", "now"]) == 2
    assert "takes no arguments" in capsys.readouterr().err
    assert tasks.main([]) == 0
    assert "quick" in capsys.readouterr().out


def test_setup_installs_once_and_again_when_the_pins_change(tasks, monkeypatch, tmp_path, capsys):
    root, calls = tmp_path / "clone", []
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    monkeypatch.setattr(tasks, "ROOT", root)
    monkeypatch.setattr(tasks, "VENV", root / ".venv")
    monkeypatch.setattr(tasks, "STAMP", root / ".venv" / "mmhallu-setup.json")
    monkeypatch.setattr(tasks, "DISK_GB", 0)

    def create(folder, **options):
        tasks.installed("python").parent.mkdir(parents=True)
        tasks.installed("python").touch()

    monkeypatch.setattr(tasks.venv, "create", create)
    monkeypatch.setattr(tasks, "run", lambda *command, **environment: calls.append(command[-1]) or 0)
    tasks.setup()
    assert "GB to download" in capsys.readouterr().out
    tasks.setup()
    assert calls == [".[book,test]"]
    tasks.setup("lab")
    tasks.setup()
    assert calls[1:] == [".[book,lab,test]"]
    (root / "constraints.txt").write_text("numpy==2.0.0\n", encoding="utf-8")
    tasks.setup()
    assert calls[2:] == [".[book,lab,test]"]

    monkeypatch.setattr(tasks, "run", lambda *command, **environment: 1)
    (root / "constraints.txt").write_text("numpy==2.0.1\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="installation stopped"):
        tasks.setup()


# ---------------------------------------------------------------- config, the tests' own guards


def test_profiles(monkeypatch):
    from mmhallu_core.config import device, profile

    monkeypatch.delenv("MMHALLU_PROFILE", raising=False)
    assert profile().name == "tiny" and profile().needs == ""
    monkeypatch.setenv("MMHALLU_PROFILE", "small")
    assert profile().name == "small" and profile("full").name == "full"
    monkeypatch.setenv("MMHALLU_PROFILE", "huge")
    with pytest.raises(CannotRun, match="no profile 'huge'; set MMHALLU_PROFILE .*tiny, small, full"):
        profile()
    monkeypatch.setenv("MMHALLU_DEVICE", "cpu")
    assert device() == "cpu"
    for wrong in ("gpu", "cuda:x", "cpu:1"):
        with pytest.raises(CannotRun, match="device"):
            device(wrong)


def test_live_asks_for_the_named_run_again(monkeypatch):
    from mmhallu_core.config import live

    for value, asked in ((None, False), ("", False), ("0", False), ("1", True)):
        monkeypatch.delenv("LIVE", raising=False) if value is None else monkeypatch.setenv("LIVE", value)
        assert live() is asked


def test_the_network_is_closed_and_loopback_is_open():
    with pytest.raises(OSError, match="without a network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)  # an address reserved for documentation
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_importing_the_package_is_light():
    code = "import sys, mmhallu_core.config; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


# ---------------------------------------------------------------- rules that every file keeps


@functools.cache  # the rules below read the same files
def parsed(path: Path) -> tuple[ast.Module, list[ast.AST]]:
    """The syntax tree of a file, and all its nodes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tree, list(ast.walk(tree))


@functools.cache
def imported(path: Path) -> list[str]:
    """The dotted names of all modules that a file imports, at any depth; relative imports made absolute."""
    names = []
    for node in parsed(path)[1]:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).parts[: -node.level]
                base = ".".join([*package, base]).rstrip(".")
            # `from mmhallu_core import store` names a sub-package in its aliases.
            names += [f"{base}.{alias.name}" for alias in node.names] if base == "mmhallu_core" else [base]
    return names


def subpackage_of(path: Path) -> str:
    """The sub-package of a file, or the file itself where it lies at the top."""
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def test_subpackages_import_only_from_those_above_them():
    for path in FILES:
        subpackage = subpackage_of(path)
        if subpackage == "__init__":
            ours = [name for name in imported(path) if name.startswith("mmhallu_core")]
            assert not ours, "importing the package loads none of its files"
            continue
        assert subpackage in SUBPACKAGES, f"{subpackage} is not a sub-package of the library: {path}"
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "mmhallu_core" and len(parts) > 1 and parts[1] in SUBPACKAGES:
                above = SUBPACKAGES.index(parts[1]) <= SUBPACKAGES.index(subpackage)
                assert above, f"{path.relative_to(ROOT)} imports {name}, which lies below `{subpackage}`"


def test_no_circle_of_imports():
    """File by file, imports inside functions included."""
    module = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES}
    known, graph = set(module.values()), {}
    for path, name in module.items():
        found = set()
        for node in parsed(path)[1]:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (inside & known) or {node.module}
        graph[name] = found & known - {name}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            path.append(name)
            for other in sorted(graph[name]):
                visit(other)
            done.add(path.pop())

    for name in sorted(graph):
        visit(name)


def test_subpackages_are_listed_in_the_package_docstring():
    import mmhallu_core

    for name in {subpackage_of(path) for path in FILES} - {"__init__"}:
        assert re.search(rf"\b{name}\b", mmhallu_core.__doc__), f"mmhallu_core/__init__.py does not name `{name}`"


def test_every_name_is_made_somewhere_in_its_file():
    """ruff cannot tell a forgotten import from the axes of jaxtyping, which are texts: here only names count."""
    for path in FILES:
        nodes, made = parsed(path)[1], {*dir(builtins), "__file__", "__path__"}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs) and node.name:
                made.add(node.name)
            elif isinstance(node, ast.arg):
                made.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                made.add(node.id)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        assert names <= made, f"{path.relative_to(ROOT)} uses {sorted(names - made)}, and never makes it"


FORBIDDEN = {
    "pickle": re.compile(r"\b(c?pickle|dill|joblib|shelve|marshal)\b"),
    "torch.load": re.compile(r"\btorch\.load\b"),
    "trust_remote_code": re.compile(r"trust_remote_code(?!\": False)"),
    "unfinished": re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b"),
    "late annotations": re.compile(r"^from __future__ import annotations", re.M),
    "open without encoding": re.compile(r"\.(read|write)_text\((?!.*encoding)[^)]*\)(?!.*encoding)"),
    "numpy pickles": re.compile(r"allow_pickle\s*=\s*True"),
}


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_no_file_holds_what_the_house_forbids(rule):
    for path in FILES:
        found = FORBIDDEN[rule].search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(ROOT)} holds {found.group(0)!r}"


def test_files_are_short():
    lines = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in FILES}
    long = {name: count for name, count in lines.items() if count > 300}
    assert not long, "split these: one idea a file, at most 300 lines"


def test_everything_public_has_a_docstring():
    missing = []
    for path in FILES:
        tree, _ = parsed(path)
        public = [tree, *(node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)))]
        for node in list(public):
            if isinstance(node, ast.ClassDef):
                public += [child for child in node.body if isinstance(child, ast.FunctionDef)]
        for node in public:
            name = getattr(node, "name", "the module")
            if not name.startswith("_") and not ast.get_docstring(node):
                missing.append(f"{path.relative_to(ROOT)}: {name}")
    assert not missing


def test_broad_exceptions_are_not_swallowed():
    for path in FILES:
        for node in parsed(path)[1]:
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                raises = any(isinstance(child, ast.Raise) for child in ast.walk(node))
                broad = caught in ("everything", "Exception", "BaseException")
                assert raises or not broad, f"{path.relative_to(ROOT)}:{node.lineno} swallows {caught}"


def test_shapes_are_checked_while_tests_run(request):
    if request.config.getoption("--no-shape-checks"):
        pytest.skip("this run leaves shapes unchecked")
    rows, more = torch.zeros(2, 3), torch.zeros(3, 3)
    with pytest.raises(jaxtyping.TypeCheckError):
        alignment(rows, more)
