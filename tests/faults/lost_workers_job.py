"""A run on Ray, on two machines in one, that loses a worker or a machine while nodes are at work.

    python lost_workers_job.py FOLDER nothing|worker|machine|interrupt RETRIES

Four nodes wait side by side until something was lost; two more take what they made, from the catalog and from
memory. Every start of a node is a file in FOLDER/started.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from d2vlm_pipeline.orchestration import RayRunner
from d2vlm_pipeline.orchestration.ray_session import ray_session, test_cluster
from d2vlm_pipeline.orchestration.ray_settings import TEST_CLUSTER, RaySettings
from orchestration.things import Point

NODES = 4


def hold(number: int, place: str) -> tuple[list[int], Iterator[Point]]:
    """A value in memory, and a stream that waits while it is saved."""
    return [number] * 3, _points(number, Path(place))


def _points(number: int, place: Path) -> Iterator[Point]:
    yield Point(x=number)
    import ray

    machine = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "here"
    (place / "started" / f"{number}-{os.getpid()}-{machine}").touch()
    while not (place / "go").exists():
        time.sleep(0.05)
    yield Point(x=number + 100)


def add(*given: list[int]) -> int:
    return sum(sum(numbers) for numbers in given)


def write(total: int, *points: list[Point]) -> list[str]:
    return [str(total), *(str(point.x) for some in points for point in some)]


def pipeline() -> Pipeline:
    holds = [
        Node(hold, [f"params:n{k}", "params:place"], [f"memory{k}", f"points{k}"], name=f"hold_{k}")
        for k in range(NODES)
    ]
    joins = [
        Node(add, [f"memory{k}" for k in range(NODES)], "total", name="add"),
        Node(write, ["total", *(f"points{k}" for k in range(NODES))], "lines", name="write"),
    ]
    return Pipeline([*holds, *joins])


def catalog(folder: Path, retries: int) -> DataCatalog:
    records = {
        f"points{k}": {
            "type": "d2vlm_pipeline.orchestration.JsonLinesDataset",
            "filepath": f"{folder}/data/points{k}.jsonl",
            "records": "orchestration.things.Point",
        }
        for k in range(NODES)
    }
    lines = {
        "type": "d2vlm_pipeline.orchestration.DirectoryDataset",
        "filepath": f"{folder}/data/lines",
        "save": "orchestration.things.save_lines",
        "load": "orchestration.things.load_lines",
    }
    made = DataCatalog.from_config({**records, "lines": lines})
    values = {f"n{k}": k for k in range(NODES)}
    settings = {"place": str(folder), "node_resources": {"default": {"retries": retries}}}
    for name, value in {**values, **settings, "ray": RaySettings(address=TEST_CLUSTER)}.items():
        made[f"params:{name}"] = value
    return made


def started(folder: Path) -> list[list[str]]:
    """Number, process and machine of every start."""
    return [path.name.split("-") for path in (folder / "started").iterdir()]


def main(folder: Path, fault: str, retries: int) -> None:
    (folder / "started").mkdir()
    manager = _create_hook_manager()
    if fault == "nothing":
        (folder / "go").touch()
        SequentialRunner().run(pipeline(), catalog(folder, retries), manager)
        return
    with test_cluster() as cluster:
        os.environ["RAY_ADDRESS"] = cluster.address

        def lose() -> None:
            while len(started(folder)) < NODES:
                time.sleep(0.05)
            (second,) = cluster.worker_nodes
            there = [start for start in started(folder) if start[2] == second.node_id]
            if fault == "worker":
                os.kill(int(started(folder)[0][1]), signal.SIGKILL)
            elif fault == "machine":
                assert there, "nodes run on both machines"
                (folder / "lost").write_text(str(len(there)))
                cluster.remove_node(second, allow_graceful=False)
            else:
                os.kill(os.getpid(), signal.SIGINT)
                return
            (folder / "go").touch()

        with ray_session(RaySettings(address=cluster.address)):
            threading.Thread(target=lose, daemon=True).start()
            RayRunner().run(pipeline(), catalog(folder, retries), manager)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
