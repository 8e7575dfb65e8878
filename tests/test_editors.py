"""Outside editors: a reply is laid back over the photo exactly, and what is no edit ends with its reason."""

import base64
import io
import json

import numpy as np
import pytest
from faulty_server import FaultyServer, body, status
from PIL import Image

from mmhallu_core.clients.budget import Budget
from mmhallu_core.clients.client import CallFailed, Client, Request, Stopped
from mmhallu_core.clients.gemini_client import GeminiClient, read_generated
from mmhallu_core.clients.journaled import JournaledClient
from mmhallu_core.clients.openai_client import Patience
from mmhallu_core.data.decode import decode
from mmhallu_core.edit.draft import Draft, Rejected
from mmhallu_core.edit.editors.editor import (
    SAME,
    Editor,
    NoEdit,
    centred,
    edited_by,
    largest_change,
    plan_padding,
)
from mmhallu_core.edit.editors.gemini import GeminiEditor
from mmhallu_core.edit.truth import png
from mmhallu_core.types import CannotRun

CALM = Patience(connect=30.0, read=30.0, total=60.0, attempts=3)
PHOTO = np.random.default_rng(0).integers(60, 200, (50, 90, 3), dtype=np.uint8)
DRAFT = Draft("p1", png(Image.fromarray(PHOTO)), category="Attribute", edit_instruction="Make the thing red.")


def as_it_is(size):
    return centred(size, size, size)


class Painter:
    """An editor that paints a red square, or whatever `paint` makes of the canvas."""

    at_once = 2

    def __init__(self, paint=None, padding=as_it_is, resizes=False):
        self.about, self.padding, self.resizes, self.seen = {"kind": "painter"}, padding, resizes, []
        self.paint = paint or (lambda canvas: _square(canvas))

    def edit(self, name, image, instruction, seed):
        self.seen.append((name, image.size, instruction, seed))
        return Image.fromarray(self.paint(np.array(image)))


def _square(canvas):
    rows, columns = canvas.shape[0] // 2, canvas.shape[1] // 2
    canvas[rows - 8 : rows + 8, columns - 8 : columns + 8] = (255, 0, 0)
    return canvas


def edited(editor, *drafts, seed=0):
    return edited_by(editor, seed)(drafts or [DRAFT])


# ---------------------------------------------------------------- the stage


def test_padding_is_undone_exactly_and_everything_is_noted():
    painter = Painter(padding=plan_padding)
    assert isinstance(painter, Editor)
    (one,) = edited(painter)
    back = np.asarray(decode(one.edited_image).image)
    plan = plan_padding((90, 50))
    assert np.array_equal(back, plan.undo(_square(plan.pad(PHOTO).copy())))
    assert (back == PHOTO).all(axis=2).mean() > 0.9
    assert one.provenance["editor"] == {
        "kind": "painter", "canvas": list(plan.canvas), "at": [plan.left, plan.top]
    }  # fmt: skip
    assert painter.seen[0][:3] == ("p1", plan.canvas, "Make the thing red.")
    edited(painter)
    assert painter.seen[0] == painter.seen[1]  # the seed, too


def test_an_instruction_in_meds_form_is_sent_as_what_it_asks():
    painter, asked = Painter(), "Hi, this is a photo of a room. Can you make the lamp red and output the image?"
    edited(painter, Draft("p2", DRAFT.image, edit_instruction=asked))
    assert painter.seen[0][2] == "make the lamp red"


def test_drafts_have_seeds_of_their_own():
    painter = Painter()
    other = Draft("p2", DRAFT.image, edit_instruction="Make the thing red.")
    edited(painter, DRAFT, other, seed=1)
    edited(painter, DRAFT, other, seed=2)
    assert len({seed for *_, seed in painter.seen}) == 4


def _half(canvas):
    return _square(canvas)[::3, ::3].copy()


@pytest.mark.parametrize(
    "paint, resizes, reason",
    [
        (lambda canvas: canvas, False, NoEdit.UNCHANGED),
        (lambda canvas: np.clip(canvas.astype(int) + 1, 0, 255).astype(np.uint8), False, NoEdit.UNCHANGED),
        (lambda canvas: _square(canvas)[:-1].copy(), False, NoEdit.OTHER_SIZE),
        (lambda canvas: _square(canvas)[:, :60].copy(), True, NoEdit.OTHER_SIZE),
        (_half, True, NoEdit.OTHER_SIZE),
        (lambda canvas: _square(canvas).repeat(2, 0).repeat(2, 1), False, NoEdit.OTHER_SIZE),
    ],
    ids=["same", "nearly-same", "row-missing", "other-shape", "thumbnail", "larger"],
)
def test_what_is_no_edit_ends_with_its_reason(paint, resizes, reason):
    (end,) = edited(Painter(paint, resizes=resizes))
    assert isinstance(end, Rejected) and (end.stage, end.reason) == ("edit", reason)


def test_a_photo_packed_again_is_the_same_picture():
    """Noise of JPEG moves single pixels by far more than the limit, and passes for no edit."""

    def packed(canvas):
        out = io.BytesIO()
        Image.fromarray(canvas).save(out, "JPEG", quality=60)
        return np.asarray(Image.open(out).convert("RGB"))

    assert np.abs(packed(PHOTO).astype(int) - PHOTO).max() > 10 * SAME
    (end,) = edited(Painter(packed))
    assert end.reason == NoEdit.UNCHANGED


def test_a_larger_reply_of_the_same_shape_is_scaled_and_noted():
    (one,) = edited(Painter(lambda canvas: _square(canvas).repeat(2, 0).repeat(2, 1), resizes=True))
    assert np.array_equal(np.asarray(decode(one.edited_image).image), _square(PHOTO.copy()))
    assert one.provenance["editor"]["reply_size"] == [180, 100]


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (16, 16), (33, 47)])
def test_the_largest_change_of_any_size(shape):
    black = np.zeros((*shape, 3), np.uint8)
    assert largest_change(black, black) == 0
    assert largest_change(black, black + 255) == 255


def test_a_speck_is_no_change_and_a_square_is():
    changed = PHOTO.copy()
    changed[20, 20] ^= 128
    assert largest_change(PHOTO, changed) < SAME < largest_change(PHOTO, _square(PHOTO.copy()))


# ---------------------------------------------------------------- Gemini


def generated(picture=None, words=None, ended="STOP", kind="image/png", **more):
    parts = [{"text": words}] if words else []
    if picture is not None:
        parts.append({"inlineData": {"mimeType": kind, "data": base64.b64encode(picture).decode()}})
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": ended, "index": 0}
    usage = {"promptTokenCount": 300, "candidatesTokenCount": 1290, "totalTokenCount": 1590}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage, **more}).encode()


def painted(size=(1344, 768)):
    """A reply as Gemini gives it: the canvas at a size of its own, with a red square in it."""
    plan = plan_padding((90, 50))
    canvas = Image.fromarray(_square(plan.pad(PHOTO).copy())).resize(size)
    return png(canvas)


def gemini(server, **more):
    sleeps = []
    client = GeminiClient("a-model", "a-key", server.url, CALM, sleep=sleeps.append, **more)
    return client, sleeps


def test_gemini_gets_its_form_and_its_picture_is_cut_back():
    with FaultyServer([body(generated(painted(), "Here it is"))]) as server:
        client, _ = gemini(server)
        assert isinstance(client, Client)
        (one,) = edited(GeminiEditor(client))
    (call,) = server.calls
    assert call.path == "/v1/models/a-model:generateContent" and call.headers["x-goog-api-key"] == "a-key"
    assert "authorization" not in call.headers and call.headers["idempotency-key"]
    text, picture = call.body["contents"][0]["parts"]
    assert "Make the thing red." in text["text"] and picture["inlineData"]["mimeType"] == "image/png"
    sent = Image.open(io.BytesIO(base64.b64decode(picture["inlineData"]["data"])))
    assert sent.size == plan_padding((90, 50)).canvas
    settings = call.body["generationConfig"]
    assert settings["imageConfig"] == {"aspectRatio": "16:9"} and "IMAGE" in settings["responseModalities"]
    assert "temperature" not in settings
    back = np.asarray(decode(one.edited_image).image)
    assert back.shape == PHOTO.shape and (back[20:30, 40:50, 0] > 230).all()
    assert one.provenance["editor"]["reply_size"] == [1344, 768] and "a-key" not in json.dumps(
        one.to_dict(), default=str
    )


@pytest.mark.parametrize(
    "reply, reason, said",
    [
        (generated(words="I would rather not."), NoEdit.NO_PICTURE, "I would rather not."),
        (generated(), NoEdit.NO_PICTURE, ""),
        (generated(ended="NO_IMAGE"), NoEdit.NO_PICTURE, ""),
        (generated(words="No.", ended="IMAGE_SAFETY"), NoEdit.REFUSED, "No."),
        (json.dumps({"promptFeedback": {"blockReason": "SAFETY"}}).encode(), NoEdit.REFUSED, None),
        (generated(words="Let me", ended="MAX_TOKENS"), NoEdit.NO_REPLY, "Let me"),
        (generated(painted()[:2000]), NoEdit.DAMAGED, None),
        (generated(b"no picture at all"), NoEdit.DAMAGED, None),
        (generated(painted((768, 768))), NoEdit.OTHER_SIZE, None),
        (generated(png(Image.fromarray(plan_padding((90, 50)).pad(PHOTO)))), NoEdit.UNCHANGED, None),
    ],
    ids="words nothing no-image declined blocked cut cut-off not-a-picture square same".split(),
)
def test_replies_without_a_good_picture(reply, reason, said):
    with FaultyServer([body(reply)]) as server:
        (end,) = edited(GeminiEditor(gemini(server)[0]))
        assert len(server.calls) == 1
    assert isinstance(end, Rejected) and end.reason == reason and end.text == said


def test_pictures_that_it_thinks_with_are_not_its_answer():
    draft = {"thought": True, "inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    last = {"inlineData": {"mimeType": "image/png", "data": "BBBB"}}
    reply = json.dumps({"candidates": [{"content": {"parts": [draft, last]}}]}).encode()
    assert read_generated(reply) == ("data:image/png;base64,BBBB", {})


def test_pauses_that_it_asks_for_are_kept_and_broken_replies_asked_again():
    body_says = json.dumps({"error": {"code": 429, "message": "slow down", "details": [{"retryDelay": "7.5s"}]}})

    def exhausted(handler, call):
        handler.reply(429, body_says.encode())

    with FaultyServer([exhausted, status(503, {"Retry-After": "3"}), body(generated(painted()))]) as server:
        client, sleeps = gemini(server)
        (one,) = edited(GeminiEditor(client))
    assert isinstance(one, Draft) and sleeps == [7.5, 3.0] and len(server.calls) == 3
    assert len({call.headers["idempotency-key"] for call in server.calls}) == 1
    with FaultyServer([body(b'{"candidates": ['), body(b"[]"), body(b"{}")]) as server:
        (end,) = edited(GeminiEditor(gemini(server)[0]))
    assert end.reason == NoEdit.NO_REPLY and len(server.calls) == 3


def test_a_wrong_key_ends_the_run_and_the_budget_holds():
    with FaultyServer([status(400, message="API key not valid. Please pass a valid API key.")]) as server:
        with pytest.raises(Stopped, match="GEMINI_API_KEY"):
            edited(GeminiEditor(gemini(server)[0]))
    with FaultyServer([body(generated(painted()))]) as server:
        budget = Budget(tokens=1000)
        editor = GeminiEditor(gemini(server, budget=budget)[0], at_once=1)
        other = Draft("p2", DRAFT.image, edit_instruction="Make the thing red.")
        with pytest.raises(Stopped, match="1590 of 1000 tokens"):
            edited(editor, DRAFT, other)
        assert budget.used_tokens == 1590 and len(server.calls) == 1


def test_a_journal_keeps_the_picture_and_nothing_is_paid_twice(tmp_path):
    with FaultyServer([body(generated(painted()))]) as server:
        first, second = (
            edited(GeminiEditor(JournaledClient(gemini(server)[0], tmp_path / "edits.jsonl"))) for _ in range(2)
        )
        assert first == second and len(server.calls) == 1
    assert "a-key" not in (tmp_path / "edits.jsonl").read_text(encoding="utf-8")
    assert first[0].provenance["editor"]["kind"] == "gemini"


def test_no_key_no_model_no_network(monkeypatch):
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with pytest.raises(CannotRun, match="GEMINI_API_KEY"):
        GeminiClient("a-model")
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    with pytest.raises(CannotRun, match="name of a model"):
        GeminiClient("")
    monkeypatch.setenv("MMHALLU_OFFLINE", "1")
    with pytest.raises(CannotRun, match="MMHALLU_OFFLINE"):
        GeminiClient("a-model")


def test_a_damaged_picture_is_not_sent():
    with FaultyServer() as server:
        with pytest.raises(CallFailed, match="bad_picture"):
            gemini(server)[0].ask(Request("a", "Edit it.", (b"broken",)))
        assert not server.calls
