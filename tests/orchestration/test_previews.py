"""What Kedro-Viz is shown of datasets: by the annotation it goes by, short, and safe where nothing is."""

import base64
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from kedro_datasets._typing import ImagePreview, JSONPreview, PlotlyPreview, TablePreview

from d2vlm_pipeline.orchestration import (
    AtomicDataset,
    CurvesDataset,
    DirectoryDataset,
    JsonLinesDataset,
    PictureDataset,
)

JSON: dict[str, Any] = {"dataset": {"type": "json.JSONDataset"}}
META = {"made_by": "sft"}


def atomic(path: Path) -> AtomicDataset:
    return AtomicDataset(filepath=str(path), metadata=META, **JSON)


@pytest.mark.parametrize(
    ("kind", "preview"),
    [
        (AtomicDataset, JSONPreview),
        (CurvesDataset, PlotlyPreview),
        (DirectoryDataset, JSONPreview),
        (JsonLinesDataset, TablePreview),
        (PictureDataset, ImagePreview),
    ],
)
def test_the_annotation_says_how_to_show_it(kind: Any, preview: Any) -> None:
    assert inspect.signature(kind.preview).return_annotation is preview


def test_a_record_is_cut_and_says_so(tmp_path: Path) -> None:
    dataset = atomic(tmp_path / "x.json")
    dataset.save({"list": list(range(100)), "text": "a" * 900, **{f"key{n:02}": n for n in range(20)}})
    shown = json.loads(dataset.preview())
    assert shown["list"] == [*range(12), "… 88 more"]
    assert shown["text"] == "a" * 200 + "…"
    assert len(shown) == 13 and shown["…"] == "10 more"


def test_curves_are_a_chart_with_a_line_for_every_figure(tmp_path: Path) -> None:
    dataset = CurvesDataset(filepath=str(tmp_path / "c.json"), **JSON)
    dataset.save({"points": [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0, "grounding": 1.0}]})
    chart = dataset.preview()
    assert [(line["name"], line["x"], line["y"]) for line in chart["data"]] == [
        ("loss", [1, 2], [3.0, 2.0]),
        ("grounding", [2], [1.0]),
    ]
    assert chart["data"][0]["visible"] is True


def test_a_picture_is_its_bytes(tmp_path: Path) -> None:
    dataset = PictureDataset(filepath=str(tmp_path / "p.png"))
    assert dataset.preview() == ""
    dataset.save(b"\x89PNG...")
    assert base64.b64decode(dataset.preview()) == b"\x89PNG..."


def test_lines_are_a_table_of_the_first_whatever_they_hold(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1, "b": [1, 2]}\n{broken\n[3]\n{"c": "x"}\n')
    dataset = JsonLinesDataset(
        filepath=str(file), records="d2vlm_pipeline.timeline.Sample", raw=True, metadata=META
    )
    assert dataset.preview(3) == {
        "index": [0, 1, 2],
        "columns": ["a", "b", "line"],
        "data": [[1, "[1, 2]", None], [None, None, "{broken"], [None, None, "[3]"]],
    }


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "a.mp4").write_bytes(b"1234")
    function = "d2vlm_pipeline.model.save_model"
    dataset = DirectoryDataset(filepath=str(tmp_path / "world"), save=function, load=function, raw=True)
    assert json.loads(dataset.preview()) == {"files": 1, "bytes": 4, "content": {"a.mp4": 4}}


def test_where_nothing_is_what_makes_it_is_said(tmp_path: Path) -> None:
    said = "`kedro run --pipelines sft`"
    assert json.loads(atomic(tmp_path / "x.json").preview()) == {"missing": said}
    curves = CurvesDataset(filepath=str(tmp_path / "c.json"), metadata=META, **JSON).preview()
    assert curves["layout"]["title"]["text"] == f"missing: {said}"
    rows = JsonLinesDataset(
        filepath=str(tmp_path / "r"), records="d2vlm_pipeline.timeline.Sample", metadata=META
    )
    assert rows.preview()["data"] == [[said]]
