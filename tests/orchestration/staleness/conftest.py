"""A miniature project that has run once, with a package of its own whose code tests may change."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kedro.framework.project import configure_project

from d2vlm_pipeline.orchestration.staleness.decide import Verdict
from d2vlm_pipeline.orchestration.staleness.selection import judge_run
from orchestration.conftest import CATALOG, PARAMETERS, ROOT

PACKAGE = "shopkeeper"

# What happens between the nodes of a real run: a model that is handed on in memory, a file that a parameter
# names, an output that is left as it was.
NODES = '''
from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.orchestration import LeaveAsIs
from orchestration.tiny.nodes import *
from shopkeeper.recipe import STRENGTH


class StartConfig(StrictModel):
    steps: int
    directory: str | None = None


def prepare(config: StartConfig):
    return [f"{STRENGTH} {config.steps} {config.directory}"]


def train_from(start, points, config: TrainConfig):
    return [f"{start[0]}*{point.x}" for point in points]


def score_if(model, wanted):
    return (score(model), {"asked": True} if wanted else LeaveAsIs())


def check(metrics):
    assert metrics["schema"] == 1
'''
PIPELINES = {
    "ingestion": 'Node(nodes.read_points, "params:points", "points", name="read_points")',
    "sft": 'Node(nodes.prepare, "params:start", "draft", name="prepare_model"), '
    'Node(nodes.train_from, ["draft", "points", "params:sft"], "sft_model", name="train_sft")',
    "fpo": 'Node(nodes.tune, ["sft_model", "points"], "fpo_model", name="train_fpo")',
    "evaluation": 'Node(nodes.score_if, ["fpo_model", "params:wanted"], ["metrics", "extra"], '
    'name="score_models"), Node(nodes.check, "metrics", None, name="check_scores")',
    "promotion": 'Node(nodes.promote, "metrics", "promotion_decision", name="promote_model")',
}
EXTRA = """
extra:
  type: d2vlm_pipeline.orchestration.AtomicDataset
  filepath: ${globals:data_root}/08_reporting/extra.json
  dataset: {type: json.JSONDataset}
  optional: true
"""
_OWN_CATALOG = re.sub(r"orchestration\.things\.(save|load)", rf"{PACKAGE}.things.\1", CATALOG) + EXTRA
START = "\nstart: {steps: 1}\nwanted: false\ncompute: {workers: 2}\n"

Kedro = Callable[..., Result]
Judge = Callable[..., dict[str, str | None]]


def _write(root: Path) -> None:
    package = root / "src" / PACKAGE
    files = {
        "pyproject.toml": f'[tool.kedro]\npackage_name = "{PACKAGE}"\nproject_name = "shop"\n'
        'kedro_init_version = "1.7.0"\n',
        "conf/base/catalog.yml": _OWN_CATALOG,
        "conf/base/parameters.yml": PARAMETERS + START,
        "conf/local/.gitkeep": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("base/globals.yml", "base/mlflow.yml"):
        shutil.copy(ROOT / "conf" / name, root / "conf" / name)
    tests = Path(__file__).parents[1]
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "recipe.py").write_text('STRENGTH = "strong"\n')
    (package / "nodes.py").write_text(NODES)
    shutil.copy(tests / "things.py", package)
    for name in ("settings.py", "pipeline_registry.py"):
        shutil.copy(tests / "tiny" / name, package)
    for name, nodes in PIPELINES.items():
        folder = package / "pipelines" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(
            f"from kedro.pipeline import Node, Pipeline\n\nfrom {PACKAGE} import nodes\n\n\n"
            f"def create_pipeline():\n    return Pipeline([{nodes}])\n"
        )
    (package / "pipelines/__init__.py").touch()


def _enter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(str(root / "src"))
    monkeypatch.chdir(root)
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    configure_project(PACKAGE)


def _kedro(*arguments: str) -> Result:
    from d2vlm_pipeline.orchestration.run_command import run

    return CliRunner().invoke(run, list(arguments))


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path) -> Iterator[Path]:
    """The project after one whole run; copied for every test."""
    root = tmp_path_factory.mktemp("shop")
    _write(root)
    (root / "mlruns").mkdir()
    shutil.copy(_empty_store, root / "mlruns" / "mlflow.db")
    with pytest.MonkeyPatch.context() as monkeypatch:
        _enter(root, monkeypatch)
        result = _kedro()
        assert result.exit_code == 0, result.exception
    yield root
    configure_project("d2vlm_pipeline")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _finished: Path) -> Iterator[Path]:
    """Root of a project of its own in which everything has run; the working directory of the test."""
    root = tmp_path / "shop"
    shutil.copytree(_finished, root)
    _enter(root, monkeypatch)
    yield root
    configure_project("d2vlm_pipeline")


@pytest.fixture
def kedro(shop: Path) -> Kedro:
    """`kedro run` with these arguments."""
    return _kedro


@pytest.fixture
def judge(shop: Path) -> Judge:
    """What `kedro run` with these arguments would do: a cause by node, None of what would not run."""

    def judged(*arguments: str) -> dict[str, str | None]:
        from d2vlm_pipeline.orchestration.run_command import run

        options: dict[str, Any] = run.make_context("run", list(arguments)).params
        verdicts: list[Verdict] = judge_run(shop, shop / "conf", options, options["force"])
        return {verdict.node: verdict.cause for verdict in verdicts}

    return judged
