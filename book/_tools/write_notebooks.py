"""Writes notebooks/NAME.ipynb and notebooks/solved/NAME.ipynb from book/chapters/NAME.md; `--check` only compares.

A notebook holds no output, and nothing in it depends on when or where it was written: the id of a cell is a hash of
what the cell says. Its first cell installs mmhallu where it is missing (`first_cell.py`). In notebooks/ the exercises
are open; in notebooks/solved/ each solution stands below its exercise.

Cells of an exercise carry its label (`metadata.exercise`) and their tag, so that a check can pick them out.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from nbformat import NotebookNode
from plain_markdown import Unknown, blocks, plain, split_options
from pybtex.database import Person, parse_file

ROOT = Path(__file__).resolve().parents[2]
FIRST_CELL = Path(__file__).with_name("first_cell.py")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ROLES = ("exercise", "solution")


class Links:
    """Where the links of one chapter lead from a folder of notebooks: to notebooks, and to the pages' source files.

    Args:
        page: the chapter.
        folder: where the notebook will stand.
        root: the repository.
    """

    def __init__(self, page: Path, folder: Path, root: Path) -> None:
        self.page, self.folder, self.book = page, folder, root / "book"
        self.labels = {}
        for other in self.book.rglob("*.md"):
            if not any(part[0] == "_" for part in other.relative_to(self.book).parts):
                text = other.read_text(encoding="utf-8")
                for label, heading in re.findall(r"^\(([\w-]+)\)=\n+#+ (.*)$", text, re.M):
                    self.labels[label] = (other, heading)
                title = re.search(r"^# (.*)$", text, re.M)
                self.labels[other.stem] = (other, title[1] if title else other.stem)
        bibliography = self.book / "references.bib"
        self.works = parse_file(str(bibliography)).entries if bibliography.is_file() else {}

    def target(self, target: str) -> str:
        """The target of a link as it works from the notebook.

        Raises:
            Unknown: when a page or a label is not in the book.
        """
        if re.match(r"\w+:", target):
            return target
        path, _, part = target.partition("#")
        if not path and part in self.labels:
            return self._to(*self.labels[part])
        if not path:
            return target
        found = (self.page.parent / path).resolve()
        if not found.exists():
            raise Unknown(f"a link leads to {target}, which is not there")
        return self._to(found, "")

    def named(self, role: str, text: str) -> str | None:
        """What stands for a role that refers to something: a link with the name of its target. None: not such a role.

        Raises:
            Unknown: when the target is not in the book.
        """
        if role.startswith("cite"):
            return ", ".join(self._work(key.strip()) for key in text.split(","))
        if role not in ("ref", "numref", "doc"):
            return None
        said, label = match.groups() if (match := re.fullmatch(r"(.*?)\s*<(.*)>", text)) else ("", text)
        label = Path(label).stem if role == "doc" else label
        if label not in self.labels:
            raise Unknown(f"the role {{{role}}} names {label}, which is not in the book")
        page, heading = self.labels[label]
        return f"[{said or heading}]({self._to(page, heading)})"

    def _to(self, page: Path, heading: str) -> str:
        if page == self.page and heading:
            return "#" + heading.replace(" ", "-")  # as JupyterLab names the anchors of headings
        if page.parent == self.page.parent and page.suffix == ".md":
            return f"{page.stem}.ipynb"
        return Path(os.path.relpath(page, self.folder)).as_posix()

    def _work(self, key: str) -> str:
        if key not in self.works:
            raise Unknown(f"{key} is not in references.bib")
        work = self.works[key]
        names = [" ".join(Person(str(one)).last_names) for one in work.persons.get("author", [])]
        names = [re.sub(r"[{}]", "", name) for name in names] or [work.fields.get("key", work.fields["title"])]
        said = f"{names[0]} and {names[1]}" if len(names) == 2 else names[0] + (" et al." if len(names) > 2 else "")
        address = work.fields.get("url")
        said = f"{said}, {work.fields['year']}"
        return f"[{said}]({address})" if address else said


def pieces(page: Path) -> Iterator[tuple[str, str, NotebookNode]]:
    """A chapter in pieces: (role, label of its exercise, cell); the role of what belongs to no exercise is "".

    Exercises and solutions are taken out of their directives here: what is left for `plain` are paragraphs and boxes.

    Raises:
        Unknown: for an exercise without a label, a solution without its exercise, or a cell in the wrong place.
    """
    label, role, number = "", "", 0
    for cell in read_myst_markdown_notebook(page.read_text(encoding="utf-8")).cells:
        if cell.cell_type == "code":
            tags = cell.metadata.get("tags", [])
            own = next((tag for tag in tags if tag in ROLES), "")
            if (own == "exercise" and (not label or role == "solution")) or (own == "solution") != (role == "solution"):
                raise Unknown(f"a cell has the tags {tags} and stands in another place: {cell.source.splitlines()[0]}")
            yield own, label if own else "", cell
            continue
        paragraphs: list[str] = []
        for name, title, body in blocks(cell.source):
            options, inside = split_options(body)
            if name not in ("exercise", "solution-start", "solution-end"):
                marks = ":" * (max([3, *map(len, re.findall("^:+", body, re.M))]) + 1)
                paragraphs.append(f"{marks}{{{name}}} {title}\n{body}\n{marks}" if name else body)
                continue
            if paragraphs:
                yield role, label if role else "", nbformat.v4.new_markdown_cell("\n\n".join(paragraphs))
                paragraphs = []
            if name == "exercise":
                label, number = options.get("label", ""), number + 1
                if not label:
                    raise Unknown("an exercise needs a :label:")
                heading = f"**Exercise {number}{f': {title}' if title else ''}**"
                yield "exercise", label, nbformat.v4.new_markdown_cell(f"{heading}\n\n{inside}")
            elif name == "solution-start" and title.strip() != label:
                raise Unknown(f"the solution {title} does not follow the exercise of that label")
            elif name == "solution-start":
                role = "solution"
                paragraphs = [f"**Solution of exercise {number}**"]
            else:
                label, role = "", ""
        if paragraphs:
            yield role, label if role else "", nbformat.v4.new_markdown_cell("\n\n".join(paragraphs))


def notebook(page: Path, solved: bool, root: Path = ROOT) -> NotebookNode:
    """The notebook of a chapter.

    Args:
        page: book/chapters/NAME.md.
        solved: with the solutions, or without.
        root: the repository.

    Raises:
        Unknown: when something in the chapter has no form in a notebook; the message names the chapter.
    """
    folder = root / "notebooks" / "solved" if solved else root / "notebooks"
    links = Links(page, folder, root)
    first = nbformat.v4.new_code_cell(FIRST_CELL.read_text(encoding="utf-8").strip())
    first.metadata["tags"] = ["install"]
    cells, hinted = [first], set()
    try:
        for role, label, cell in pieces(page):
            if role == "solution" and not solved:
                if label not in hinted:
                    hint = f"A solution is in [solved/{page.stem}.ipynb](solved/{page.stem}.ipynb)."
                    cells.append(nbformat.v4.new_markdown_cell(hint))
                hinted.add(label)
                continue
            made = nbformat.v4.new_code_cell(cell.source) if cell.cell_type == "code" else None
            made = made or nbformat.v4.new_markdown_cell(plain(cell.source, links.target, links.named))
            tags = cell.metadata.get("tags", [])
            made.metadata = nbformat.from_dict({"tags": tags} if tags else {})
            if role:
                made.metadata["exercise"] = label
            if made.source:
                cells.append(made)
    except Unknown as error:
        raise Unknown(f"{page.name}: {error}") from error
    seen: dict[str, int] = {}
    for cell in cells:
        content = f"{cell.cell_type}\n{cell.source}"
        seen[content] = seen.get(content, 0) + 1
        cell.id = hashlib.sha256(f"{seen[content]}\n{content}".encode()).hexdigest()[:12]
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata, nbformat_minor=5)


def everything(root: Path = ROOT) -> dict[Path, str]:
    """The text of every notebook, by its path."""
    made = {}
    for page in sorted((root / "book" / "chapters").glob("*.md")):
        for folder, solved in ((root / "notebooks", False), (root / "notebooks" / "solved", True)):
            one = notebook(page, solved, root)
            nbformat.validate(one)
            made[folder / f"{page.stem}.ipynb"] = nbformat.writes(one) + "\n"
    return made


def differences(root: Path = ROOT) -> list[str]:
    """What does not match the chapters, byte for byte: a notebook that is missing, differs, or has no chapter."""
    wanted = everything(root)
    there = set((root / "notebooks").rglob("*.ipynb"))
    wrong = [path for path, text in wanted.items() if path not in there or path.read_bytes() != text.encode("utf-8")]
    return [path.relative_to(root).as_posix() for path in sorted({*wrong, *(there - set(wanted))})]


def write(root: Path = ROOT) -> None:
    """Writes every notebook, and removes those whose chapter is gone."""
    wanted = everything(root)
    for path in set((root / "notebooks").rglob("*.ipynb")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if wrong := differences():
            sys.exit(f"These do not match their chapters: {', '.join(wrong)}. Run `python tasks.py notebooks`.")
    else:
        write()
        print(f"{len(everything())} notebooks in {ROOT / 'notebooks'}")
