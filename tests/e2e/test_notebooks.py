"""Notebooks run from the first cell to the last over a smoke run, and are kept without what they printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from e2e.conftest import ROOT, Project

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell: Any) -> str:
    """Everything that a cell printed or showed as text."""
    data = [output.get("data", {}) for output in cell.outputs]
    printed = [output.get("text", "") for output in cell.outputs]
    return "".join([*printed, *(shown.get("text/plain", "") for shown in data)])


def executed(name: str, project: Project) -> Any:
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEDRO_ENV", "smoke")
        where = {"metadata": {"path": str(project.root)}}
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    return notebook


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == ["compare_runs.ipynb", "look_inside_one_answer.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    for cell in code_cells(nbformat.read(path, as_version=4)):
        assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.slow
@pytest.mark.ci_sample
def test_one_answer_is_shown_from_inside(whole_run: Project) -> None:
    cells = code_cells(executed("look_inside_one_answer.ipynb", whole_run))
    assert re.match(r"d2vlm version \d, champion of smoke", said(cells[0]))
    assert "really at" in said(cells[1])
    pictures = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2, "the clip, and the curves"
    # So little trained, a model may name no evidence at all: then there is nothing to draw or mask.
    raw = re.search(r"raw: ((?:<evi>)*)</evi>", said(cells[-2]))
    assert raw is not None
    assert ("confidence" in said(cells[-2])) == bool(raw[1])
    assert ("all evidence" in said(cells[-1])) == bool(raw[1])


@pytest.mark.slow
@pytest.mark.ci_sample
def test_runs_are_compared(whole_run: Project) -> None:
    cells = code_cells(executed("compare_runs.ipynb", whole_run))
    assert "→" in said(cells[1])
    assert any("image/png" in output.get("data", {}) for output in cells[3].outputs)
    assert "tvg/f1" in said(cells[4])
    paired = re.search(r"(\d+) scores of the same questions", said(cells[5]))
    assert paired is not None and int(paired[1]) > 10
