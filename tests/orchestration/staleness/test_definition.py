"""What the real nodes rest on: enough, and not everything."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.orchestration.staleness.decide import decide
from d2vlm_pipeline.orchestration.staleness.definition import Code, define
from d2vlm_pipeline.orchestration.staleness.plan import plan_run
from d2vlm_pipeline.tracking import TrackingConfig
from orchestration.things import numbers, points, words

TRAINING = "d2vlm_pipeline.pipelines.training.train_phase"
RENDERING = "d2vlm_pipeline.pipelines.ingestion.nodes.provide_clips"


def test_training_rests_on_the_loop_and_the_model_and_not_on_who_scores_or_serves() -> None:
    files, packages = Code().of([TRAINING])
    assert {"training/loop.py", "model/d2vlm.py", "objectives/fpo.py", "features/store.py"} <= set(files)
    strangers = ("evaluation/benchmarks/", "evaluation/page/", "registry/", "serving/", "pipelines/eval")
    assert not [name for name in files if name.startswith(strangers)]
    assert {"torch", "transformers"} <= set(packages)


def test_rendering_rests_on_no_learning_library() -> None:
    files, packages = Code().of([RENDERING])
    assert "video/world/render.py" in files
    assert not {"transformers", "peft", "safetensors"} & set(packages)


def test_versions_that_change_no_byte_are_left_out() -> None:
    _, packages = Code().of(["d2vlm_pipeline.orchestration.ray_features.extract_on_ray"])
    assert not {"ray", "kedro", "tqdm", "mlflow"} & set(packages)
    assert packages["pydantic"] and packages["PIL"]


def test_what_is_bound_to_a_function_is_part_of_the_node() -> None:
    def defined(count: int) -> list[str]:
        node = Node(partial(points, count=count), None, "more", name="count")
        return define(node, DataCatalog(), {}, Path("/"), Code()).bound

    assert defined(1) == ["count=1"] != defined(2)


def test_a_dataset_of_which_nobody_can_tell_makes_its_nodes_run(tmp_path: Path) -> None:
    """Another library's dataset has no marker; a MemoryDataset in the catalog is handed on as any other."""
    entries = {
        "table": {"type": "json.JSONDataset", "filepath": str(tmp_path / "table.json")},
        "passed": {"type": "MemoryDataset"},
    }
    catalog = DataCatalog.from_config(entries)
    assert isinstance(catalog.get("passed"), MemoryDataset)
    nodes = [Node(numbers, None, "passed", name="count"), Node(words, "passed", "table", name="keep")]
    tracking = TrackingConfig(tracking_uri="sqlite:///none.db", artifact_root="none")
    plan = plan_run(Pipeline(nodes), catalog, {}, tmp_path, tmp_path, tracking)
    assert plan.nodes["keep"].opaque == ("table",)
    assert plan.nodes["keep"].makers == {"passed": "count"}
    causes = {verdict.node: verdict.cause for verdict in decide(plan, Pipeline(nodes))}
    assert causes == {
        "keep": "table tells nobody whether it has changed",
        "count": "keep needs what it hands on",
    }
