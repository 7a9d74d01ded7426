"""What a node gets on Ray: which key counts, which names are refused, and what fits on no machine."""

from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.pipeline import Node

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration.node_resources import (
    Share,
    check_names,
    check_room_for_nodes,
    node_resources,
    share_of,
)
from d2vlm_pipeline.orchestration.project import project_config

TRAIN = Node(len, "a", "b", name="train", tags=["gpu", "long"])
PROBE = Node(len, "b", "c", name="probe", tags=["cpu"])
SETTINGS = {
    "default": {"cpus": 2, "retries": 1},
    "tags": {"gpu": {"gpus": 1, "cpus": 4}, "long": {"cpus": 3, "retries": 5}},
    "names": {"train": {"memory_mb": 500}},
}


def share(node: Node, settings: dict[str, Any], is_spread: bool = False) -> tuple[float, float, int, int]:
    found = share_of(node, node_resources(settings), is_spread)
    return found.cpus, found.gpus, found.memory_mb, found.retries


def test_the_name_counts_before_the_tag_and_the_tag_before_the_default_key_by_key() -> None:
    assert share(TRAIN, SETTINGS) == (4, 1, 500, 5)
    assert share(PROBE, SETTINGS) == (2, 0, 0, 1)
    assert share(PROBE, {}) == (1, 0, 0, 2)


def test_a_node_with_workers_of_its_own_holds_nothing_unless_its_name_says_so() -> None:
    assert share(TRAIN, SETTINGS, is_spread=True) == (0, 0, 500, 5)
    named = {**SETTINGS, "names": {"train": {"cpus": 1}}}
    assert share(TRAIN, named, is_spread=True) == (1, 0, 0, 5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"default": {"cpu": 1}}, "node_resources.default.cpu: Extra inputs are not permitted (got 1); mend"),
        ({"names": {"train": {"gpus": -1}}}, "node_resources.names.train.gpus: Input should be greater than"),
    ],
)
def test_what_is_no_setting_is_refused_by_its_key(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        node_resources(settings)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"names": {"trian": {}}}, "node_resources.names.trian: no node has this name; did you mean train?"),
        ({"tags": {"x": {}}}, "node_resources.tags.x: no node has this tag; use one of cpu, gpu, long"),
    ],
)
def test_names_and_tags_of_no_node_are_refused(settings: dict[str, Any], said: str) -> None:
    check_names(node_resources(SETTINGS), [TRAIN, PROBE])
    with pytest.raises(UserError) as error:
        check_names(node_resources(settings), [TRAIN, PROBE])
    assert str(error.value) == said


MACHINES = [{"cpus": 8.0, "gpus": 0.0, "memory_mb": 100.0}, {"cpus": 2.0, "gpus": 1.0, "memory_mb": 100.0}]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cpus": 9}, "9 CPUs, and no machine of the cluster has more than 8; lower {}cpus, or name another"),
        ({"gpus": 2}, "2 GPUs, and no machine of the cluster has more than 1; lower {}gpus, or name another"),
        ({"cpus": 4, "gpus": 1}, "4 CPUs, 1 GPUs, and no machine of the cluster has all of them; lower {}"),
    ],
)
def test_what_fits_on_no_machine_is_one_line_with_node_key_and_mend(asked: dict[str, Any], said: str) -> None:
    def check(settings: dict[str, Any]) -> None:
        found: dict[str, Share] = {"probe": share_of(PROBE, node_resources({"default": settings}), False)}
        check_room_for_nodes(found, MACHINES)

    check({"cpus": 8})
    check({"cpus": 2, "gpus": 1, "memory_mb": 100})
    with pytest.raises(UserError) as error:
        check(asked)
    expected = "probe asks for " + said.format("node_resources.default.")
    assert str(error.value).startswith(expected) and "\n" not in str(error.value)


CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("env", sorted(path.name for path in CONF.iterdir() if path.is_dir()))
def test_every_environment_names_nodes_that_there_are(env: str) -> None:
    configure_project("d2vlm_pipeline")
    nodes = [node for pipeline in dict(pipelines).values() for node in pipeline.nodes]
    check_names(node_resources(project_config(CONF, env)["parameters"]["node_resources"]), nodes)
