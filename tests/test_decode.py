"""Pictures of unknown origin: each gives an RGB picture or one reason, whatever is in the file."""

import base64
import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmhallu_core.data import decode as decoder
from mmhallu_core.data.decode import ANIMATED, CMYK, FORMATS, BadPicture, Reason, decode

SIZE = (48, 36)
RAMP = np.stack(np.broadcast_arrays(*np.ogrid[0:144:4, 0:192:4], 90), axis=2).astype("uint8")  # 36 x 48


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(RAMP).convert(mode)


def frames(kind: str, count: int = 3, **options) -> bytes:
    rest = [Image.new("RGB", SIZE, (40 * n, 0, 0)) for n in range(1, count)]
    return saved(picture(), kind, save_all=True, append_images=rest, **options)


def png_of(width: int, height: int, bits: int = 8, kind: int = 2) -> bytes:
    """A PNG whose header claims a size; the data are one short block."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    data = zlib.compress(bytes(height * (1 + width * 3 * bits // 8)) if width * height < 1e6 else bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


WHOLE = saved(picture())
JPEG = saved(picture(), "JPEG")
REFUSED = {
    "zero bytes": (b"", Reason.EMPTY),
    "text with a picture's name": (b"<html>404</html>", Reason.UNKNOWN),
    "PDF": (b"%PDF-1.7\n" + bytes(500), Reason.UNKNOWN),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 36\n", Reason.UNKNOWN),
    "a signature alone": (WHOLE[:8], Reason.UNKNOWN),
    "cut PNG": (WHOLE[: len(WHOLE) // 2], Reason.CORRUPT),
    "cut JPEG": (JPEG[: len(JPEG) // 2], Reason.CORRUPT),
    "PNG with damaged data": (WHOLE[:60] + bytes(30) + WHOLE[90:], Reason.CORRUPT),
    "bomb over our cap": (png_of(10_000, 6_000), Reason.HUGE),
    "bomb over Pillow's warning": (png_of(12_000, 10_000), Reason.HUGE),
    "bomb over Pillow's error": (png_of(60_000, 60_000), Reason.HUGE),
    "whole numbers of 32 bits": (saved(picture("I"), "TIFF"), Reason.DEEP),
    "floating point TIFF": (saved(picture("F"), "TIFF"), Reason.DEEP),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_gives_one_reason(case, tmp_path):
    content, reason = REFUSED[case]
    (tmp_path / "photo.jpg").write_bytes(content)
    for given in (content, "photo.jpg", tmp_path / "photo.jpg"):
        with pytest.raises(BadPicture) as caught:
            decode(given, tmp_path)
        assert caught.value.reason == reason and len(str(caught.value)) > 10


def turned(number: int) -> Image.Exif:
    """The camera's note about which way is up: 6 is a quarter to the right."""
    note = Image.Exif()
    note[0x0112] = number
    return note


def png16(values: np.ndarray, clear: tuple[int, ...] = ()) -> bytes:
    """A PNG of 16 bits a channel, written by hand: (rows, columns) grey, or with 2, 3 or 4 channels.

    `clear` is the grey or the colour that stands for "nothing here".
    """
    rows, columns = values.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 16, kind, 0, 0, 0))]
    parts += [(b"tRNS", struct.pack(f">{len(clear)}H", *clear))] if clear else []
    parts += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


HALF = picture("RGBA")
HALF.putalpha(0)
GREY = RAMP[..., 0].astype("uint16")
GREY16 = GREY * 257 + np.where(GREY < 128, 100, -100)  # near 257 times: rounded it is the same
CYAN = Image.new("CMYK", SIZE, (255, 0, 0, 51))  # all cyan, a fifth black
USED = {
    "PNG": (WHOLE, RAMP),
    "grey": (saved(picture("L")), np.repeat(np.array(picture("L"))[..., None], 3, axis=2)),
    "palette": (saved(picture("P")), np.array(picture("P").convert("RGB"))),
    "two colours": (saved(picture("1")), np.array(picture("1").convert("RGB"))),
    "still GIF": (saved(picture("P"), "GIF"), np.array(picture("P").convert("RGB"))),
    "transparent": (saved(HALF), np.full_like(RAMP, 255)),
    "a transparent palette": (saved(Image.new("P", SIZE), transparency=0), np.full_like(RAMP, 255)),
    "half transparent": (saved(Image.new("RGBA", SIZE, (255, 0, 0, 51))), np.full_like(RAMP, (255, 204, 204))),
    "BMP": (saved(picture(), "BMP"), RAMP),
    "TIFF": (saved(picture(), "TIFF"), RAMP),
    "WebP": (saved(picture(), "WEBP", lossless=True), RAMP),
    "animated GIF": (frames("GIF"), np.array(picture().quantize(256).convert("RGB"))),
    "animated PNG": (frames("PNG"), RAMP),
    "animated WebP": (frames("WEBP", lossless=True), RAMP),
    "TIFF of pages": (frames("TIFF"), RAMP),
    "CMYK TIFF": (saved(CYAN, "TIFF"), np.full_like(RAMP, (0, 204, 204))),
    "16-bit grey": (png16(GREY16), np.repeat(RAMP[..., :1], 3, axis=2)),
    "16-bit colour": (png16(RAMP.astype("uint16") * 257), RAMP),
    "16-bit grey with alpha": (png16(np.stack([GREY * 257, GREY * 0], 2)), np.full_like(RAMP, 255)),
    "16-bit grey, one clear": (png16(GREY * 0 + 300, (300,)), np.full_like(RAMP, 255)),
    "16-bit grey TIFF": (saved(Image.fromarray(GREY * 257), "TIFF"), np.repeat(RAMP[..., :1], 3, axis=2)),
    "a damaged note": (saved(picture(), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09"), RAMP),
}


@pytest.mark.parametrize("case", USED)
def test_what_can_be_used_gives_its_pixels(case):
    content, pixels = USED[case]
    image = decode(content).image
    off = abs(np.asarray(image).astype(int) - pixels)
    assert image.mode == "RGB" and image.size == SIZE and off.max() <= ("animated GIF" in case) * 40


# How EXIF says that the picture's own first row and first column lie, as numpy turns an array.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("number", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_the_note_about_which_way_is_up_is_followed_by_pixels_boxes_and_masks(kind, number):
    stored = RAMP.copy()
    stored[10:14, 5:25] = (255, 0, 255)  # a box that is not in the middle
    mask = (stored == (255, 0, 255)).all(axis=2)
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(saved(Image.fromarray(stored), kind, exif=turned(number), **options))
    assert np.array_equal(np.asarray(found.image), UPRIGHT[number](stored)) and found.stored == SIZE
    x0, y0, x1, y1 = found.turned_box((5, 10, 25, 14))
    inside = np.zeros(np.asarray(found.image).shape[:2], dtype=bool)
    inside[y0:y1, x0:x1] = True
    assert np.array_equal(inside, UPRIGHT[number](mask))
    assert np.array_equal(np.asarray(found.turned_mask(Image.fromarray(mask))), UPRIGHT[number](mask))
    if number > 4:  # this mask was made of the upright picture
        assert np.array_equal(np.asarray(found.turned_mask(Image.fromarray(inside))), inside)


def test_a_jpeg_of_60_by_40_that_lies_on_its_side():
    assert decode(saved(Image.new("RGB", (60, 40)), "JPEG", exif=turned(6))).image.size == (40, 60)


def test_a_ramp_of_16_bits_is_not_cut_off_at_255():
    ramp = np.linspace(0, 65535, 256).astype("uint16")[None].repeat(40, 0)
    for content in (png16(ramp), png16(np.stack([ramp] * 3, 2)), saved(Image.fromarray(ramp), "TIFF")):
        pixels = np.asarray(decode(content).image)
        assert abs(pixels.mean() - 127.5) < 0.6 and pixels.min() == 0 and pixels.max() == 255


def test_a_press_s_colours_lose_its_profile_as_the_plain_formula_has_it():
    inks = np.stack([RAMP[..., 0], RAMP[..., 1], RAMP[..., 2], RAMP[..., 0] // 2], 2).astype("uint8")
    found = decode(saved(Image.fromarray(inks, "CMYK"), "TIFF", icc_profile=b"a profile of a press"))
    by_hand = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255
    assert abs(np.asarray(found.image) - by_hand).max() <= 1 and found.notes == (CMYK,)


@pytest.mark.parametrize(
    "case, note", [("animated GIF", ANIMATED), ("animated PNG", ANIMATED), ("TIFF of pages", ANIMATED), ("PNG", None)]
)
def test_what_had_to_be_chosen_is_said_once(case, note, monkeypatch, caplog):
    monkeypatch.setattr(decoder, "_SAID", set())
    found = [decode(USED[case][0]) for _ in range(3)]
    assert all(one.notes == (() if note is None else (note,)) for one in found)
    assert len(caplog.records) == (note is not None) and (note or "") in caplog.text


OWN = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp", "grey PNG": "png"}


@pytest.mark.parametrize("case", ["PNG", "JPEG", "WEBP", "grey PNG", "BMP", "turned", *USED])
def test_for_other_programs_a_file_goes_as_it_is_or_as_a_png_of_the_pixels(case):
    made = {"JPEG": JPEG, "WEBP": saved(picture(), "WEBP"), "grey PNG": saved(picture("L"))}
    made |= {"turned": saved(picture(), "JPEG", exif=turned(6))}
    content = made.get(case) or USED[case][0]
    found = decode(content)
    kind, sent = found.portable
    assert kind == OWN.get(case, "webp" if case == "WebP" else "png")
    assert (sent == content) == (case in OWN or case in ("WebP", "grey", "a damaged note"))
    with Image.open(io.BytesIO(sent)) as seen:  # as a program that knows nothing of turning or transparency
        assert seen.convert("RGB").tobytes() == found.image.tobytes()


def test_a_camera_file_with_a_second_picture_gives_the_first():
    content = saved(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)])
    assert np.array_equal(np.array(decode(content).image), np.array(decode(JPEG).image)) and not decode(content).notes


def test_datasets_and_transformers_see_the_same_where_they_look_too():
    """Second opinions: `datasets` and transformers' `load_image` follow the note about which way is up, too."""
    datasets = pytest.importorskip("datasets")
    from transformers.image_utils import load_image

    for number in UPRIGHT:
        content = saved(picture(), "PNG", exif=turned(number))
        ours = decode(content).image
        assert np.array_equal(np.asarray(datasets.Image().decode_example({"bytes": content, "path": None})), ours)
        assert np.array_equal(np.asarray(load_image(base64.b64encode(content).decode("ascii"))), ours)


def test_paths(tmp_path):
    for missing in ("none.png", ".", "a\0b", "a" * 300 + ".png"):
        with pytest.raises(BadPicture) as caught:
            decode(missing, tmp_path)
        assert caught.value.reason == Reason.MISSING and len(str(caught.value)) < 400
    for strange in (" ", None, 3, {"bytes": "x"}):
        with pytest.raises(BadPicture) as caught:
            decode(strange)
        assert caught.value.reason == Reason.BAD_VALUE


def test_the_cap_is_a_number_of_pixels():
    assert decode(WHOLE, max_pixels=48 * 36).image.size == SIZE
    with pytest.raises(BadPicture, match="48 x 36"):
        decode(WHOLE, max_pixels=48 * 36 - 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_anywhere_gives_a_picture_or_a_reason(kind):
    draw, whole = random.Random(kind), saved(picture(), kind)
    for _ in range(150):
        content = bytearray(whole[: draw.randrange(1, len(whole) + 1)] if draw.random() < 0.5 else whole)
        for _ in range(draw.randrange(4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        try:
            image = decode(bytes(content)).image
        except BadPicture as bad:
            assert bad.reason in set(Reason)
        else:
            assert image.mode == "RGB"
