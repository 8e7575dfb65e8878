"""The command that makes the records of pages again, and the parts of them that no page computes."""

import json

import numpy as np
import pytest

from maintenance import measure, reproduce_a_table
from maintenance.count_it import diorama_habits
from mmhallu_core.chapters.reproduce_a_table import Released
from mmhallu_core.data.vocabulary import Vocabulary
from mmhallu_core.recorded import recorded
from mmhallu_core.world.prior import PRIOR

WORDS = Vocabulary({"dog": "dog", "cat": "cat", "car": "car"})
# The same three photos: "plain" is right, "late" names what is not there from its 21st word on.
DATA = Released(
    {
        "plain": ["a dog", "a cat", "a car"],
        "late": [f"a {one} {'and so on ' * 7}a car" for one in ("dog", "cat", "car")],
    },
    [frozenset({"dog"}), frozenset({"cat"}), frozenset({"car"})],
    WORDS,
    {},
)


def test_every_record_that_can_be_made_again_is_here():
    for study, measures in measure.STUDIES.items():
        for name in measures:
            assert recorded(f"{study}/{name}")["kind"] in ("recomputed", "diorama")


def test_the_named_record_is_written_with_what_made_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(measure.STUDIES, "count-it", {"one": lambda: {"n": 1}, "two": lambda: {"n": 2}})
    measure.main(["count-it", "--out", str(tmp_path / "new"), "--only", "two"])
    (file,) = (tmp_path / "new").iterdir()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert file.name == "two.json" and str(file) in capsys.readouterr().out
    assert found["n"] == 2 and found["command"].startswith("python -m maintenance.measure count-it ")
    assert {"python", "torch"} <= set(found["versions"]) and found["commit"]
    measure.main(["count-it", "--out", str(tmp_path / "new")])
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"one.json", "two.json"}


def test_a_record_that_no_study_has_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        measure.main(["audit", "--out", str(tmp_path), "--only", "diorama"])
    assert "no record 'diorama'; it has med-bench" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.long
def test_captions_are_cut_to_every_length(monkeypatch):
    monkeypatch.setattr(reproduce_a_table, "LENGTHS", (5, 20))
    found = reproduce_a_table.curves(DATA, DATA.counts(), progress=False)
    assert list(found["lengths"]) == ["5", "20", "all"]
    late = {words: row["models"]["late"] for words, row in found["lengths"].items()}
    assert (late["20"]["chair_i"], late["20"]["cut"]) == (0, 1)
    assert (late["all"]["chair_i"], late["all"]["cut"]) == (2 / 6, 0)
    longer = {name: one["difference"] for name, one in found["longer"].items()}
    assert longer == {"plain": 0, "late": pytest.approx(2 / 6)}


@pytest.mark.long
def test_the_repaired_rules_are_compared_caption_by_caption():
    found = reproduce_a_table.repaired(DATA, DATA.counts())
    assert set(found["models"]) == set(found["change"]) == {"plain", "late"}
    assert set(found["change"]["plain"]) == {"chair_i", "chair_s", "recall"}


def test_company_in_diorama_is_counted_over_scenes_of_its_own():
    with_dial, again, without = (diorama_habits(200, prior).lift for prior in (PRIOR, PRIOR, 0.0))
    np.testing.assert_array_equal(with_dial, again)
    apart = ~np.eye(len(with_dial), dtype=bool)  # a kind beside itself says only how rare it is
    assert with_dial[apart].std() > 1.5 * without[apart].std()  # the dial is what makes things keep company
