"""The page of the eleven edits: pictures of pairs, their text twin, and tables that say all of the data."""

import html
import re

from mmhallu_core.chapters.edits import draw_pair, facts_table, needs_table, precedence_table, show_pairs
from mmhallu_core.world.edits import CATEGORIES, TABLE, sample_edit
from mmhallu_core.world.language import difference

OPERATIONS = [operation for row in TABLE for operation in row.operations]


def first_column(twin) -> list[str]:
    """Names of the rows of a table, from its HTML."""
    return re.findall(r'<th scope="row"[^>]*>(.*?)</th>', twin.html)


def test_pairs_and_their_words():
    edits = [sample_edit(category, 2) for category in ("Scene", "Object", "Counting")]
    figures = [draw_pair(edit, size=48) for edit in edits]
    assert [[len(axes.images) for axes in figure.axes] for figure in figures] == [[1, 1]] * 3
    outlined = [[bool(axes.collections) for axes in figure.axes] for figure in figures]
    assert outlined == [[False] * 2, [True] * 2, [True] * 2]  # no outline around a background
    twin = show_pairs(edits, size=48)
    assert twin.html.count("<svg") == 3
    for figure, edit in zip(figures, edits, strict=True):
        said = difference(edit).text
        assert figure.get_suptitle().split() == [edit.category, *said.split()]
        assert f"{edit.category}: {said}" in twin.text and html.escape(said) in twin.html


def test_tables_say_everything():
    needs, facts, precedence = needs_table(), facts_table(), precedence_table()
    assert first_column(needs) == list(CATEGORIES)
    assert first_column(facts) == [operation.name for operation in OPERATIONS]
    assert sorted(first_column(precedence)) == sorted(CATEGORIES) and first_column(precedence)[0] == "Scene"
    for row in TABLE:
        assert row.precondition in needs.text and row.rather_than in precedence.text
    for operation in OPERATIONS:
        assert operation.does in needs.text and operation.sentence in facts.text
        assert all(pattern in facts.text for pattern in operation.removed + operation.added)
