"""Inputs that a run may do without: nodes that say so run, others are refused before the start."""

from pathlib import Path

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration import WITHOUT_OPTIONAL, JsonLinesDataset, LeaveAsIs
from d2vlm_pipeline.orchestration.hooks.missing_inputs import MissingInputHooks
from orchestration.things import Point


def counted(points: list[Point] | None) -> list[Point] | LeaveAsIs:
    return LeaveAsIs() if points is None else [Point(x=len(points))]


def catalog(folder: Path) -> DataCatalog:
    def dataset(name: str) -> JsonLinesDataset:
        return JsonLinesDataset(
            filepath=str(folder / f"{name}.jsonl"),
            records="orchestration.things.Point",
            optional=True,
            metadata={"made_by": "blind"},
        )

    return DataCatalog(datasets={name: dataset(name) for name in ("points", "count")})


def node(*tags: str) -> Node:
    return Node(counted, "points", "count", name=f"count_{len(tags)}", tags=[*tags])


def check(pipeline: Pipeline, given: DataCatalog) -> None:
    MissingInputHooks().before_pipeline_run(run_params={}, pipeline=pipeline, catalog=given)


def test_a_node_that_can_do_without_runs_and_leaves_its_output_as_it_is(tmp_path: Path) -> None:
    pipeline, given = Pipeline([node(WITHOUT_OPTIONAL)]), catalog(tmp_path)
    check(pipeline, given)
    SequentialRunner().run(pipeline, given)
    assert list(tmp_path.iterdir()) == []
    given.save("points", [Point(x=1), Point(x=2)])
    check(pipeline, given)
    SequentialRunner().run(pipeline, given)
    assert given.load("count") == [Point(x=2)]


def test_a_node_that_cannot_is_refused_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"points is missing .*: run `kedro run --pipelines blind` first"):
        check(Pipeline([node()]), catalog(tmp_path))


def test_what_is_half_there_is_refused_whoever_reads_it(tmp_path: Path) -> None:
    (tmp_path / "points.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="points is incomplete"):
        check(Pipeline([node(WITHOUT_OPTIONAL)]), catalog(tmp_path))
