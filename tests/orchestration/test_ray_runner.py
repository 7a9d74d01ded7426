"""Runs on Ray: the same calls of hooks and guards, the same bytes, the same errors as one after the other."""

import math
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import AbstractRunner, SequentialRunner
from mlflow.tracking import MlflowClient

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration import RayRunner
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.orchestration.ray_pool import spreading
from d2vlm_pipeline.orchestration.ray_runner import _is_spread
from d2vlm_pipeline.orchestration.ray_settings import RayPool, RaySettings
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.signals import check_stop, stop_requested, stoppable, until_the_step_ends
from d2vlm_pipeline.training.workers import TrainWorkers
from orchestration.things import Point, doubled


class Recorder:
    """A line for every call of a hook, whatever process it is called in."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def calls(self) -> Counter[str]:
        return Counter(self.file.read_text().splitlines())

    def _note(self, *parts: str) -> None:
        with self.file.open("a") as stream:
            stream.write(" ".join(parts) + "\n")

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any], run_id: str) -> None:
        self._note("before_node_run", node.name, *sorted(inputs), str(run_id))

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any], run_id: str) -> None:
        self._note("after_node_run", node.name, *sorted(outputs), str(run_id))

    @hook_impl
    def on_node_error(self, node: Node, error: Exception) -> None:
        self._note("on_node_error", node.name, repr(error))

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        self._note("before_dataset_loaded", node.name, dataset_name)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, node: Node, data: Any) -> None:
        self._note("after_dataset_loaded", node.name, dataset_name, type(data).__name__)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        self._note("before_dataset_saved", node.name, dataset_name)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node, data: Any) -> None:
        self._note("after_dataset_saved", node.name, dataset_name, type(data).__name__)


class Guard:
    """A validator that leaves a line for every time that it is asked."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def validate(self, data: Any) -> Any:
        with self.file.open("a") as stream:
            stream.write("asked\n")
        return data


# --- a pipeline of its own: values handed on in memory, lazy streams, a guard ------------------------------


def start(count: int) -> dict[str, int]:
    return {"count": count}


def stream(start: dict[str, int]) -> Iterator[Point]:
    return (Point(x=x) for x in range(start["count"]))


def total(start: dict[str, int], points: list[Point], twice: list[Point]) -> int:
    start["count"] = -1  # nobody else may see this
    return sum(point.x for point in [*points, *twice])


def report(start: dict[str, int], total: int) -> list[str]:
    return [f"{start['count']} points: {total}"]


PIPELINE = Pipeline(
    [
        Node(start, "params:count", "start", name="start"),
        Node(stream, "start", "points", name="stream"),
        Node(doubled, "points", "twice", name="double"),
        Node(total, ["start", "points", "twice"], "total", name="add"),
        Node(report, ["start", "total"], "lines", name="report"),
        Node(report, ["start", "total"], "said", name="say"),
    ]
)


def catalog(folder: Path, **params: Any) -> DataCatalog:
    points = "orchestration.things.Point"
    records = {"type": "d2vlm_pipeline.orchestration.JsonLinesDataset", "records": points}
    guard = {
        "class": "orchestration.test_ray_runner.Guard",
        "skip_load_after_save": True,
        "options": {"file": f"{folder}/guard.txt"},
    }
    lines = {
        "type": "d2vlm_pipeline.orchestration.DirectoryDataset",
        "filepath": f"{folder}/lines",
        "save": "orchestration.things.save_lines",
        "load": "orchestration.things.load_lines",
    }
    made = DataCatalog.from_config(
        {
            "points": {**records, "filepath": f"{folder}/points.jsonl", "validator": guard},
            "twice": {**records, "filepath": f"{folder}/twice.jsonl"},
            "lines": lines,
        }
    )
    for name, value in {"count": 4, **params}.items():
        made[f"params:{name}"] = value
    return made


def run(runner: AbstractRunner, pipeline: Pipeline, folder: Path, **params: Any) -> tuple[Any, Recorder]:
    folder.mkdir()
    recorder, manager = Recorder(folder / "calls.txt"), _create_hook_manager()
    manager.register(recorder)
    found = runner.run(pipeline, catalog(folder, **params), manager, run_id="run-7")
    return found, recorder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "calls.txt")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_naming_the_runner_imports_no_ray() -> None:
    code = "import sys, d2vlm_pipeline.orchestration as o; o.RayRunner(); assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.usefixtures("ray_here")
def test_hooks_guards_and_bytes_are_those_of_a_run_one_after_the_other(tmp_path: Path) -> None:
    results, calls = {}, {}
    for name, runner in {"one": SequentialRunner(), "ray": RayRunner()}.items():
        found, recorder = run(runner, PIPELINE, tmp_path / name)
        results[name], calls[name] = found["said"].load(), recorder.calls()
    assert results["one"] == results["ray"] == ["4 points: 18"]
    assert calls["one"] == calls["ray"] and calls["ray"]["before_node_run add points start twice run-7"] == 1
    assert contents(tmp_path / "one") == contents(tmp_path / "ray")
    assert (tmp_path / "ray/guard.txt").read_text() == "asked\n", "saved once, and not asked again"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_whole_run_is_the_same_in_mlflow_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params, metrics, summaries = [], [], []
    for runner in (SequentialRunner(), RayRunner()):
        with KedroSession.create(project_path=project) as session:
            session.run(runner=runner)
        config = tracking_config(project)
        client = MlflowClient(tracking_uri=config.tracking_uri)
        (mlflow_run,) = client.search_runs(["1"], max_results=1)
        assert mlflow_run.info.status == "FINISHED"
        params.append(mlflow_run.data.params)
        metrics.append(mlflow_run.data.metrics)
        printed = capsys.readouterr().out
        summaries.append([line.split()[0] for line in printed.splitlines() if line.strip()])
    assert params[0] == params[1] and params[0]["points.count"] == "3"
    assert metrics[0] == metrics[1]
    assert "evaluation" in summaries[1] and summaries[0] == summaries[1], "seconds of every pipeline"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here", "project")
def test_what_ran_on_ray_is_up_to_date_afterwards(kedro_run: Callable[..., Result]) -> None:
    first = kedro_run("--runner", "d2vlm_pipeline.orchestration.RayRunner")
    assert first.exit_code == 0, first.output
    assert "nothing to do" in kedro_run().output


def refuse(count: int) -> Iterator[Point]:
    def points() -> Iterator[Point]:
        yield Point(x=1)
        raise UserError("points.csv:2: no such point; drop the row")

    return points()


class OddError(Exception):
    """Cannot be made from its message alone."""

    def __init__(self, number: int, place: str) -> None:
        super().__init__(f"{number} in {place}")


def stumble(count: int) -> None:
    raise OddError(count, "stumble")


def divide(count: int) -> float:
    return count / 0


def linger(count: int, place: str) -> list[Point]:
    """Takes its time; says how it ended."""
    try:
        Path(place, "begun").touch()
        for _ in range(6000):
            time.sleep(0.01)
    except KeyboardInterrupt:
        Path(place, "ended in order").touch()
        raise
    return []


def train(count: int, place: str) -> list[Point]:
    """Stops behind its step, when it is asked to."""
    with stoppable(), until_the_step_ends():
        Path(place, "begun").touch()
        for _ in range(6000):
            time.sleep(0.01)
            if stop_requested():
                Path(place, "ended in order").touch()
                check_stop()
    return []


def fail_beside(place: str) -> None:
    while not Path(place, "begun").exists():
        time.sleep(0.01)
    raise UserError("enough")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_what_a_person_can_mend_arrives_as_its_line(tmp_path: Path) -> None:
    lazy = Pipeline([Node(refuse, "params:count", "points", name="refuse")])
    with pytest.raises(UserError) as error:
        run(RayRunner(), lazy, tmp_path / "a")
    assert str(error.value) == "points.csv:2: no such point; drop the row"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_other_errors_keep_their_kind_and_show_the_workers_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError) as error:
        run(RayRunner(), Pipeline([Node(divide, "params:count", "x", name="divide")]), tmp_path / "a")
    assert "return count / 0" in str(error.value.__cause__)
    assert "node divide failed: ZeroDivisionError" in caplog.text
    assert "on_node_error divide ZeroDivisionError" in (tmp_path / "a/calls.txt").read_text()
    with pytest.raises(RuntimeError, match="OddError: 4 in stumble"):
        run(RayRunner(), Pipeline([Node(stumble, "params:count", None, name="stumble")]), tmp_path / "b")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("node", [linger, train])
def test_where_one_fails_the_others_are_stopped_in_order(tmp_path: Path, node: Callable[..., Any]) -> None:
    both = Pipeline(
        [
            Node(node, ["params:count", "params:place"], "twice", name="long"),
            Node(fail_beside, "params:place", None, name="fail"),
        ]
    )
    begun_s = time.monotonic()
    with pytest.raises(UserError, match="enough"):
        run(RayRunner(), both, tmp_path / "a", place=str(tmp_path))
    assert time.monotonic() - begun_s < 40
    assert (tmp_path / "ended in order").exists()
    assert not (tmp_path / "a/twice.jsonl").exists()


def lock(count: int) -> Any:
    return threading.Lock()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_what_cannot_be_handed_on_says_where_to_put_it(tmp_path: Path) -> None:
    nodes = [Node(lock, "params:count", "lock", name="lock"), Node(repr, "lock", "x", name="see")]
    made = catalog(tmp_path)
    made["lock"] = MemoryDataset(copy_mode="assign")
    with pytest.raises(UserError, match=r"lock: output 'lock' \(lock\) cannot be handed .*in the catalog"):
        RayRunner().run(Pipeline(nodes), made)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_node_that_fits_nowhere_is_refused_before_anything_runs(tmp_path: Path) -> None:
    resources = {"names": {"say": {"gpus": 1}}}
    with pytest.raises(UserError) as error:
        run(RayRunner(), PIPELINE, tmp_path / "a", node_resources=resources)
    assert str(error.value) == (
        "say asks for 1 GPUs, and no machine of the cluster has more than 0; lower "
        "node_resources.names.say.gpus, or name another cluster in ray.address"
    )
    assert not (tmp_path / "a/calls.txt").exists()


def roots(settings: RaySettings) -> list[Any]:
    """Work for a pool; the last item tells the cluster."""
    import ray

    with spreading(settings, "scoring", 1, 1) as spread:
        there = list(spread(math.isqrt, [1, 4, 9]))
    return [*there, ray.get_runtime_context().gcs_address]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_pools_of_nodes_join_the_cluster_that_their_nodes_run_in(tmp_path: Path) -> None:
    import ray

    # Each pool takes all of this cluster: side by side, two would wait for one another for ever.
    pool = RaySettings(enabled=True, scoring=RayPool(actors=4))
    nodes = [Node(roots, "params:ray", name, name=name) for name in ("one", "two")]
    found, _ = run(RayRunner(), Pipeline(nodes), tmp_path / "a", ray=pool)
    here = ray.get_runtime_context().gcs_address
    assert found["one"].load() == found["two"].load() == [1, 2, 3, here]


def is_spread(*values: Any) -> bool:
    made = DataCatalog()
    for number, value in enumerate(values):
        made[f"params:p{number}"] = value
    return _is_spread(Node(print, [f"params:p{k}" for k in range(len(values))], "out"), made)


def test_whether_a_node_has_workers_of_its_own_is_told_by_its_parameters() -> None:
    phase = TrainConfig.model_validate({"seed": 0, "steps": 1, "clips_per_step": 2})
    ray, off = RaySettings(enabled=True), RaySettings()
    assert is_spread(ray) and not is_spread(off) and not is_spread(3)
    assert not is_spread(ray, phase, TrainWorkers(storage="s")), "it trains in its own process"
    assert is_spread(off, phase, TrainWorkers(storage="s", workers=2))
    assert is_spread(off, phase, TrainWorkers(storage="s", launcher="ray"))
