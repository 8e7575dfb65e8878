"""Recorded or computed: which of the two a page shows, and that it says so."""

import json
import re

import pytest

from mmhallu_core.recorded import computed_or_recorded, live_or_recorded, recorded
from mmhallu_core.store import PACKAGE, MissingFile, results_folder, sha256

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


def weights_named_in(record, key=""):
    """The hashes under which a record speaks of a model's weights."""
    if isinstance(record, dict):
        return {one for name, value in record.items() for one in weights_named_in(value, name)}
    if isinstance(record, list):
        return {one for value in record for one in weights_named_in(value, key)}
    named = key in ("weights", "weights_sha256", "base", "base_sha256", "base_file_sha256") or key.endswith(
        "safetensors"
    )
    return {record} if named and re.fullmatch("[0-9a-f]{64}", str(record)) else set()


def test_no_record_speaks_of_weights_that_do_not_ship():
    shipped = {sha256(path) for path in (PACKAGE / "checkpoints").rglob("*.safetensors")}
    records = [path for path in results_folder().rglob("*.json") if path.parts[-2:] != ("tiny-clip", "rebuild.json")]
    named = {path.name: weights_named_in(json.loads(path.read_text(encoding="utf-8"))) for path in records}
    assert sum(map(bool, named.values())) > 12
    assert {name: some - shipped for name, some in named.items() if some - shipped} == {}
    old = json.loads((results_folder() / "med" / "first-study.json").read_text(encoding="utf-8"))
    assert old["why_replaced"] and old["replaced_base_sha256"] not in shipped  # the one summary that stays
