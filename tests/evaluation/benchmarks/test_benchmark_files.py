"""Files of predictions and truth: every mistake is one line with its place."""

from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks import find_benchmark
from d2vlm_pipeline.evaluation.benchmarks.files import (
    Row,
    load_json,
    load_lines,
    load_list,
    load_object,
    load_text,
    unique,
)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "p.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LOADERS = [load_json, load_list, load_object, load_lines, load_text]


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("text", [b"", None])
def test_an_empty_or_missing_file_is_refused(load, text: bytes | None, tmp_path: Path) -> None:
    path = written(tmp_path, text) if text is not None else tmp_path / "none.json"
    with pytest.raises(UserError, match=str(path)):
        load(path)


@pytest.mark.parametrize(
    ("load", "text", "place"),
    [
        (load_json, '[{"a": 1},\n{"b"', ":2"),
        (load_list, '[{"a": 1},\n{"b"', ":2"),
        (load_lines, '{"a": 1}\n\n{"b"', ":3"),
        (load_text, b"a 1 2##x\n\xff\n", ":2"),
        (load_list, "{}", "expected a JSON list"),
        (load_object, "[]", "expected a JSON object"),
        (load_list, "[]", "no entries"),
        (load_object, "{}", "no entries"),
        (load_lines, "\n\n", "no entries"),
        (load_list, '[{}, {"a": 1, "a": 2}]', "entry 2: the key 'a' is written more than once"),
        (load_object, '{"v": 1, "w": 2, "v": 3}', "the key 'v' is written more than once"),
        (load_lines, '{"a": 1, "a": 2}', ":1: the key 'a' is written more than once"),
        (load_object, '{"\\ud800": 1}', "expected text"),
        (load_json, "[" * 200_000, "nested too deeply"),
        (load_json, "[" + "9" * 5000 + "]", "not JSON"),
    ],
)
def test_a_damaged_file_is_one_line_with_its_place(load, text, place: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and place in message and "\n" not in message


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "number"),
        ("1.5", "number"),
        (None, "number"),
        (float("nan"), "number"),
        (10**400, "number"),
        (1.5, "integer"),
        (False, "integer"),
        ([1.0], "span"),
        ([1.0, True], "span"),
        ([[0.0, 1.0], [2.0, float("inf")]], "spans"),
        ([1.0, "2"], "numbers"),
        ({}, "items"),
        ([], "object"),
        (3, "text"),
        ("\ud800", "text"),
        ("\udfff", "label"),
        (1.5, "label"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_place(value: object, kind: str) -> None:
    with pytest.raises(UserError, match=r"^p\.jsonl:7: "):
        getattr(Row("p.jsonl:7", value), kind)


def test_a_mistake_deep_inside_is_found_by_its_path() -> None:
    row = Row("p.jsonl:7", {"windows": [[0, 1], [2, "x"]]})
    with pytest.raises(UserError, match=r"^p\.jsonl:7: windows: item 2: item 2: expected a number, got 'x'"):
        _ = row["windows"].spans
    with pytest.raises(UserError, match="no key 'qid'"):
        row["qid"]


def test_what_is_well_formed_is_read_as_it_stands(tmp_path: Path) -> None:
    assert [(row.name, row.value) for row in load_object(written(tmp_path, '{"v": 1, "w": [2]}'))] == [
        ("v", 1),
        ("w", [2]),
    ]
    assert [row.value for row in load_list(written(tmp_path, '{"k": [1, 2]}'), "k")] == [1, 2]
    assert [row.value for row in load_text(written(tmp_path, "\ufeffa b\r\n\nc\n"))] == ["a b", "c"]
    assert [row.place for row in load_lines(written(tmp_path, "1\n\n2\n"))] == [
        f"{tmp_path / 'p.json'}:1",
        f"{tmp_path / 'p.json'}:3",
    ]
    assert Row("p", [[0, 1], [2.5, 3]]).spans == ((0.0, 1.0), (2.5, 3.0))


def test_an_id_given_twice_names_both_places() -> None:
    with pytest.raises(UserError, match=r"^p:2: two predictions for 5, the first at p:1"):
        unique([("5", Row("p:1", 0)), ("5", Row("p:2", 0))], "predictions")


def test_an_unknown_benchmark_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="no benchmark 'nothing'; one of"):
        find_benchmark("nothing")
