"""Recorded or computed: which of the two a page shows, and that it says so."""

import json

import pytest

from mmhallu_core.recorded import computed_or_recorded, live_or_recorded, recorded
from mmhallu_core.store import MissingFile, results_folder

NAME = "reproduce-a-table/prompts"


def missing():
    raise MissingFile("not here")


def test_a_record_is_the_file_and_nothing_stands_in_for_a_missing_one():
    assert recorded(NAME) == json.loads((results_folder() / f"{NAME}.json").read_text(encoding="utf-8"))
    with pytest.raises(MissingFile, match="no recorded result"):
        recorded("nobody/measured-this")


def test_what_can_be_measured_is_and_else_the_record_is_shown_with_the_command_that_gets_the_data():
    assert computed_or_recorded(lambda: {"n": 1}, NAME, "pope") == ({"n": 1}, "Computed now from the released files.")
    found, how = computed_or_recorded(missing, NAME, "pope", "chair")
    assert found == recorded(NAME) and how.startswith("RECORDED at commit")
    assert "mmhallu data get pope\nmmhallu data get chair" in how and found["command"] in how


def test_live_makes_the_run_again(monkeypatch):
    monkeypatch.setenv("LIVE", "0")
    found, how = live_or_recorded(missing, NAME)
    assert found == recorded(NAME) and how.startswith("RECORDED") and found["command"] in how
    monkeypatch.setenv("LIVE", "1")
    assert live_or_recorded(lambda: {"n": 1}, NAME) == ({"n": 1}, "Computed now, because LIVE is set.")
