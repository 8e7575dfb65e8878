"""Editors of photos: one thing changes, nothing else does, and what cannot be done well is refused with a reason."""

import builtins

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="the editors of photos need OpenCV: pip install 'mmhallu[edit]'")

from mmhallu_core.edit.editors.cutouts import find_things  # noqa: E402
from mmhallu_core.edit.editors.pixels import (  # noqa: E402  # noqa: E402
    HUES,
    colour_name,
    far_hues,
    inpaint,
    paste_copy,
    patch_over,
    recolour,
    rescale,
    similar_place,
)
from mmhallu_core.edit.photos import (  # noqa: E402
    CATEGORY,
    MIN_CHANGE,
    PhotoEdit,
    Refusal,
    Refused,
    edit_photo,
    tries,
    where,
)
from mmhallu_core.types import CATEGORIES, CannotRun  # noqa: E402
from mmhallu_core.viz.contact_sheet import draw_contact_sheet  # noqa: E402

pytestmark = pytest.mark.long

HEIGHT, WIDTH = 180, 260


def disc(x: int, y: int, radius: int) -> np.ndarray:
    down, across = np.ogrid[:HEIGHT, :WIDTH]
    return (across - x) ** 2 + (down - y) ** 2 <= radius**2


def scene(colour=(200, 40, 40), x=90, y=80, noise=3.0) -> np.ndarray:
    """A shaded ball before a wall that gets lighter to the right, with a camera's noise."""
    down, across = np.ogrid[:HEIGHT, :WIDTH]
    ground = np.stack([120 + across * 0.2 + down * 0, 130 + across * 0.2 + down * 0, 140 + down * 0.1 + across * 0], 2)
    ball = np.array(colour) * (1 - 0.3 * ((across - x) ** 2 + (down - y) ** 2)[..., None] / 30**2)
    pixels = np.where(disc(x, y, 24)[..., None], ball, ground)
    pixels = pixels + np.random.default_rng(5).normal(0, noise, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


BALL, PHOTO = disc(90, 80, 24), scene()
PLAIN = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
STATIC = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def check(edit: PhotoEdit) -> None:
    """The two promises, measured again."""
    assert np.array_equal(edit.image[~edit.mask], edit.edited_image[~edit.mask])
    change = np.abs(edit.image.astype(float) - edit.edited_image)[edit.mask].mean()
    assert change >= MIN_CHANGE and change == pytest.approx(edit.change)
    assert edit.edited_image.dtype == np.uint8 and edit.edited_image.shape == edit.image.shape
    assert edit.category == CATEGORY[edit.operation] and edit.category in CATEGORIES


# ---------------------------------------------------------------- masks


def test_the_thing_that_stands_out_is_found():
    (mask, *_) = find_things(PHOTO, 0)
    assert overlap(mask, BALL) > 0.9


def test_a_larger_photo_has_the_same_thing_at_its_place():
    large = PHOTO.repeat(4, axis=0).repeat(4, axis=1)
    assert overlap(find_things(large, 0)[0], BALL.repeat(4, axis=0).repeat(4, axis=1)) > 0.9


def test_nothing_is_found_where_nothing_stands_out():
    assert find_things(PLAIN, 0) == [] and find_things(STATIC, 0) == []


# ---------------------------------------------------------------- the four edits


@pytest.mark.parametrize("operation", CATEGORY)
@pytest.mark.parametrize("seed", range(3))
def test_one_thing_changes_and_the_seed_decides_all(operation, seed):
    edit, again = (edit_photo(PHOTO, operation, seed) for _ in range(2))
    check(edit)
    assert edit.edited_image.tobytes() == again.edited_image.tobytes() and np.array_equal(edit.mask, again.mask)
    assert edit.difference == again.difference and "thing" in edit.difference and "thing" in edit.edit_instruction
    assert edit.mask.mean() < 0.15


def test_what_is_removed_looks_like_the_ground_afterwards():
    edit = edit_photo(PHOTO, "remove", 0, BALL)
    ground = scene(noise=0)[:, 200:201]  # the wall's colour depends little on where one looks
    assert np.abs(edit.edited_image[BALL].astype(float) - ground[80, 0]).mean() < 25
    assert (edit.mask & BALL).sum() == BALL.sum()
    assert edit.difference == "The red thing in the middle is gone." or "at the" in edit.difference


def test_inpainting_fills_the_hole():
    edited, mask = inpaint(PHOTO, BALL)
    assert np.array_equal(edited[~mask], PHOTO[~mask])
    assert colour_name(edited, BALL) != "red" == colour_name(PHOTO, BALL)


def test_a_patch_from_elsewhere_covers_a_thing_on_a_pattern():
    """Stripes go on where the thing was: inpainting would blur them."""
    stripes = np.where((np.arange(WIDTH) // 10 % 2)[None, :, None], 150, 110).repeat(HEIGHT, 0).repeat(3, 2)
    stripes = stripes.astype(np.uint8)
    photo = np.where(BALL[..., None], np.uint8([200, 40, 40]), stripes)
    dx, dy, _ = similar_place(photo, BALL, level=False)
    patched, smeared = patch_over(photo, BALL, dx, dy)[0], inpaint(photo, BALL)[0]
    off, blurred = (np.abs(one[BALL].astype(float) - stripes[BALL]).mean() for one in (patched, smeared))
    assert off < 12 and off < blurred


def test_a_copy_stands_where_the_mask_says():
    edit = edit_photo(PHOTO, "copy", 0, BALL)
    assert edit.mask.sum() == BALL.sum() and not (edit.mask & BALL).any()
    assert colour_name(edit.edited_image, edit.mask) == "red"
    edited, mask = paste_copy(PHOTO, BALL, 120, 5)
    assert np.array_equal(mask, disc(210, 85, 24)) and np.array_equal(edited[85, 210], PHOTO[80, 90])


def test_another_size_on_the_same_spot():
    ground = inpaint(PHOTO, BALL)
    for factor in (0.5, 1.5):
        edited, mask = rescale(PHOTO, BALL, factor, ground)
        assert np.array_equal(edited[~mask], PHOTO[~mask])
        red = edited[..., 0].astype(int) - edited[..., 1] > 60
        rows, columns = np.nonzero(red)
        assert red.sum() == pytest.approx(factor**2 * BALL.sum(), rel=0.15)
        assert abs(columns.mean() - 90) < 1.5 and abs(rows.max() - 104) < 3  # it stands where it stood


@pytest.mark.parametrize("name", HUES)
@pytest.mark.parametrize("colour", [(200, 40, 40), (40, 90, 200), (150, 150, 150)], ids=["red", "blue", "grey"])
def test_a_new_colour_is_called_by_its_name(name, colour):
    photo = scene(colour)
    edited, mask = recolour(photo, BALL, name)
    assert mask is BALL and np.array_equal(edited[~BALL], photo[~BALL])
    if name in far_hues(photo, BALL):
        assert colour_name(edited, BALL) in (name, "brown")  # a dark orange is called brown


@pytest.mark.parametrize(
    "rgb, name",
    [
        ((220, 20, 30), "red"),
        ((240, 130, 20), "orange"),
        ((240, 220, 40), "yellow"),
        ((30, 140, 50), "green"),
        ((30, 80, 200), "blue"),
        ((130, 50, 160), "purple"),
        ((110, 70, 35), "brown"),
        ((10, 10, 10), "black"),
        ((128, 128, 128), "grey"),
        ((250, 250, 250), "white"),
    ],
)
def test_names_of_colours(rgb, name):
    assert colour_name(np.full((4, 4, 3), rgb, np.uint8), np.ones((4, 4), bool)) == name


def test_an_empty_mask_has_no_colour():
    with pytest.raises(ValueError, match="no colour"):
        colour_name(PHOTO, np.zeros_like(BALL))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "photo, operation, mask, reason",
    [
        (PLAIN, "remove", None, Refusal.NO_THING),
        (PHOTO, "remove", disc(90, 80, 2), Refusal.BAD_SIZE),
        (PHOTO, "remove", np.zeros_like(BALL), Refusal.BAD_SIZE),
        (PHOTO, "remove", np.ones_like(BALL), Refusal.BAD_SIZE),
        (STATIC, "remove", BALL, Refusal.BUSY_GROUND),
        (STATIC, "copy", BALL, Refusal.NO_ROOM),
        (PLAIN, "remove", BALL, Refusal.SMALL_CHANGE),
        (PLAIN * 0, "recolour", BALL, Refusal.SAME_COLOUR),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_what_cannot_be_done_well_is_refused(photo, operation, mask, reason):
    if reason == Refusal.SAME_COLOUR:  # black stays black, or turns into a colour that is hardly another
        reason = (Refusal.SAME_COLOUR, Refusal.SMALL_CHANGE)
    with pytest.raises(Refused) as caught:
        edit_photo(photo, operation, 0, mask)
    assert caught.value.reason in reason if isinstance(reason, tuple) else caught.value.reason == reason


def test_a_thing_at_the_frame_does_not_grow_over_it():
    photo, mask = scene(y=26), disc(90, 26, 24)
    reasons = set()
    for seed in range(6):
        try:
            check(edit_photo(photo, "rescale", seed, mask))
        except Refused as refused:
            reasons.add(refused.reason)
    assert reasons == {Refusal.NO_ROOM}


def test_wrong_calls():
    with pytest.raises(ValueError, match="remove, recolour, copy, rescale"):
        edit_photo(PHOTO, "rotate", 0)
    with pytest.raises(ValueError, match="rows and columns"):
        edit_photo(PHOTO, "remove", 0, BALL[:-1])


def test_tries_give_edits_and_refusals_in_an_order_of_their_own():
    first = [next(tries(PHOTO, seed)) for seed in range(6)]
    assert len({edit.operation for edit in first}) > 1
    for edit in first:
        check(edit)
    (only,) = tries(PLAIN, 0)
    assert isinstance(only, Refused) and only.reason == Refusal.NO_THING


@pytest.mark.parametrize(
    "x, y, said",
    [(20, 20, "at the upper left"), (130, 90, "in the middle"), (240, 90, "at the right"), (130, 170, "at the bottom")],
)
def test_places_in_words(x, y, said):
    assert where(disc(x, y, 8)) == said


def test_without_opencv_the_message_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "cv2":
            raise ImportError("No module named 'cv2'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CannotRun, match=r"mmhallu\[edit\]"):
        find_things(PHOTO, 0)


# ---------------------------------------------------------------- the contact sheet


def test_the_sheet_shows_before_after_and_mask():
    edits = [edit_photo(PHOTO, operation, 0, BALL) for operation in ("recolour", "copy", "remove")]
    figure = draw_contact_sheet(edits)
    boards = [board for board in figure.subfigs if board.axes]
    assert len(figure.subfigs) == 4 and len(boards) == 3
    for board, edit in zip(boards, edits, strict=True):
        shown = [np.asarray(axes.images[0].get_array()) for axes in board.axes]
        for picture, wanted in zip(shown, (edit.image, edit.edited_image, edit.mask), strict=True):
            assert np.array_equal(picture, wanted)
        assert " ".join(board.get_suptitle().split()) == f"{edit.category}: {edit.difference}"
    with pytest.raises(ValueError, match="at least one"):
        draw_contact_sheet([])
