"""Every value stands where its part of the picture is: a bright patch that moves takes the peak along."""

import pytest
import torch
from explain_cases import ANSWER, FAMILIES, PICTURE, QUESTION, noise, vlm_of
from PIL import Image
from test_families import patches_apart

from mmhallu_core.explain.gradcam import grad_cam
from mmhallu_core.explain.maps import ViewMap
from mmhallu_core.explain.places import pixel_cells, place, tower_boxes
from mmhallu_core.explain.reading import read
from mmhallu_core.explain.run import explain_all
from mmhallu_core.models.record import record

MODELS = ["tiny-llava", *(pytest.param(family, marks=pytest.mark.long) for family in FAMILIES)]
GREY = (127, 127, 127)  # what covers a picture, and what integrated gradients begin at
PATCH = 8  # pixels of a tiny model's patch


@pytest.fixture(params=MODELS)
def family(request):
    return request.param


def side_of(family):
    """Pixels of what one image token stands for."""
    return {"tiny-llava": 12}.get(family, PATCH if family.startswith(("llava", "mllama")) else 2 * PATCH)


def patched(family, at):
    """A plain picture with one bright square, as large as what one image token stands for; and its middle."""
    height, width = PICTURE[family]
    side = side_of(family)
    rows, cols = height // side, width // side
    row, col = (rows - 1, cols // 2) if at else (0, cols - 1)
    image = Image.new("RGB", (width, height), GREY)
    image.paste((250, 240, 20), (col * side, row * side, (col + 1) * side, (row + 1) * side))
    return image, ((col + 0.5) * side, (row + 0.5) * side)


def maps(family, image, beside, method, layer=None, **options):
    """The map's values on one grid, and the box of each."""
    reading = read(vlm_of(family), [*[noise(30, 50, 7)] * beside, image], QUESTION, ANSWER)
    (found,) = explain_all(reading, [reading.find("umbrella")], method, layer, **options)
    return found.pictures[beside].values.double(), found.pictures[beside].boxes


def stands_in(values, boxes, point):
    """Whether the largest value's cell and a point lie on each other."""
    x0, y0, x1, y1 = boxes.flatten(0, 1)[int(values.abs().argmax())].tolist()
    return x0 - 1 <= point[0] <= x1 + 1 and y0 - 1 <= point[1] <= y1 + 1


@pytest.mark.long
@pytest.mark.parametrize("beside", [0, 1], ids=["alone", "second of two"])
def test_a_patch_that_moves_takes_the_peak_along(family, beside):
    """All else is grey already: covering it, or going there from grey, changes nothing."""
    for at in (0, 1):
        image, point = patched(family, at)
        values, boxes = maps(family, image, beside, "ig", steps=8, most=8)
        assert stands_in(values, boxes, point), ("ig", point)
        grid = tuple(length // side_of(family) for length in PICTURE[family])
        values, boxes = maps(family, image, beside, "occlusion", window=1, grid=grid)
        assert stands_in(values, boxes, point), ("occlusion", point)
        moved = values.abs() > 1e-2 * values.abs().max()
        assert int(moved.sum()) == 1, "covering grey with grey changes nothing, but for rounding"


@pytest.mark.parametrize("beside", [0, 1], ids=["alone", "second of two"])
def test_grad_cam_of_a_known_score_moves_with_the_patch(family, beside):
    """The scores are fixed directions of what a layer gives out: then the maps are the activation in these directions.

    Patches are kept from looking at each other, so the patch changes its own cell in each view that shows it, and no
    other cell.
    """
    vlm, before = vlm_of(family), [noise(30, 50, 7)] * beside
    crossing = vlm.family.image_positions is None
    for layer, seen_of in (
        ("vision:0", lambda seen: seen.vision[0]),
        ("connector", lambda seen: seen.connector if crossing else seen.embeddings),
    ):

        def stacks(image, layer=layer, seen_of=seen_of):
            reading = read(vlm, [*before, image], QUESTION, ANSWER)

            def score():
                with record(vlm.model, layers=(), vision_layers=(0,), connector=True, gradients=True) as seen:
                    reading.scores(reading.inputs, [reading.find("red")])
                states = seen_of(seen)
                directions = torch.randn(states.shape[-1], 16, generator=torch.Generator().manual_seed(1))
                return (states @ directions).flatten(0, -2).sum(0)

            with patches_apart(vlm):
                return grad_cam(score, place(reading, layer), vlm.model, 16)[0]

        plain = stacks(Image.new("RGB", PICTURE[family][::-1], GREY))
        for at in (0, 1):
            image, (x, y) = patched(family, at)
            shown = 0
            for one, without in zip(stacks(image), plain, strict=True):
                moved = (one.values - without.values).norm(dim=0)
                x0, y0, x1, y1 = ViewMap(moved, one.box).boxes(image.size)[divmod(int(moved.argmax()), moved.shape[1])]
                inside = one.box[0] < x / image.width < one.box[2] and one.box[1] < y / image.height < one.box[3]
                if one.picture != beside or not inside:
                    assert float(moved.max()) == 0, "a view beside the patch does not change"
                    continue
                shown += 1
                assert x0 - 1 <= x <= x1 + 1 and y0 - 1 <= y <= y1 + 1, (layer, one.box, x, y)
            assert shown


def test_every_token_of_a_place_is_in_one_cell_and_views_lie_on_the_picture(family):
    images = [noise(40, 90), noise(*PICTURE[family])]
    reading = read(vlm_of(family), images, QUESTION, ANSWER)
    patches = pixel_cells(reading, torch.ones_like(reading.inputs["pixel_values"]))
    assert {picture for picture, _, _ in patches} == {0, 1}
    assert [(picture, box) for picture, box, _ in patches] == [where for where in tower_boxes(reading) if where]
    for _, (x0, y0, x1, y1), values in patches:
        assert x0 < x1 and y0 < y1 and min(x0, y0) < 1 and max(x1, y1) > 0 and values.std() == 0
    for picture in (0, 1):  # together the views cover the picture, but for what the processor cuts off
        boxes = [box for number, box, _ in patches if number == picture]
        assert min(box[1] for box in boxes) <= 0 and max(box[3] for box in boxes) >= 1 - 1e-6
    where, seen = place(reading, "vision"), []
    handle = where.module.register_forward_hook(lambda m, a, output: seen.append(
        output[0] if isinstance(output, tuple) else output))  # fmt: skip
    with torch.no_grad():
        reading.scores(reading.inputs, [reading.find("red")])
    handle.remove()
    cells = where.grids(seen[0].shape[:-1])
    every = torch.cat([one.index.flatten() for one in cells])
    assert len(every) == len(every.unique()) <= seen[0].shape[:-1].numel()
    assert [one.picture for one in cells] == [number for number, _, _ in patches]


@pytest.mark.long
def test_what_a_view_covers_is_what_its_tiles_show():
    """Half of a picture is white: the patches that the boxes put there are white too, padding and tiles considered."""
    for family in ("llava_next", "llava_onevision", "mllama", "internvl", "idefics3"):
        for size in ((60, 30), (30, 60), (48, 48)):
            image = Image.new("RGB", size, (0, 0, 0))
            image.paste((255, 255, 255), (size[0] // 2, 0, *size))
            reading = read(vlm_of(family), [image], QUESTION, ANSWER)
            pixels = reading.inputs["pixel_values"]
            for _, box, values in pixel_cells(reading, (pixels > pixels.mean()).to(pixels.dtype)):
                cols = values.shape[1]
                for col in range(cols):
                    x = box[0] + (col + 0.5) / cols * (box[2] - box[0])
                    inside = [row for row in range(len(values)) if 0.25 < box[1] + (row + 0.5) / len(values)
                              * (box[3] - box[1]) < 0.75]  # fmt: skip
                    if 0.15 < x < 0.35 or 0.65 < x < 0.85:
                        for row in inside:
                            share = float(values[row, col]) / (3 * PATCH * PATCH)
                            assert abs(share - (x > 0.5)) < 0.2, (family, size, box, row, col)
