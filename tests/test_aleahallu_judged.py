"""Pairs by an annotator: what of its replies is taken, and the command."""

import json

import pytest
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.clients.client import CallFailed, Reply
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.methods.aleahallu.judged import balanced, judged_pairs, put_right
from mmhallu_core.types import Answer, ResponsePair

CAPTION = "A red dog and a dogcart stand left of a kite."


def reply(kind="object", wrong="kite", right="ball"):
    return json.dumps({"kind": kind, "wrong": wrong, "right": right})


@pytest.mark.parametrize(
    "said, found",
    [
        (reply(), ("A red dog and a dogcart stand left of a ball.", "object")),
        (f"Here it is:\n```json\n{reply('attribute', 'red', 'brown')}\n```",
         ("A brown dog and a dogcart stand left of a kite.", "attribute")),
        (reply("relation", "left of", "to the right of"),
         ("A red dog and a dogcart stand to the right of a kite.", "relation")),
        (reply(wrong="dog", right="cat"), ("A red cat and a dogcart stand left of a kite.", "object")),
        ('{"kind": null}', "nothing wrong"),
        (reply(wrong="a", right="the"), "unusable reply"),  # stands there twice
        (reply(wrong="umbrella"), "unusable reply"),
        (reply(right="KITE"), "unusable reply"),
        (reply(right="ball that somebody has left there"), "unusable reply"),
        (reply(kind="colour"), "unusable reply"),
        (reply(wrong=["kite"]), "unusable reply"),
        ("I see no kite.", "unusable reply"),
        ("{kite: ball}", "unusable reply"),
        ("[]", "unusable reply"),
    ],
)  # fmt: skip
def test_a_correction_is_taken_as_far_as_it_can_be_checked(said, found):
    assert put_right(CAPTION, said) == found


def test_kinds_are_balanced_and_come_in_turn():
    made = [ResponsePair(str(i), "p.png", "?", "a", "b", kind) for i, kind in enumerate(
        ["object", "object", "relation", "object", "relation"])]  # fmt: skip
    assert [one.id for one in balanced(made)] == ["0", "2", "1", "4"]
    assert balanced([]) == []


class Annotator:
    """Says what it was told to say about each caption, and counts what it is asked."""

    about = {"kind": "test"}

    def __init__(self, replies):
        self.replies, self.asked = replies, []

    def ask(self, request):
        self.asked.append(request)
        said = self.replies[request.id.removeprefix("wrong/")]
        if said is None:
            raise CallFailed("refused", "no")
        return Reply(request.id, said)


def test_captions_become_pairs_or_are_counted(tmp_path):
    (tmp_path / "1.png").write_bytes(b"a picture")
    captions = [Answer(name, CAPTION, "1") for name in "abcd"] + [Answer("e", CAPTION, "2")]
    client = Annotator({"a": reply(), "b": '{"kind": null}', "c": None, "d": reply("attribute", "red", "blue")})
    for _ in range(2):  # the second time nobody is asked
        journal = JournaledClient(client, tmp_path / "replies", workers=1)
        pairs, left = judged_pairs(journal, captions, {"1": "1.png"}, tmp_path)
        assert [(one.id, one.kind, one.image, one.hallucinated) for one in pairs] == [
            ("a", "object", "1.png", CAPTION), ("d", "attribute", "1.png", CAPTION)]  # fmt: skip
        assert pairs[1].grounded == CAPTION.replace("red", "blue")
        assert left == {"nothing wrong": 1, "refused": 1, "no picture": 1}
    assert len(client.asked) == 4 and CAPTION in client.asked[0].prompt
    assert client.asked[0].images == (str(tmp_path / "1.png"),)


def test_the_command_says_what_it_lacks(tmp_path):
    def run(*words):
        found = CliRunner().invoke(app, ["aleahallu", "pairs", "--out", str(tmp_path / "o"), *words])
        return found.exit_code, found.stderr

    assert "needs --annotator" in run("x", "--source", "annotator", "--images", str(tmp_path))[1]
    assert "--annotator" in run("--annotator", "http://localhost:1/v1")[1]
    assert run("x", "--source", "annotator", "--annotator", "m")[0] == 2
    assert not (tmp_path / "o").exists()
