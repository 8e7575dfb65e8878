"""Pictures of unknown origin: each gives an RGB picture or one reason, whatever is in the file."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mmhallu_core.data.pictures import BadPicture
from mmhallu_core.edit.decode import FORMATS, MIN_SIDE, Reason, decode

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
    "1 x 1": (saved(Image.new("RGB", (1, 1))), Reason.SMALL),
    "a strip": (saved(Image.new("RGB", (500, MIN_SIDE - 1))), Reason.SMALL),
    "animated GIF": (frames("GIF"), Reason.ANIMATED),
    "animated PNG": (frames("PNG"), Reason.ANIMATED),
    "animated WebP": (frames("WEBP"), Reason.ANIMATED),
    "TIFF of pages": (frames("TIFF"), Reason.ANIMATED),
    "CMYK JPEG": (saved(picture("CMYK"), "JPEG"), Reason.CMYK),
    "CMYK TIFF": (saved(picture("CMYK"), "TIFF"), Reason.CMYK),
    "16-bit grey PNG": (saved(Image.fromarray(RAMP[..., 0].astype("uint16") * 257)), Reason.DEEP),
    "16-bit colour PNG": (png_of(*SIZE, bits=16), Reason.DEEP),
    "16-bit grey TIFF": (saved(Image.fromarray(RAMP[..., 0].astype("uint16") * 257), "TIFF"), Reason.DEEP),
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


ORIENTED = Image.Exif()
ORIENTED[0x0112] = 6  # turn it a quarter to the right
HALF = picture("RGBA")
HALF.putalpha(0)
USED = {
    "PNG": (WHOLE, RAMP),
    "grey": (saved(picture("L")), np.repeat(np.array(picture("L"))[..., None], 3, axis=2)),
    "palette": (saved(picture("P")), np.array(picture("P").convert("RGB"))),
    "two colours": (saved(picture("1")), np.array(picture("1").convert("RGB"))),
    "still GIF": (saved(picture("P"), "GIF"), np.array(picture("P").convert("RGB"))),
    "transparent": (saved(HALF), np.full_like(RAMP, 255)),
    "BMP": (saved(picture(), "BMP"), RAMP),
    "TIFF": (saved(picture(), "TIFF"), RAMP),
    "WebP": (saved(picture(), "WEBP", lossless=True), RAMP),
    "turned": (saved(picture(), "PNG", exif=ORIENTED), np.rot90(RAMP, -1)),
}


@pytest.mark.parametrize("case", USED)
def test_what_can_be_used_gives_its_pixels(case):
    content, pixels = USED[case]
    image = decode(content)
    assert image.mode == "RGB" and np.array_equal(np.array(image), pixels)


def test_a_camera_file_with_a_second_picture_gives_the_first():
    content = saved(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)])
    assert np.array_equal(np.array(decode(content)), np.array(decode(JPEG)))


def test_paths(tmp_path):
    for missing in ("none.png", ".", "a\0b"):
        with pytest.raises(BadPicture) as caught:
            decode(missing, tmp_path)
        assert caught.value.reason == Reason.MISSING
    with pytest.raises(BadPicture) as caught:
        decode(" ")
    assert caught.value.reason == Reason.BAD_VALUE


def test_the_cap_is_a_number_of_pixels():
    assert decode(WHOLE, max_pixels=48 * 36).size == SIZE
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
            image = decode(bytes(content))
        except BadPicture as bad:
            assert bad.reason in set(Reason)
        else:
            assert image.mode == "RGB" and min(image.size) >= MIN_SIDE
