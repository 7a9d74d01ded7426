"""The policies of the project as `kedro run` reads them, and what it says of a wrong one."""

import shutil
from pathlib import Path

import pytest
from kedro.framework.project import configure_project, pipelines

from d2vlm_pipeline.orchestration.checks import parameter_error, typed_parameter
from d2vlm_pipeline.registry import Policy
from d2vlm_pipeline.registry.rules import KINDS

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ["base", "smoke", "faults", "smollm2", "gpu", "gpu_causal_lm"]


@pytest.fixture
def conf(tmp_path) -> Path:
    """The project's configuration, to be changed."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    return tmp_path / "conf"


def said(conf: Path, gate: str) -> str | None:
    configure_project("d2vlm_pipeline")
    path = conf / "smoke" / "promotion.yml"
    path.write_text(f"promotion:\n  gates:\n    - {{gate: data_gates}}\n    - {gate}\n")
    return parameter_error(conf, "smoke", {}, {"promotion": pipelines["promotion"]})


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_has_a_policy_that_asks_for_clean_data_and_keeps_its_alias(env):
    rules = typed_parameter(ROOT / "conf", env, "promotion", Policy)
    assert (rules.alias, rules.dry_run, rules.unmeasured) == ("champion", False, "refuse")
    assert {"floor", "data_gates", "no_contamination"} <= {gate.gate for gate in rules.gates}


def test_the_default_policy_has_every_kind_of_gate():
    rules = typed_parameter(ROOT / "conf", "base", "promotion", Policy)
    assert {gate.gate for gate in rules.gates} == set(KINDS)


def test_an_unknown_gate_is_one_line_with_the_file_and_the_gates_that_there_are(conf):
    line = said(conf, "{gate: vibes, limit: 3}")
    assert line == (
        f"conf/smoke/promotion.yml: promotion.gates: gate 2: no gate 'vibes'; there are {', '.join(KINDS)}; "
        "mend the value"
    )


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("{gate: calibration, limit: 130}", "promotion.gates.1.limit: Input should be less than or equal"),
        ("{gate: latency}", "promotion.gates.1.limit_s: Field required"),
        ("{gate: memory, limit_mb: 5, limit: 4}", "promotion.gates.1.limit: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_value_of_a_gate_is_named_by_the_keys_that_people_wrote(conf, gate, words):
    line = said(conf, gate)
    assert line is not None and line.startswith(f"conf/smoke/promotion.yml: {words}") and "\n" not in line
