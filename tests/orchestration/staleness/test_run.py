"""`kedro run` with records: what it says, what it runs, and under which runners it keeps them."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.orchestration.hooks import RecordHooks
from d2vlm_pipeline.orchestration.project import tracking_config
from orchestration.staleness.conftest import Judge, Kedro
from orchestration.staleness.test_decide import NODES, running


def _runs(shop: Path) -> int:
    config = tracking_config(shop)
    client = MlflowClient(tracking_uri=config.tracking_uri)
    experiment = client.get_experiment_by_name(config.experiment)
    assert experiment is not None
    return len(client.search_runs([experiment.experiment_id]))


def _records(shop: Path) -> dict[str, bytes]:
    """All but what was read of which file, and when."""
    paths = (shop / "data/.records").glob("*.json")
    return {path.name: path.read_bytes() for path in paths if path.name != "read.json"}


def test_a_run_with_nothing_to_do_says_so_and_makes_no_mlflow_run(shop: Path, kedro: Kedro) -> None:
    before = _runs(shop)
    result = kedro()
    assert (result.exit_code, result.stdout) == (
        0,
        "nothing to do: 7 nodes are up to date; `--force` runs everything all the same\n",
    )
    assert _runs(shop) == before


def test_explain_runs_nothing_and_says_why(shop: Path, kedro: Kedro) -> None:
    runs, records = _runs(shop), _records(shop)
    result = kedro("--explain", "--params", "sft.steps=11")
    assert result.exit_code == 0
    assert "6 of 7 nodes would run" in result.stdout
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.split()}
    assert lines["train_sft"].split() == ["train_sft", "yes", "parameter", "sft.steps:", "10", "→", "11"]
    assert lines["read_points"].split() == ["read_points", "no", "up", "to", "date"]
    assert (_runs(shop), _records(shop)) == (runs, records)


def test_what_is_up_to_date_is_counted_in_the_summary(shop: Path, kedro: Kedro) -> None:
    result = kedro("--params", "sft.steps=11")
    assert result.exit_code == 0
    assert result.stdout.startswith("1 node is up to date; 6 to run (`--explain` says why)\n")
    assert "nodes that did not run: 1 " in result.stdout
    assert (shop / "data/06_models/sft/0.txt").read_text() == "strong 1 None*0\n"


def test_force_runs_everything(shop: Path, kedro: Kedro, judge: Judge) -> None:
    kept = shop / "data/03_primary/points.jsonl"
    before = kept.stat().st_ino
    assert kedro("--force").exit_code == 0
    assert kept.stat().st_ino != before
    assert running(judge()) == []


def test_records_do_not_tell_when_or_where(shop: Path, kedro: Kedro) -> None:
    """Two runs of the same leave the same bytes; a project may be moved, and its results with it."""
    before = _records(shop)
    assert kedro("--force").exit_code == 0
    assert _records(shop) == before
    assert not any(str(shop).encode() in text or b"/tmp" in text for text in before.values())


@pytest.mark.parametrize("runner", ["SequentialRunner", "ThreadRunner"])
def test_records_are_kept_in_threads_too(shop: Path, kedro: Kedro, judge: Judge, runner: str) -> None:
    shutil.rmtree(shop / "data")
    assert kedro("--runner", runner).exit_code == 0
    assert running(judge()) == []


@pytest.mark.slow
@pytest.mark.ci_sample
def test_a_runner_that_calls_no_hooks_leaves_nothing_that_is_believed(
    shop: Path, kedro: Kedro, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spawned processes know of no run: at worst a node runs again, never is an old record taken for it."""
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    monkeypatch.setenv("PYTHONPATH", f"{shop / 'src'}:{Path(__file__).parents[2]}")
    given = ("--params", "points.count=4", "--to-nodes", "train_sft")
    assert kedro("--runner", "ParallelRunner", *given).exit_code == 0
    assert "read_points" in running(judge(*given))
    assert "read_points" in running(judge("--to-nodes", "train_sft"))


def test_a_node_that_fails_keeps_no_record(shop: Path, kedro: Kedro, judge: Judge) -> None:
    assert kedro("--params", "points.bad_row=1,points.count=2").exit_code == 2
    causes = judge("--params", "points.bad_row=1,points.count=2")
    assert causes["read_points"] == "parameter points.bad_row: not there → 1"
    assert running(judge()) == [], "what an earlier run had made is still there"


def test_a_record_is_written_after_every_other_hook_has_had_its_say(
    shop: Path, kedro: Kedro, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where MLflow cannot be reached: the outputs lie there, and the node is not done."""
    from d2vlm_pipeline.orchestration.hooks import MlflowReportHooks

    class Fails(MlflowReportHooks):
        @hook_impl
        def after_dataset_saved(self, dataset_name: str, node: Node) -> None:  # type: ignore[override]
            if dataset_name == "fpo_model":
                raise OSError("no room")

    monkeypatch.setattr(MlflowReportHooks, "after_dataset_saved", Fails.after_dataset_saved)
    given = ("--params", "points.count=4", "--to-nodes", "train_fpo")
    result = kedro(*given)
    assert isinstance(result.exception, OSError)
    assert running(judge(*given)) == ["train_fpo"]


def test_the_two_ways_of_asking_are_not_mixed(kedro: Kedro) -> None:
    result = kedro("--only-missing-outputs", "--explain")
    assert result.exit_code == 2
    assert "goes by what is there alone" in result.stderr


def test_a_record_is_small_and_readable(shop: Path) -> None:
    records = {path.stem for path in (shop / "data/.records").glob("*.json")}
    assert records == {*NODES, "read"} - {"prepare_model"}
    record = json.loads((shop / "data/.records/train_sft.json").read_text())
    assert record["definition"]["parameters"]["sft.steps"] == 10
    assert record["definition"]["inputs"] == ["draft", "points", "params:sft"]
    assert set(record["outputs"]) == {"sft_model"}


class InWorkers(SequentialRunner):
    """Runs nodes with hooks that have travelled, as a runner with workers elsewhere does."""

    def _run(
        self, pipeline: Any, catalog: Any, hook_manager: Any = None, run_id: str | None = None
    ) -> None:
        (hooks,) = [hooks for hooks in hook_manager.get_plugins() if isinstance(hooks, RecordHooks)]
        manager = _create_hook_manager()
        manager.register(pickle.loads(pickle.dumps(hooks)))
        super()._run(pipeline, catalog, manager, run_id)


def test_hooks_that_have_travelled_keep_records(shop: Path, judge: Judge) -> None:
    shutil.rmtree(shop / "data")
    with KedroSession.create(project_path=shop) as session:
        session.run(runner=InWorkers())
    assert running(judge()) == []


REHEARSED = """
from kedro.pipeline import Node, Pipeline

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.orchestration import FOLLOWS_CHAMPION, NothingDone


class Rules(StrictModel):
    alias: str = "champion"
    dry_run: bool = False


def promote(metrics, rules: Rules):
    return NothingDone() if rules.dry_run else {"reason": "moved"}


def create_pipeline():
    inputs, output = ["metrics", "params:promotion"], "promotion_decision"
    return Pipeline([Node(promote, inputs, output, name="promote_model", tags=FOLLOWS_CHAMPION)])
"""
DRY = ("--pipelines", "promotion", "--params", "promotion.dry_run=true")


@pytest.fixture
def rehearsing(shop: Path, kedro: Kedro) -> Path:
    """The project with a promotion that can be rehearsed."""
    (shop / "src/shopkeeper/pipelines/promotion/__init__.py").write_text(REHEARSED)
    (shop / "conf/base/promotion.yml").write_text("promotion: {alias: champion, dry_run: false}\n")
    configure_project("shopkeeper")
    return shop


def test_a_dry_run_leaves_no_record_no_file_and_no_mlflow_run(
    rehearsing: Path, kedro: Kedro, judge: Judge
) -> None:
    decision = rehearsing / "data/08_reporting/promotion.json"
    before = (_runs(rehearsing), _records(rehearsing), decision.read_bytes())
    result = kedro(*DRY)
    assert result.exit_code == 0, result.output
    assert "promotion.json" not in result.stdout, "nothing that an earlier run decided is told as this one's"
    assert (_runs(rehearsing), _records(rehearsing), decision.read_bytes()) == before
    assert "promote_model" in running(judge("--pipelines", "promotion")), "it has still to be done"


def test_a_dry_run_does_not_undo_what_is_on_record(rehearsing: Path, kedro: Kedro, judge: Judge) -> None:
    assert kedro("--pipelines", "promotion").exit_code == 0
    assert running(judge("--pipelines", "promotion")) == []
    runs = _runs(rehearsing)
    assert kedro(*DRY).exit_code == 0
    assert running(judge("--pipelines", "promotion")) == []
    assert judge(*DRY)["promote_model"] == "parameter promotion.dry_run: False → True"
    assert _runs(rehearsing) == runs


def test_a_dry_run_behind_other_pipelines_is_tracked_with_them(rehearsing: Path, kedro: Kedro) -> None:
    runs = _runs(rehearsing)
    assert kedro("--params", "promotion.dry_run=true,points.count=2").exit_code == 0
    assert _runs(rehearsing) == runs + 1
    assert "promote_model.json" not in {
        name for name, text in _records(rehearsing).items() if b'"dry_run":true' in text
    }


BESIDE = """
beside:
  type: d2vlm_pipeline.orchestration.AtomicDataset
  filepath: ${globals:data_root}/08_reporting/beside.json
  dataset: {type: json.JSONDataset}
  optional: true
  metadata: {recorded: false}
"""
READS_BESIDE = """
from kedro.pipeline import Node, Pipeline


def promote(metrics, beside):
    return {"reason": str(beside)}


def create_pipeline():
    return Pipeline([Node(promote, ["metrics", "beside"], "promotion_decision", name="promote_model",
                          tags="without_optional")])
"""


def test_an_input_that_follows_from_others_is_read_and_not_gone_by(
    shop: Path, kedro: Kedro, judge: Judge
) -> None:
    from d2vlm_pipeline.orchestration import AtomicDataset

    catalog = shop / "conf/base/catalog.yml"
    catalog.write_text(catalog.read_text() + BESIDE)
    (shop / "src/shopkeeper/pipelines/promotion/__init__.py").write_text(READS_BESIDE)
    configure_project("shopkeeper")
    place = shop / "data/08_reporting/beside.json"
    AtomicDataset(filepath=str(place), dataset={"type": "json.JSONDataset"}).save({"seen": 1})
    assert kedro().exit_code == 0
    assert json.loads((shop / "data/08_reporting/promotion.json").read_text()) == {"reason": "{'seen': 1}"}
    place.unlink()
    assert running(judge()) == [], "a clone has what it follows from"
