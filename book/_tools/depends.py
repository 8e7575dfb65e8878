"""What a page's output depends on: which files of the library, which records, which settings.

jupyter-cache knows the cells of a page and nothing beneath them. This file follows the imports: from the cells to the
modules of `mmhallu_core`, from these to the next, wherever in a file the import stands. Nothing is executed.

Besides modules count
* what a cell or a reached module names in a string: a checkpoint (`tiny-llava`), a folder of `results/` ("count-it/"),
  a data file beside the module (`sources.json`), a module that is started by its name ("mmhallu_core.tour");
* each file of the project that the page lists under "Files used", results most of all;
* for every page: constraints.txt, the environment variables `MMHALLU_*` and `LIVE`, and which downloaded data is here.

When in doubt a file counts: an execution too many costs seconds, one too few shows a wrong number.
"""

import ast
import hashlib
import os
import re
from functools import cache
from pathlib import Path

from myst_nb.core.read import read_myst_markdown_notebook

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "mmhallu_core"
HAS_CELLS = re.compile(r"^```\{code-cell\}", re.M)
BY_NAME = {"import_module", "iter_modules", "walk_packages"}  # a module with these may import any of its neighbours


def cells(page: Path) -> list[str]:
    """The code of a page's cells, as the book executes them."""
    notebook = read_myst_markdown_notebook(page.read_text(encoding="utf-8"))
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@cache
def parsed(code: str) -> ast.AST:
    """Code as a tree, without the lines that only a notebook knows (`%magic`, `!command`)."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.M))


def pages(book: Path) -> list[Path]:
    """The pages of a book that have cells; folders that begin with an underscore hold no pages."""
    found = [page for page in book.rglob("*.md") if not any(part[0] == "_" for part in page.relative_to(book).parts)]
    return sorted(page for page in found if HAS_CELLS.search(page.read_text(encoding="utf-8")))


@cache
def strings(tree: ast.AST) -> set[str]:
    """Every text in some code, the fixed pieces of f-strings and the docstrings included.

    A text that a path is extended by stands here with a slash, too: `folder / "count-it"` names "count-it/".
    """
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    divided = [node.right for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)]
    return texts | {f"{node.value}/" for node in divided if isinstance(node, ast.Constant)}


@cache
def imports(tree: ast.AST, package: str) -> set[str]:
    """The dotted names under the library that some code may import.

    Args:
        tree: parsed code.
        package: the package in which it stands ("" for a cell), for relative imports.
    """
    names = {text for text in strings(tree) if re.fullmatch(rf"{LIBRARY}(\.\w+)*", text)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == LIBRARY}


@cache
def public(root: Path) -> dict[str, str]:
    """The names that the library's own `__init__` loads when they are asked for, and the modules that have them."""
    tree = parsed((root / LIBRARY / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PUBLIC":
            return ast.literal_eval(node.value)
    return {}


@cache
def imports_by_name(tree: ast.AST) -> bool:
    """Whether some code imports modules by names that it makes at run time."""
    return not BY_NAME.isdisjoint(getattr(node, key, "") for node in ast.walk(tree) for key in ("id", "attr", "name"))


def modules(name: str, root: Path) -> list[Path]:
    """The files that importing a dotted name executes: each package on the way, then the module.

    The last part may be a function; then the file it stands in is the last one.
    """
    files, folder = [], root
    first, _, rest = name.partition(".")
    for part in (first, *public(root).get(rest, rest).split(".")):
        if (folder / part / "__init__.py").is_file():
            folder = folder / part
            files.append(folder / "__init__.py")
        elif (folder / f"{part}.py").is_file():
            return [*files, folder / f"{part}.py"]
        else:
            break
    if files and (main := files[-1].with_name("__main__.py")).is_file():
        files.append(main)  # `python -m package`
    return files


def next_modules(file: Path, root: Path) -> set[Path]:
    """The files that one module of the library may import."""
    tree = parsed(file.read_text(encoding="utf-8"))
    package = ".".join(file.relative_to(root).parent.parts)
    following = {path for name in imports(tree, package) for path in modules(name, root)}
    any_neighbour = imports_by_name(tree) and file != root / LIBRARY / "__init__.py"  # whose names `public` knows
    return following | set(file.parent.rglob("*.py")) if any_neighbour else following


def reached(page: Path, root: Path = ROOT) -> set[Path]:
    """All files of the project that a page's output depends on, other than the page and constraints.txt."""
    codes = cells(page)
    trees = [parsed(code) for code in codes]
    waiting = {file for tree in trees for name in imports(tree, "") for file in modules(name, root)}
    if any(re.search(r"^\s*!.*\bmmhallu\b", code, re.M) for code in codes):
        waiting |= set(modules(f"{LIBRARY}.cli", root))
    found: set[Path] = set()
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= next_modules(file, root) - found
    trees += [parsed(file.read_text(encoding="utf-8")) for file in found]
    texts = set().union(*map(strings, trees))
    return found | _named(texts, {file.parent for file in found}, root) | _listed(page, root)


def _named(texts: set[str], folders: set[Path], root: Path) -> set[Path]:
    """Checkpoints, records and data files that the texts name."""
    every = "\n".join(texts)
    named: set[Path] = set()
    for folder in (root / LIBRARY / "checkpoints").glob("*"):
        if re.search(rf"(?<![\w-]){re.escape(folder.name)}(?![\w-])", every):
            named |= {file for file in folder.rglob("*") if file.is_file()}
    for study in (root / "results").glob("*"):
        whole = f"{study.name}/" in every
        records = (record for record in (study, *study.rglob("*")) if record.is_file())
        named |= {record for record in records if whole or record.name in texts}
    for folder in folders:
        named |= {file for file in folder.glob("*") if file.is_file() and file.suffix != ".py" and file.name in texts}
    return named


def _listed(page: Path, root: Path) -> set[Path]:
    """The files that the page lists under "Files used" and that no import leads to: those outside the library."""
    section = re.search(r"^## Files used$(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.M | re.S)
    names = re.findall(r"`([\w./-]+)`", section.group(1)) if section else []
    paths = [root / name for name in names if not name.endswith(".py") or not name.startswith(f"{LIBRARY}/")]
    files = {path for path in paths if path.is_file()}
    return files.union(*({file for file in path.rglob("*") if file.is_file()} for path in paths if path.is_dir()))


def settings(root: Path = ROOT) -> str:
    """What every page depends on: the pinned packages, the environment variables, the names and sizes of the data."""
    pins = root / "constraints.txt"
    lines = [hashlib.sha256(pins.read_bytes()).hexdigest() if pins.is_file() else "no pins"]
    lines += [f"{name}={value}" for name, value in sorted(os.environ.items()) if re.match(r"MMHALLU_|LIVE$", name)]
    from mmhallu_core.store import data_folder

    folder = data_folder()
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if file.is_file():
            facts = file.stat()
            lines.append(f"{file.relative_to(folder).as_posix()} {facts.st_size} {facts.st_mtime_ns}")
    return "\n".join(lines)


def fingerprints(book: Path, root: Path = ROOT) -> dict[str, str]:
    """For each page with cells, by its path in the book: a hash of all that its output depends on but its own text."""
    common, known, prints = settings(root), {}, {}
    for page in pages(book):
        digest = hashlib.sha256(common.encode())
        for file in sorted(reached(page, root)):
            if file not in known:
                known[file] = hashlib.sha256(file.read_bytes()).digest()
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + known[file])
        prints[page.relative_to(book).as_posix()] = digest.hexdigest()
    return prints
