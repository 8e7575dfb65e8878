"""Records check themselves, survive a trip through a file, and name file, line and fault when they are wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmhallu_core.types import (
    CATEGORIES,
    Answer,
    EditSample,
    ImagePair,
    Preference,
    RecordError,
    RegionText,
    ResponsePair,
    YesNoQuestion,
    read_jsonl,
    slug,
    write_jsonl,
)

EDIT = dict(
    id="e1", image="a.png", edited_image="b.png", category="Counting", edit_instruction="remove one dog",
    caption="Two dogs.", edited_caption="One dog.", difference="One dog less.", question="What changed?",
    answer="One dog less.", similarity=0.97, provenance={"seed": 3},
)  # fmt: skip
RECORDS = [
    ImagePair("p1", "a.png", b"\x89PNG\x00\xff", mask=b"m"),
    EditSample(**EDIT, options=("A", "B")),
    Preference("q1", "Describe.", "A dog.", "A cat.", ("a.png", b"\x00"), ((2, 5),), ((2, 5),)),
    RegionText("r1", "a.png", (0.0, 1.5, 10.0, 20.0), "a red ball", "world"),
    ResponsePair("s1", "a.png", "Describe.", "A dog.", "A dog and a cat.", "object"),
    Answer("1", "", image_id="77"),
    YesNoQuestion("1", "77", "Is there a dog in the image?", "yes"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_survives_a_file(record, tmp_path):
    write_jsonl(tmp_path / "x.jsonl", [record])
    assert read_jsonl(tmp_path / "x.jsonl", type(record)) == [record]
    assert b"\r" not in (tmp_path / "x.jsonl").read_bytes()


@pytest.mark.long
@given(answer=st.text(), image=st.binary(min_size=1))
def test_any_text_and_any_bytes_survive(answer, image, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    write_jsonl(path, [Answer("1", answer)])
    assert read_jsonl(path, Answer)[0].answer == answer
    write_jsonl(path, [ImagePair("1", image, image)])
    assert read_jsonl(path, ImagePair)[0].image == image


@pytest.mark.parametrize(
    "make, fault",
    [
        (lambda: Answer("", "x"), "`id`"),
        (lambda: Preference("1", "p", "same", "same", ("a",)), "same text"),
        (lambda: Preference("1", "p", "a dog", "a cat", ()), "`images` is empty"),
        (lambda: Preference("1", "p", "a dog", "a cat", ("a",), chosen_spans=((2, 9),)), "outside 5 characters"),
        (lambda: Preference("1", "p", "a dog", "a cat", ("a",), rejected_spans=((2, 4), (3, 5))), "rejected_spans"),
        (lambda: RegionText("1", "a", (5.0, 0.0, 5.0, 9.0), "t", "world"), "x0 < x1"),
        (lambda: EditSample(**{**EDIT, "category": "Colour"}), "must be one of Object, Attribute"),
        (lambda: EditSample(**{**EDIT, "similarity": 97.0}), "cosine"),
        (lambda: EditSample(**EDIT, options=("A", "A")), "different"),
        (lambda: ImagePair("1", "a", b""), "`edited_image`"),
        (lambda: ResponsePair("1", "a", "p", "same", "same", "object"), "same text"),
        (lambda: YesNoQuestion("1", "7", "Is it?", "maybe"), "yes or no"),
    ],
)
def test_a_wrong_record_says_what_is_wrong(make, fault):
    with pytest.raises(RecordError, match=fault):
        make()


@pytest.mark.parametrize(
    "line, fault",
    [
        ('{"id": "2", "answer": "x"', "line 3: not a JSON object"),
        ('{"id": "2"}', "line 3: Answer needs `answer`"),
        ('{"id": "2", "answer": "x", "score": 1}', "line 3: Answer has no field `score`"),
        ("[1, 2]", "line 3: Answer must be a JSON object, got list"),
        ('{"id": "1", "answer": "x"}', "line 3: id '1' was already used in line 1"),
        ('{"id": 2, "answer": "x"}', "line 3: `id` of Answer must be a text, got 2"),
    ],
)
def test_a_broken_file_names_file_line_and_fault(line, fault, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": "1", "answer": "x"}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match="answers.jsonl, " + fault.replace("(", r"\(")):
        read_jsonl(path, Answer)


@pytest.mark.parametrize(
    "kind, field, value, wanted",
    [
        (Preference, "chosen_spans", [[2, 5.5]], "a list"),
        (Preference, "chosen_spans", [[2, 5, 6]], "a list"),
        (Preference, "images", "a.png", "a list"),
        (Preference, "provenance", [], "an object"),
        (RegionText, "box", [0, 0, 9], "a list"),
        (EditSample, "similarity", True, "a whole number or a number or null"),
        (EditSample, "image", 3, "a text or bytes"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(kind, field, value, wanted):
    good = next(record for record in RECORDS if isinstance(record, kind)).to_dict()
    with pytest.raises(RecordError, match=f"`{field}` of {kind.__name__} must be {wanted}, got"):
        kind.from_dict({**good, field: value})


def test_whole_numbers_pass_where_numbers_are_wanted():
    assert RegionText.from_dict({**RECORDS[3].to_dict(), "box": [0, 1, 2, 3]}).box == (0, 1, 2, 3)


def test_damaged_base64_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    bad = {"id": "1", "image": {"base64": "@@"}, "edited_image": "b"}
    path.write_text(json.dumps(bad), encoding="utf-8")
    with pytest.raises(RecordError, match="line 1: a picture's base64"):
        read_jsonl(path, ImagePair)


def test_categories_have_the_papers_names_and_unique_slugs():
    assert len(CATEGORIES) == len({slug(name) for name in CATEGORIES}) == 11
    assert slug("Spatial Relation") == "spatial_relation"
