"""Published files with wrong values in them: every reader takes them or says where they are wrong, and never breaks."""

import copy
import json

import pytest
from quick_cli import run

from mmhallu_core.data.answers import json_objects, read_answers, read_captions
from mmhallu_core.data.pope import read_questions
from mmhallu_core.evaluate.audit import audit
from mmhallu_core.evaluate.benchmark import score
from mmhallu_core.evaluate.benchmarks import benchmarks
from mmhallu_core.evaluate.diorama import benchmark
from mmhallu_core.evaluate.files import read_any
from mmhallu_core.types import Answer, CannotRun, RecordError

WRONG = (
    None,
    7,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    True,
    "",
    " ",
    "x",
    "\ud800",
    [],
    ["x"],
    [7],
    [[]],
    {},
    {"a": 1},
    10**30,
)

# Rows of each published form, as small as they can be.
ROWS = {
    "mme": [
        {"question_id": "count/1.jpg", "image": "1.jpg", "question": "Two?", "answer": "Yes", "category": "count"},
        {"question_id": "count/1.jpg", "image": "1.jpg", "question": "Six?", "answer": "No", "category": "count"},
    ],
    "mmvp": [
        {"lndex": 1, "Question": "Is it open?", "Options": "(a) Open (b) Closed", "Correct Answer": "(a)"},
        {"lndex": 2, "Question": "Is it open?", "Options": "(a) Open (b) Closed", "Correct Answer": "(b)"},
    ],
    "hallusionbench": [
        {"category": "VD", "subcategory": "ocr", "set_id": "0", "figure_id": "1", "question_id": "0",
         "visual_input": "1", "question": "Is it a stop sign?", "gt_answer_details": "It is.", "gt_answer": "1",
         "filename": "./a/0.png"},
        {"category": "VS", "subcategory": "map", "set_id": "0", "figure_id": "0", "question_id": "0",
         "visual_input": "0", "question": "Is it north?", "gt_answer_details": "It is not.", "gt_answer": "0",
         "filename": None},
    ],
    "spatialsense": [
        {"url": "http://a.b/c.jpg", "split": "test", "annotations": [
            {"_id": "1", "predicate": "on", "label": True, "subject": {"name": "cat"}, "object": {"name": "mat"}}]},
    ],
    "rbench": [{"question_id": 1, "image": "a.jpg", "text": "Is the man on the horse?", "label": "yes"}],
    "rbench-instance": [
        {"question_id": 1, "image": "a.jpg", "text": "Is the man on the horse?", "label": "no", "subject": "man",
         "object": "horse", "sub_box": [0.1, 0.1, 0.5, 0.5], "obj_box": [0.2, 0.2, 0.6, 0.6]},
    ],
    "rbench-dis": [{"index": 1, "question": "What?", "A": "a dog", "B": "a cat", "answer": "A", "image": "a.jpg"}],
    "med-bench": [
        {"question": "What changed?", "options": ["A. A dog", "B. A cat"], "answer": "A", "image_name": "a/1.jpg",
         "edited_image_name": "a/1_edit.jpg", "type": "Object"},
    ],
    "med-real": [
        {"question": "What changed?", "options": ["A. A dog", "B. A cat"], "answer": "A", "image_name": "a/1.jpg",
         "edited_image_name": "a/2.jpg"},
    ],
    "blink": [
        {"idx": "val_Counting_1", "prompt": "How many? (A) one (B) two", "choices": ["one", "two"], "answer": "(A)",
         "sub_task": "Counting", "image_1": "a.jpg"},
    ],
    "crpe": [
        {"question_id": n, "image": "a.jpg", "text": f"Who?\nA. {a}\nB. {b}", "correct_option": right, "category": "x"}
        for n, (a, b, right) in enumerate([("man", "dog", "A"), ("dog", "man", "B")])
    ],
    "mmstar": [
        {"index": 1, "question": "What? Options: A: red, B: blue", "answer": "A", "category": "logic",
         "l2_category": "x", "image": "a.jpg"},
    ],
    "mmhal": [
        {"question_type": "attribute", "question_topic": "x", "image_id": "1", "image_src": "http://a.b/1.jpg",
         "image_content": ["dog"], "question": "What colour?", "gt_answer": "Red."},
    ],
    "pope": [{"question_id": 1, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "yes"}],
    "med-tiny": [{"id": "a", "prompt": "Which? A. one B. two", "truth": "A", "options": ["one", "two"],
                  "images": ["a.png"], "about": {"category": "Counting"}}],
}  # fmt: skip


def places(value, path=()):
    """The paths to all values inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key)
        yield from places(one, (*path, key))


def spoilt(rows):
    """The rows with one value wrong, each in turn, and with one value gone."""
    for path in places(rows):
        for wrong in (*WRONG, ...):
            changed = copy.deepcopy(rows)
            *way, last = path
            inner = changed
            for key in way:
                inner = inner[key]
            if wrong is ...:
                del inner[last]
            else:
                inner[last] = wrong
            yield changed


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_every_benchmark_is_here_or_read_elsewhere():
    made_here = {"med-tiny-real", "med-tiny-swapped", "med-tiny-same", "rbench-ref", "rbench-dis"}
    folders = {"amber", "amber-discriminative", "amber-generative", "chair"}
    assert set(benchmarks()) - set(ROWS) - made_here - folders == set()


@pytest.mark.long
@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_value_is_taken_or_refused_with_its_place(name, tmp_path):
    bench, path = benchmark(name), tmp_path / "rows.jsonl"
    good = bench.read(write(path, ROWS[name]))
    assert good, "the rows are right as they stand"
    refused = 0
    for rows in spoilt(ROWS[name]):
        try:
            questions = bench.read(write(path, rows))
            said = [Answer(one.id, "Yes, A") for one in questions]
            judged = [Answer(one.id, "correct, rating: 3") for one in questions] if bench.judge else None
            score(bench, questions, said, judged, draws=2)
        except CannotRun as error:
            refused += 1
            assert len(str(error)) < 1000
    assert refused > 10


@pytest.mark.parametrize("text, fault", [
    ('{"id": ' + "9" * 5000 + "}", "line 1: a number has more digits"),
    ('{"id": 1, "answer": "x"}\n{"id": ' + "[" * 100_000, "line 2: lists or objects are nested too deeply"),
    ('{"id": NaN, "answer": "x"}', "`id` must be a number or a text"),
    ('{"id": 1e400, "answer": "x"}', "`id` must be a number or a text"),
])  # fmt: skip
def test_numbers_and_nestings_that_python_refuses(text, fault, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8")
    for read in (read_answers, read_captions):
        with pytest.raises(RecordError, match=fault):
            read(path)
    for command in (["score", "pope"], ["score", "mmvp"], ["audit"]):
        more = [path] if command == ["audit"] else ["--questions", path, "--answers", path]
        code, out, _ = run(*command, *more, "--json")
        assert code == 2 and "should not have happened" not in json.loads(out)["error"]


def test_wrong_answers_are_refused_with_their_place(tmp_path):
    rows = [{"id": "1", "image_id": "9", "answer": "Yes"}, {"id": "2", "image_id": "9", "answer": "No"}]
    for changed in spoilt(rows):
        for read in (read_answers, read_captions):
            try:
                read(write(tmp_path / "a.jsonl", changed))
            except RecordError as error:
                assert "a.jsonl, line" in str(error)


@pytest.mark.long
def test_wrong_questions_of_ones_own_are_refused_by_audit(tmp_path):
    for name in ("pope", "med-bench", "med-tiny"):
        for rows in spoilt(ROWS[name]):
            path = write(tmp_path / "q.jsonl", rows)
            try:
                audit(read_any(path))
            except CannotRun:
                continue
    with pytest.raises(RecordError, match="line 1: no question"):
        read_questions(write(tmp_path / "q.jsonl", [{**ROWS["pope"][0], "text": ["Is", "it"]}]))


@pytest.mark.long
def test_ambers_folder_with_wrong_values(tmp_path):
    annotations = [{"id": 1, "type": "generative", "truth": ["dog"], "hallu": ["cat"]},
                   {"id": 2, "type": "discriminative-hallucination", "truth": "no"}]  # fmt: skip
    queries = [{"id": n, "image": "AMBER_1.jpg", "query": "Is there a cat in this image?"} for n in (1, 2)]
    relation = {"dog": ["puppy"], "cat": []}
    right = {"annotations": annotations, "query_all": queries, "relation": relation}
    refused = dict.fromkeys(right, 0)
    for name in right:
        for number, changed in enumerate(spoilt([right[name]] if name == "relation" else right[name])):
            folder = tmp_path / f"{name}{number}"  # a new one, because the tables are read once a folder
            (folder / "query").mkdir(parents=True)
            for other, rows in right.items():
                rows = (changed[0] if name == "relation" and changed else changed) if other == name else rows
                where = folder / "query" if other == "query_all" else folder
                (where / f"{other}.json").write_text(json.dumps(rows), encoding="utf-8")
            (folder / "safe_words.txt").write_text("sky", encoding="utf-8")
            for bench in map(benchmark, ("amber-discriminative", "amber")):
                try:
                    questions = bench.read(folder)
                    score(bench, questions, [Answer(one.id, "No") for one in questions], draws=2)
                except CannotRun as error:
                    refused[name] += 1
                    assert str(error).strip()
    assert all(refused.values()), f"of each file some wrong values are refused: {refused}"


def test_truth_and_vocabulary_files_with_wrong_values(tmp_path):
    right = {"objects": {"1": ["dog"]}, "vocabulary": {"terms": {"dog": "dog"}, "doubles": {"hot dog": ""}}}
    captions = write(tmp_path / "c.jsonl", [{"image_id": "1", "caption": "A hot dog."}])
    for number, changed in enumerate(spoilt([right])):
        truth = tmp_path / f"{number}.json"
        truth.write_text(json.dumps(changed[0]) if changed else "", encoding="utf-8")
        code, out, _ = run("score", "chair", "--answers", captions, "--gt", truth, "--json")
        assert code in (0, 2) and "should not have happened" not in out


def test_a_first_object_shows_where_a_later_one_is_wrong(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1},\n {"a": 2},\n 3]', encoding="utf-8")
    with pytest.raises(RecordError, match="line 3: expected a JSON object"):
        list(json_objects(path))
