"""The page of the eleven edits: pictures of pairs, their text twin, and tables that say all of the data."""

import pytest

from mmhallu_core.viz.edit_pairs import facts_table, needs_table, pairs_in_words, precedence_table, show_pairs
from mmhallu_core.world.edits import CATEGORIES, TABLE, sample_edit

OPERATIONS = [operation for row in TABLE for operation in row.operations]


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def test_pairs_and_their_words():
    edits = [sample_edit(category, 2) for category in ("Scene", "Object", "Counting")]
    figure = show_pairs(edits, size=48)
    assert len(figure.subfigs) == 4  # two rows of two; the last place stays empty
    drawn = [axes for board in figure.subfigs for axes in board.axes]
    assert [len(axes.images) for axes in drawn] == [1] * 6
    assert [bool(axes.collections) for axes in drawn] == [False] * 2 + [True] * 4  # no outline around a background
    lines = pairs_in_words(edits).splitlines()
    assert [line.split(":")[0] for line in lines] == ["Scene", "Object", "Counting"]
    for board, line in zip(figure.subfigs, lines, strict=False):
        assert board.get_suptitle().replace("\n", ": ") == line


@pytest.mark.parametrize("table", [needs_table, facts_table, precedence_table])
def test_tables_are_rectangular(table):
    assert len({len(row) for row in cells(table())}) == 1


def test_tables_say_everything():
    assert [row[0] for row in cells(needs_table())[2:]] == list(CATEGORIES)
    assert [row[0] for row in cells(facts_table())[2:]] == [operation.name for operation in OPERATIONS]
    assert [row[0] for row in cells(precedence_table())[2:]] == [str(rank) for rank in range(1, 12)]
    needs, facts = needs_table(), facts_table()
    for row in TABLE:
        assert row.precondition in needs and row.rather_than in precedence_table()
    for operation in OPERATIONS:
        assert operation.does in needs and operation.sentence in facts
        assert all(pattern in facts for pattern in operation.removed + operation.added)
