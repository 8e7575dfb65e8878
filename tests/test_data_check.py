"""`mmhallu data check`: a good file passes; every defect is found in its line, and in no other."""

import base64
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from mmhallu_core.cli import app
from mmhallu_core.data.answers import read_answers
from mmhallu_core.data.check import ADVICE, NOTES, check_file, read_training_file
from mmhallu_core.data.check_rules import EXAMPLES, KINDS, RECORDS, TRAINED
from mmhallu_core.data.exports import to_datasets, to_llamafactory
from mmhallu_core.methods.med.examples import ConversationExamples, EditExamples
from mmhallu_core.types import CATEGORIES, CannotRun, RecordError, read_jsonl


def png(shade: int, kind: str = "PNG") -> bytes:
    """A small picture of one shade."""
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (shade, 2 * shade % 256, 7)).save(file, format=kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with whole pictures, one cut off, one that is none, and one with the pixels of another."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "pictures").mkdir()
    for number in range(6):
        (folder / "pictures" / f"{number}.png").write_bytes(png(number))
    large = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(large, format="PNG")
    (folder / "pictures" / "cut.png").write_bytes(large.getvalue()[:-800])
    (folder / "pictures" / "none.png").write_text("this is not a picture", encoding="utf-8")
    (folder / "pictures" / "empty.png").touch()
    (folder / "pictures" / "copy-of-0.bmp").write_bytes(png(0, "BMP"))
    Image.new("RGB", (9, 4)).save(folder / "pictures" / "wide.png")
    return folder


def good(kind: str, number: int) -> dict:
    """A record without a fault."""
    inline = {"base64": base64.b64encode(png(100 + number)).decode("ascii")}
    values = {**EXAMPLES[kind], "id": f"{kind}-{number}"}
    if kind == "edit":
        values |= {"image": f"pictures/{number % 3}.png", "edited_image": f"pictures/{3 + number % 3}.png"}
        values |= {"category": CATEGORIES[number % 11], "similarity": 0.97}
    elif kind in ("preference", "conversation"):
        values |= {"images": [f"pictures/{number % 3}.png", inline]}
    elif kind == "pairs":
        values |= {"image": inline if number % 2 else f"pictures/{number % 3}.png"}
    return values


def without(name):
    return lambda values: {key: value for key, value in values.items() if key != name}


def put(**changes):
    return lambda values: {**values, **changes}


# What is done to a good record (or, where a text comes out, to its line), and the reason that must be given.
DEFECTS = {
    "edit": [
        (without("caption"), "missing_field"),
        (without("image"), "missing_field"),
        (put(captoin="x"), "unknown_key"),
        (put(id=3), "bad_value"),
        (put(id=" "), "empty_text"),
        (put(answer=""), "empty_text"),
        (put(difference=["x"]), "bad_value"),
        (put(image="pictures/7.png"), "missing_image"),
        (put(image="pictures"), "missing_image"),
        (put(image="x" * 4000), "missing_image"),
        (put(edited_image="pictures/cut.png"), "corrupt_image"),
        (put(edited_image="pictures/none.png"), "unknown_format"),
        (put(edited_image="pictures/empty.png"), "empty_image"),
        (put(image={"base64": "@@"}), "corrupt_image"),
        (put(image={"base64": "aGVsbG8="}), "unknown_format"),
        (put(image=None), "bad_value"),
        (lambda values: {**values, "edited_image": values["image"]}, "identical_pair"),
        (put(image="pictures/0.png", edited_image="pictures/copy-of-0.bmp"), "identical_pair"),
        (put(image="pictures/0.png", edited_image={"base64": base64.b64encode(png(0)).decode()}), "identical_pair"),
        (put(category="spatial_relation"), "unknown_category"),
        (put(category="Colour"), "unknown_category"),
        (put(category=["Counting"]), "unknown_category"),
        (put(answer="E"), "wrong_letter"),
        (put(answer="a"), "wrong_letter"),
        (put(answer="There is one cup less."), "wrong_letter"),
        (put(options=["A. one", "C. two"]), "wrong_letter"),
        (put(options=["one", "two "]), "bad_options"),
        (put(options=["one", "one"]), "bad_options"),
        (put(options=["one"]), "bad_options"),
        (put(options="one"), "bad_value"),
        (put(similarity=97), "bad_value"),
        (put(similarity=float("nan")), "bad_value"),
        (put(provenance=[]), "bad_value"),
        (put(provenance={"mask": "pictures/9.png"}), "missing_image"),
        (put(provenance={"mask": "pictures/none.png"}), "unknown_format"),
        (put(provenance={"mask": None}), "bad_value"),
        (put(provenance={"reverse": "The way back."}), "bad_value"),
        (put(provenance={"reverse": {"difference": " "}}), "bad_value"),
        (put(provenance={"reverse": {"Difference": "x"}}), "bad_value"),
        (put(provenance={"editor": "me"}), "bad_value"),
        (put(provenance={"editor": None}), "bad_value"),
        (put(provenance={"editor": {"reverse": "x"}}), "bad_value"),
        (put(provenance={"editor": {"reverse": {"difference": 3}}}), "bad_value"),
        (put(provenance={"editor": {"turned": "x"}}), "bad_value"),
        (put(provenance={"editor": {"turned": [["Is there a cup?", "Yes."]]}}), "bad_value"),
        (put(provenance={"editor": {"turned": [["Is there a cup?", "Yes.", " "]]}}), "bad_value"),
        (put(provenance={"source": "my camera"}), "bad_value"),
        (put(edited_image="pictures/wide.png"), "unequal_pair"),
        (lambda values: {**values, "edited_imgae": values.pop("edited_image")}, "unknown_key"),
        (lambda values: good("conversation", 3), "other_kind"),
        (lambda values: {**values, "edited_caption": values["caption"]}, "same_text"),
    ],
    "preference": [
        (without("prompt"), "missing_field"),
        (put(chosen=" "), "empty_text"),
        (put(reject="x"), "unknown_key"),
        (put(images=[]), "bad_value"),
        (put(images="pictures/0.png"), "bad_value"),
        (put(images=["pictures/0.png", "pictures/9.png"]), "missing_image"),
        (put(images=["pictures/cut.png"]), "corrupt_image"),
        (put(images=["pictures/0.png", "pictures/1.png", "pictures/0.png"]), "identical_pair"),
        (put(rejected=EXAMPLES["preference"]["chosen"], rejected_spans=[]), "same_text"),
        (put(chosen_spans=[[24, 300]]), "bad_span"),
        (put(chosen_spans=[[24, 24]]), "bad_span"),
        (put(chosen_spans=[[9, 4]]), "bad_span"),
        (put(chosen_spans=[[-3, 4]]), "bad_span"),
        (put(rejected_spans=[[0, 5], [3, 8]]), "bad_span"),
        (put(rejected_spans=[[6, 8], [1, 3]]), "bad_span"),
        (put(rejected_spans=[[1.0, 3]]), "bad_span"),
        (put(rejected_spans=[[True, 3]]), "bad_span"),
        (put(rejected_spans=[4, 9]), "bad_span"),
        (put(rejected_spans="4-9"), "bad_value"),
    ],
    "pairs": [
        (without("image"), "missing_field"),
        (put(kind=""), "empty_text"),
        (put(image="pictures/9.png"), "missing_image"),
        (put(image="pictures/cut.png"), "corrupt_image"),
        (put(hallucinated=EXAMPLES["pairs"]["grounded"]), "same_text"),
        (put(rejected="x"), "unknown_key"),
    ],
    "conversation": [
        (without("id"), None),
        (put(id=7, provenance={"from": "me"}), None),
        (put(images=["pictures/0.png", "pictures/0.png"]), None),
        (put(id=[1]), "bad_value"),
        (put(id=None), "bad_value"),
        (without("answer"), "bad_value"),
        (put(question=" "), "bad_value"),
        (without("images"), "no_picture"),
        (put(images=[]), "no_picture"),
        (put(images="pictures/0.png"), "bad_value"),
        (put(images={"a": 1}), "bad_value"),
        (put(images=["pictures/9.png"]), "missing_image"),
        (put(images=["pictures/cut.png"]), "corrupt_image"),
        (put(images=[7]), "bad_value"),
        (lambda values: {**without("images")(values), "image": "pictures/0.png"}, "unknown_key"),
        (lambda values: {**without("images")(values), "picture": "pictures/0.png"}, "no_picture"),
        (put(question="<image>What?"), "bad_value"),
        (put(answer="<image>"), "bad_value"),
        (put(messages=[{"role": "user", "content": "?"}, {"role": "assistant", "content": "A."}]), "bad_value"),
        (
            lambda values: {
                "images": values["images"],
                "messages": [
                    {"role": "user", "content": "?", "images": ["pictures/1.png"]},
                    {"role": "assistant", "content": "A."},
                ],
            },
            "bad_value",
        ),
        (lambda values: {"images": values["images"], "messages": []}, "bad_value"),
        (lambda values: {"images": values["images"], "messages": [{"role": ["user"], "content": "?"}]}, "bad_value"),
        (lambda values: good("edit", 3), "other_kind"),
    ],
    "answers": [
        (without("id"), None),  # image_id then is the id: that is how scorers read it
        (lambda values: {"id": values["id"]}, "missing_field"),
        (lambda values: {"answer": "x"}, "missing_field"),
        (put(id=""), "empty_text"),
        (put(id=[1]), "bad_value"),
        (put(answer=7), "bad_value"),
        (put(answer=""), "empty_answer"),
        (put(prompt="x"), "ignored_key"),
        (put(text="Is there a dog?"), "several_answers"),
        (put(response="Yes"), "several_answers"),
    ],
}
for defects in DEFECTS.values():
    defects += [
        (lambda values: json.dumps(values)[:-1], "unreadable_line"),
        (lambda values: "no JSON", "unreadable_line"),
        (lambda values: "7", "unreadable_line"),
        (lambda values: json.dumps(values) + ' {"id": "more"}', "unreadable_line"),
        (lambda values: '{"id": ' + "[" * 101 + "]" * 101 + "}", "unreadable_line"),
        (lambda values: '{"id": ' + "9" * 5000 + "}", "unreadable_line"),
        (lambda values: '{"id": ' + "[" * 200_000, "unreadable_line"),
        (lambda values: json.dumps(values).encode("utf-8") + b"\xff", "unreadable_line"),
        (lambda values: {**values, "id": f"{values['id'].split('-')[0]}-0"}, "duplicate_id"),
    ]
    if defects is not DEFECTS["answers"]:  # what a model says may hold one
        defects.append((lambda values: json.dumps({**values, "id": "\ud83d"}), "bad_value"))
CASES = [(kind, number) for kind, defects in DEFECTS.items() for number in range(len(defects))]


def written(folder, lines):
    """A file of records or of raw lines, with an empty line in it: line numbers count those too."""
    raw = [line if isinstance(line, str | bytes) else json.dumps(line) for line in lines]
    raw = [line if isinstance(line, bytes) else line.encode("utf-8") for line in raw]
    path = folder / "own.jsonl"
    path.write_bytes(b"\n".join([raw[0], b"", *raw[1:]]) + b"\n")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_passes_and_reads(folder, kind):
    path = written(folder, [good(kind, number) for number in range(8)])
    result = check_file(path, kind)
    assert result["ok"] and not result["problems"] and not result["notes"]
    assert (result["n"], result["good"], result["reasons"]) == (8, 8, {})
    if kind in TRAINED:
        assert len(read_training_file(path)) == 8
    else:
        assert len(read_answers(path) if kind == "answers" else read_jsonl(path, RECORDS[kind])) == 8


@pytest.mark.parametrize("kind, number", CASES, ids=[f"{k}-{n}-{DEFECTS[k][n][1]}" for k, n in CASES])
def test_every_defect_is_found_in_its_line(folder, kind, number):
    spoil, reason = DEFECTS[kind][number]
    for where in range(1, 5):
        records = [good(kind, number) for number in range(5)]
        path = written(folder, [*records[:where], spoil(records[where]), *records[where + 1 :]])
        result = check_file(path, kind)
        findings = result["problems"] + result["notes"]
        line = where + 2  # the first line has number 1, and the second is empty
        assert {finding["line"] for finding in findings} == ({line} if reason else set())
        assert reason is None or reason in {finding["reason"] for finding in findings}
        assert result["ok"] == (reason is None or reason in NOTES)
        assert all(finding["do"] == (ADVICE | NOTES)[finding["reason"]] for finding in findings)
        assert (result["n"], result["good"]) == (5, 5 if result["ok"] else 4)


LEAF = st.none() | st.booleans() | st.integers(-3, 40) | st.floats() | st.text(max_size=4)
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner))


@given(st.data())
@pytest.mark.long
def test_what_passes_can_be_read_and_what_cannot_be_read_does_not_pass(folder, data):
    """Any field replaced by any JSON value: the check agrees with the record's own reader, but may be stricter."""
    values = good("preference", 1)
    name = data.draw(st.sampled_from([*values, "mask"]))
    path = written(folder, [{**values, name: data.draw(ANYTHING)}])
    passes = check_file(path, "preference")["ok"]
    try:
        read_jsonl(path, RECORDS["preference"])
    except RecordError:
        assert not passes


# What people put into fields that training reads, right and wrong.
LIKELY = st.sampled_from([
    "pictures/0.png", "pictures/4.png", "pictures/wide.png", "pictures/cut.png", "pictures/9.png", "A", "", None, [],
    {"mask": "pictures/wide.png"}, {"mask": "pictures/cut.png"}, {"mask": 3}, {"reverse": {"difference": "Back."}},
    {"reverse": {}}, {"editor": {"reverse": {"difference": "Back."}}}, {"editor": []}, ["one", "two"], {},
    {"editor": {"turned": [["Is there a cup?", "Yes.", "No."]]}}, {"editor": {"turned": [3]}},
    [{"role": "user", "content": "?"}, {"role": "assistant", "content": "A."}], "<image>What?", "<image><image>What?",
    ["pictures/1.png"],
])  # fmt: skip


@given(st.data())
@pytest.mark.long
@pytest.mark.parametrize("kind", TRAINED)
def test_what_passes_trains_and_exports_and_what_does_not_pass_does_neither(folder, tmp_path_factory, kind, data):
    """Every talk of an epoch is made, with its masks, as training asks for it: nothing is in the way any more."""
    values = good(kind, 1)
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from([*values, "mask", "messages", "image", "images", "provenance"]))
        values = {**values, name: data.draw(LIKELY | ANYTHING)}
    path = written(folder, [good(kind, 2), values])
    passes, out = check_file(path, kind)["ok"], tmp_path_factory.mktemp("out")
    try:
        records = read_training_file(path)
    except CannotRun:
        assert not passes
        return
    assert passes
    own = kind == "conversation"
    examples = ConversationExamples(records, folder) if own else EditExamples(records, folder, masks=True)
    assert all(examples(i).images for i in range(2 * len(examples)))
    chats = records if own else list(examples.chats())
    assert to_llamafactory(chats, folder, out)["n"] == len(chats) == len(examples)
    assert to_datasets(records, folder, out / "hub")["n"] == 2


def test_a_list_is_read_as_lines_are(folder):
    records = [good("edit", 0), {**good("edit", 1), "captoin": "x"}, good("edit", 2)]
    for text in (json.dumps(records), json.dumps(records, indent=1), "\ufeff\n " + json.dumps(records) + "\n"):
        (folder / "own.json").write_text(text, encoding="utf-8")
        result = check_file(folder / "own.json", "edit")
        assert (result["n"], result["good"], result["counted"]) == (3, 2, "item")
        assert [(one["line"], one["reason"]) for one in result["problems"]] == [(2, "unknown_key")]
    (folder / "own.json").write_text(json.dumps([records[0], records[2]]), encoding="utf-8")
    assert [one.image for one in read_training_file(folder / "own.json")] == ["pictures/0.png", "pictures/2.png"]
    whole = json.dumps([records[0], records[2]])
    for torn in (whole[:-1], whole[:-9], whole + "x", whole.replace("}, {", "} {"), "[", whole[:-1] + ",]"):
        (folder / "own.json").write_text(torn, encoding="utf-8")
        assert check_file(folder / "own.json", "edit")["reasons"] == {"unreadable_line": 1}, torn[-20:]


def test_two_kinds_in_one_file_are_refused_and_neither_is_trained_on(folder):
    for first, second in (("edit", "conversation"), ("conversation", "edit")):
        path = written(folder, [good(first, 0), good(second, 1)])
        with pytest.raises(CannotRun, match="line 3: an? .* among "):
            read_training_file(path)


def test_several_faults_of_one_line_are_all_found(folder):
    spoiled = {**good("edit", 0), "category": "Colour", "answer": "Z", "image": "gone.png", "extra": 1, "caption": ""}
    result = check_file(written(folder, [good("edit", 1), spoiled]), "edit")
    assert set(result["reasons"]) == {"unknown_category", "wrong_letter", "missing_image", "unknown_key", "empty_text"}
    assert {problem["line"] for problem in result["problems"]} == {3} and result["good"] == 1


def test_near_misses_are_named(folder):
    spoiled = put(category="part_relation", captoin="x")(good("edit", 0))
    found = [problem["found"] for problem in check_file(written(folder, [spoiled]), "edit")["problems"]]
    assert any("did you mean 'Part Relation'?" in text for text in found)
    assert any("did you mean `caption`?" in text for text in found)


def test_a_picture_of_unreasonable_size_is_not_decoded(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)  # the small pictures here have 20, over twice as many
    reasons = check_file(written(folder, [good("edit", 0)]), "edit")["reasons"]
    assert reasons == {"too_many_pixels": 2}


@pytest.mark.parametrize("line", [{"question_id": 7, "text": "Yes."}, {"image": "a.jpg", "caption": "A dog."}])
def test_answers_under_other_names_are_answers(folder, line):
    assert check_file(written(folder, [line]), "answers")["ok"]


def test_the_examples_of_the_pages_are_good(folder):
    for name, shade in {"kitchen.png": 60, "kitchen-edited.png": 61}.items():
        (folder / "pictures" / name).write_bytes(png(shade))
    for kind, example in EXAMPLES.items():
        assert check_file(written(folder, [example]), kind)["ok"]


def run(*words):
    result = CliRunner().invoke(app, ["data", "check", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_says_line_reason_and_what_to_do(folder):
    path = written(folder, [good("edit", 0), put(image="gone.png")(good("edit", 1))])
    before = sorted(folder.rglob("*"))
    code, out, _ = run(path, "--as", "edit")
    assert code == 1 and sorted(folder.rglob("*")) == before
    assert f"{path}:3  missing_image  `image`: there is no picture at gone.png" in out
    assert ADVICE["missing_image"] in out and "1 of 2 records are good" in out
    result = json.loads(run(path, "--as", "edit", "--json")[1])
    assert result["reasons"] == {"missing_image": 1} and result["problems"][0]["line"] == 3


def test_exit_codes(folder):
    path = written(folder, [good("answers", 0)])
    assert run(path, "--as", "answers")[0] == 0
    assert run(written(folder, [put(answer="")(good("answers", 0))]), "--as", "answers")[0] == 0
    code, _, err = run(path, "--as", "twins")
    assert code == 2 and "'twins' is not one" in err
    assert run(folder / "nothing.jsonl", "--as", "edit")[0] == 2 and run(folder, "--as", "edit")[0] == 2
    path.write_text(json.dumps([good("answers", 0), {"id": "x"}], indent=1), encoding="utf-8")
    code, out, _ = run(path, "--as", "answers")
    assert code == 1 and f"{path}, item 2  missing_field" in out
    path.write_text("\n\n", encoding="utf-8")
    assert run(path, "--as", "edit")[0] == 1


def test_many_problems_do_not_fill_the_screen(folder):
    path = written(folder, [put(image="gone.png")(good("edit", number)) for number in range(60)])
    code, out, _ = run(path, "--as", "edit")
    assert code == 1 and out.count("missing_image") < 60 and "and 20 more problems" in out
    assert len(json.loads(run(path, "--as", "edit", "--json")[1])["problems"]) == 60
