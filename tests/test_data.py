"""Readers take every shape that people use and refuse the rest; data sets are listed, fetched and checked."""

import gzip
import hashlib
import http.server
import json
import os
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmhallu_core.data import sources as sources_module
from mmhallu_core.data.answers import read_answers
from mmhallu_core.data.pope import pope_questions, read_questions
from mmhallu_core.data.sources import Source, SourceFile, fetch, source, sources, state, verify
from mmhallu_core.data.vocabulary import Vocabulary, coco_image_id, coco_objects, coco_vocabulary, read_truth
from mmhallu_core.evaluate import coco_truth
from mmhallu_core.evaluate.coco_truth import objects_of_archive, vocabulary_of_script
from mmhallu_core.store import MissingFile, data_file, json_sha256
from mmhallu_core.types import Answer, CannotRun, RecordError

needs_data = pytest.mark.skipif(not os.environ.get("MMHALLU_DATA"), reason="MMHALLU_DATA is not set: no public data")
ROWS = [
    {"question_id": 0, "image_id": 77, "text": "A {dog}, [here].\nYes"},
    {"question_id": 1, "image_id": "78", "text": ""},
]


def written(tmp_path, text, name="answers.json"):
    """A file with this text."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n".join(map(json.dumps, ROWS)),
        "\n".join(json.dumps(row, indent=4) for row in ROWS),
        "".join(map(json.dumps, ROWS)),
        "\ufeff" + "\r\n".join(map(json.dumps, ROWS)) + "\r\n\r\n",
    ],
    ids=["list", "pretty list", "lines", "pretty objects", "no separator", "byte order mark and Windows line ends"],
)
def test_every_file_shape_reads_the_same(text, tmp_path):
    expected = [Answer("0", "A {dog}, [here].\nYes", "77"), Answer("1", "", "78")]
    assert read_answers(written(tmp_path, text)) == expected


@pytest.mark.parametrize(
    "row, answer",
    [
        ({"id": 7, "answer": "x"}, Answer("7", "x")),
        ({"id": 7.0, "response": "x"}, Answer("7", "x")),
        ({"id": " 7 ", "text": "x"}, Answer("7", "x")),
        ({"image_id": 7, "caption": "x"}, Answer("7", "x", "7")),
        ({"question_id": 1, "image": "a/b.jpg", "answer": "x", "query": "a question"}, Answer("1", "x", "a/b.jpg")),
        ({"id": "VD/illusion/0/1/0", "answer": "x"}, Answer("VD/illusion/0/1/0", "x")),
    ],
)
def test_ids_and_texts_under_any_of_their_names(row, answer, tmp_path):
    assert read_answers(written(tmp_path, json.dumps(row))) == [answer]


@pytest.mark.parametrize(
    "text, fault",
    [
        ('{"id": 1, "answer": "x"}\n{"answer": "y"}', "line 2: no id among"),
        ('{"id": 1, "answer": "x"}\n\n{"id": 2}', "line 3: no answer among"),
        ('{"id": 1, "answer": "x"}\n{"id": "1", "answer": "y"}', "line 2: id '1' was already used in line 1"),
        ('{"id": 1, "answer": ["x"]}', r"line 1: `answer` must be a text, got \['x'\]"),
        ('{"id": true, "answer": "x"}', "line 1: `id` must be a number or a text"),
        ('{"id": 1.5, "answer": "x"}', "line 1: `id` must be a number or a text"),
        ('{"id": 1, "answer": "x"}\n{"id": 2, "ans', "line 2: not JSON"),
        ('[{"id": 1, "answer": "x"},', "the list has no end"),
        ("[1, 2]", "line 1: expected a JSON object, got 1"),
        ("", "no answers in it"),
        ("[]", "no answers in it"),
    ],
)
def test_a_bad_file_is_refused_with_file_line_and_fault(text, fault, tmp_path):
    with pytest.raises(RecordError, match=f"answers.json.*{fault}"):
        read_answers(written(tmp_path, text))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(RecordError, match="not a UTF-8 text file"):
        read_answers(tmp_path / "a.json")


@given(
    texts=st.lists(st.text(), min_size=1, max_size=5),
    indent=st.sampled_from([None, 2]),
    between=st.sampled_from(["", "\n", "\n\n"]),
)
def test_any_text_survives_any_layout(texts, indent, between, tmp_path_factory):
    rows = [json.dumps({"id": number, "answer": text}, indent=indent) for number, text in enumerate(texts)]
    path = written(tmp_path_factory.mktemp("any"), between.join(rows))
    assert [answer.answer for answer in read_answers(path)] == texts


def test_questions_in_popes_form_and_in_ours(tmp_path):
    pope = {
        "question_id": 3,
        "image": "COCO_val2014_000000310196.jpg",
        "text": "Is there a dog in the image?",
        "label": "Yes",
    }
    (read,) = read_questions(written(tmp_path, json.dumps(pope)))
    assert (read.id, read.image_id, read.label) == ("3", "310196", "yes")
    assert read_questions(written(tmp_path, json.dumps([read.to_dict()]))) == [read]
    own = {"id": "a", "image_id": "0007", "question": "Is there a dog in the image?", "label": "no"}
    assert read_questions(written(tmp_path, json.dumps(own)))[0].image_id == "0007"


@pytest.mark.parametrize(
    "change, fault",
    [
        ({"label": None}, "`label` must be yes or no"),
        ({"label": ...}, "is this a file of answers"),
        ({"image": ...}, "no picture"),
        ({"question_id": ...}, "no question id"),
        ({"text": ...}, "no question among"),
    ],
)
def test_a_bad_question_is_refused(change, fault, tmp_path):
    row = {"question_id": 3, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "yes", **change}
    row = {key: value for key, value in row.items() if value is not ...}
    with pytest.raises(RecordError, match=f"line 1: .*{fault}"):
        read_questions(written(tmp_path, json.dumps(row)))


def test_a_request_for_what_does_not_exist_is_refused():
    with pytest.raises(RecordError, match="random, popular, adversarial"):
        pope_questions("hard")
    with pytest.raises(CannotRun, match="there are med_bench, pope, chair, amber, hallusionbench"):
        source("coco")


@pytest.mark.parametrize(
    "name, number",
    [
        ("COCO_val2014_000000310196.jpg", "310196"), ("val2014/COCO_train2014_000000000009.JPG", "9"),
        ("000000310196", "310196"),
        ("310196.jpg", "310196"), ("310196", "310196"), ("beach 1", "beach 1"), ("img_12.png", "img_12.png"),
    ],
)  # fmt: skip
def test_coco_image_ids(name, number):
    assert coco_image_id(name) == number


def test_ground_truth_files(tmp_path):
    plain = written(tmp_path, '{"1": ["dog"], "2": []}')
    assert read_truth(plain) == ({"1": frozenset({"dog"}), "2": frozenset()}, None)
    full = {"objects": {"1": ["dog"]}, "vocabulary": {"terms": {"dog": "dog", "puppy": "dog"}, "doubles": {}}}
    with gzip.open(tmp_path / "t.json.gz", "wt", encoding="utf-8") as out:
        json.dump(full, out)
    truth, vocabulary = read_truth(tmp_path / "t.json.gz")
    assert truth == {"1": frozenset({"dog"})} and vocabulary == Vocabulary({"dog": "dog", "puppy": "dog"})
    with pytest.raises(CannotRun, match="objects that the vocabulary does not have: cat"):
        read_truth(written(tmp_path, json.dumps({**full, "objects": {"1": ["cat"]}})))
    with pytest.raises(CannotRun, match="image '1' must have a list"):
        read_truth(written(tmp_path, '{"1": "dog"}'))
    with pytest.raises(CannotRun, match="not the JSON file"):
        read_truth(written(tmp_path, "{"))


def test_the_list_of_sources_is_complete():
    assert list(sources()) == ["med_bench", "pope", "chair", "amber", "hallusionbench"]
    for one in sources().values():
        assert len(one.commit) == 40 and one.licence and len({entry.path for entry in one.files}) == len(one.files)
        for entry in one.files:
            assert not Path(entry.path).is_absolute() and ".." not in Path(entry.path).parts
            assert (entry.source is None) == (entry.sha256 is None) == (entry.json_sha256 is not None)
    assert len(source("med_bench").files) == 332
    assert "MIT" in source("pope").describe() and "7.0 MB" in source("pope").describe()


@needs_data
@pytest.mark.long
def test_the_data_on_this_machine_are_the_expected_bytes():
    for name in sources():
        assert set(verify(name).values()) == {"ok"}, name


@needs_data
@pytest.mark.long
def test_the_real_files_read():
    assert len(coco_objects()) == 123_287 and "dining table" in set().union(*coco_objects().values())
    assert len(coco_vocabulary().objects) == 80
    for model in ("instructblip", "llava", "minigpt-4", "mmgpt", "mplug"):
        captions = read_answers(data_file(f"pope/captions/Instruction1_{model}.json"))
        assert len({caption.image_id for caption in captions}) == len(captions) == 2000


def test_without_the_data_the_command_that_gets_them_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path))
    for read, name in ((coco_objects, "chair"), (coco_vocabulary, "chair"), (lambda: pope_questions("random"), "pope")):
        with pytest.raises(MissingFile, match=f"mmhallu data get {name}"):
            read()


@pytest.fixture
def public(tmp_path, monkeypatch):
    """A small data set with a public home on this machine: (address, folder that is served)."""
    monkeypatch.setenv("MMHALLU_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MMHALLU_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MMHALLU_OFFLINE", raising=False)
    served = tmp_path / "served"

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", served
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def listing(monkeypatch, name, files):
    """Makes `sources()` hold one small data set."""
    one = Source(name, "A small set", "https://github.com/some/one", "c" * 40, "CC0", "", tuple(files))
    monkeypatch.setattr(sources_module, "sources", lambda: {name: one})
    return one


def test_fetching_shows_the_licence_checks_and_repairs(public, monkeypatch):
    address, served = public
    home = served / "some" / "one" / ("c" * 40) / "data"
    home.mkdir(parents=True)
    (home / "a.json").write_bytes(b"[1]")
    files = [SourceFile("sub/a.json", 3, hashlib.sha256(b"[1]").hexdigest(), source="data/a.json")]
    one, said = listing(monkeypatch, "small", files), []
    assert verify("small") == {"sub/a.json": "missing"}
    assert fetch("small", said.append, address) == ["sub/a.json"]
    assert "licence  CC0" in said[0] and "size" in said[0] and "1 of 1: sub/a.json" in said[1]
    assert verify("small") == {"sub/a.json": "ok"}
    assert fetch("small", said.append, address) == []  # nothing to do the second time
    (one.folder / "sub" / "a.json").write_bytes(b"[2]")
    assert verify("small") == {"sub/a.json": "changed"}
    assert fetch("small", said.append, address) == ["sub/a.json"]
    (home / "a.json").write_bytes(b"[666]")
    (one.folder / "sub" / "a.json").unlink()
    with pytest.raises(CannotRun, match="thrown away"):
        fetch("small", said.append, address)
    assert verify("small") == {"sub/a.json": "missing"}


SCRIPT = """
synonyms_txt = '''
person, man, baby
dog, puppy
train
toilet
'''
class CHAIR(object):
    def __init__(self):
        coco_double_words = ['train track', 'bow tie']
        animal_words = ['dog']
        vehicle_words = ['train']
        self.double_word_dict = {}
        for word in coco_double_words:
            self.double_word_dict[word] = word
        self.double_word_dict['bow tie'] = 'tie'
raise SystemExit('this text is read and never run')
"""


def coco_archive(path):
    """An archive in the form of COCO's, with three photos."""
    instances = {
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": [
            {"image_id": 1, "category_id": 1},
            {"image_id": 1, "category_id": 1},
            {"image_id": 2, "category_id": 18},
        ],
    }
    captions = [
        {"image_id": 1, "caption": "A man with two puppies."},
        {"image_id": 3, "caption": "A train on a train track"},
    ]
    with zipfile.ZipFile(path, "w") as out:
        for split, some in (("train", captions[:1]), ("val", captions[1:])):
            there = instances if split == "train" else {**instances, "annotations": []}
            out.writestr(f"annotations/instances_{split}2014.json", json.dumps(there))
            out.writestr(f"annotations/captions_{split}2014.json", json.dumps({"annotations": some}))


OBJECTS = {"1": ["dog", "person"], "2": ["dog"], "3": ["train"]}


def test_the_chair_vocabulary_is_read_from_the_script_without_running_it():
    content = vocabulary_of_script(SCRIPT)
    assert content["mscoco_objects"] == ["", "person", "man", "baby", "dog", "puppy", "train", "toilet"]
    assert content["inverse_synonym_dict"]["puppy"] == "dog"
    assert content["double_word_dict"] == {
        "train track": "train track", "bow tie": "tie", "baby dog": "dog", "adult dog": "dog",
        "passenger train": "train",
    }  # fmt: skip
    with pytest.raises(CannotRun, match="no `animal_words`"):
        vocabulary_of_script(SCRIPT.replace("animal_words", "beasts"))


def test_the_chair_objects_are_made_from_cocos_archive(tmp_path):
    content = vocabulary_of_script(SCRIPT)
    vocabulary = Vocabulary(content["inverse_synonym_dict"], content["double_word_dict"])
    coco_archive(tmp_path / "a.zip")
    assert objects_of_archive(tmp_path / "a.zip", vocabulary) == OBJECTS
    (tmp_path / "b.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:200])
    with pytest.raises(CannotRun, match="not COCO's 2014 annotation archive"):
        objects_of_archive(tmp_path / "b.zip", vocabulary)


def test_getting_chair_makes_both_files_and_checks_their_content(public, monkeypatch):
    address, served = public
    home = served / "Maxlinn" / "CHAIR-metric-standalone" / ("c" * 40)
    home.mkdir(parents=True)
    (home / "chair.py").write_text(SCRIPT, encoding="utf-8")
    coco_archive(served / "coco.zip")
    files = [
        SourceFile("chair_vocab.json", 1, json_sha256=json_sha256(vocabulary_of_script(SCRIPT))),
        SourceFile("coco_objects.json.gz", 1, json_sha256=json_sha256(OBJECTS)),
    ]
    one, said = listing(monkeypatch, "chair", files), []
    made = coco_truth.fetch_chair(said.append, address, f"{address}/coco.zip")
    assert made == ["chair_vocab.json", "coco_objects.json.gz"] and "licence" in said[0]
    assert [state(entry, one.folder) for entry in files] == ["ok", "ok"]
    assert coco_truth.fetch_chair(said.append, address, f"{address}/coco.zip") == []
    wrong = [files[0], SourceFile("coco_objects.json.gz", 1, json_sha256="0" * 64)]
    listing(monkeypatch, "chair", wrong)
    with pytest.raises(CannotRun, match="not the one that this project's numbers rest on"):
        coco_truth.fetch_chair(said.append, address, f"{address}/coco.zip")


def test_an_id_that_comes_twice_is_found_on_one_line_too(tmp_path):
    """A JSON list without line breaks has all its items in line 1."""
    questions = [{"question_id": 7, "image": "a.jpg", "text": "Is there a dog?", "label": "no"}] * 2
    for read, items in ((read_questions, questions), (read_answers, [{"id": "x", "answer": "No."}] * 2)):
        file = tmp_path / "list.json"
        file.write_text(json.dumps(items), encoding="utf-8")
        with pytest.raises(RecordError, match="already used"):
            read(file)
