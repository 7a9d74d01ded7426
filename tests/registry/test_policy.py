"""Policies are read strictly."""

from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry import load_policy
from registry.records import CALIBRATION, FLOOR, SLICES, UNPARSED, policy

ROOT = Path(__file__).parents[2]


def test_the_policy_of_the_project_is_valid_and_has_a_floor():
    rules = load_policy(ROOT / "conf/base/promotion.yml")
    assert rules.alias == "champion"
    assert any(gate.gate == "floor" and gate.limit > 0 for gate in rules.gates)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({**FLOOR, "gate": "flor"}, r"promotion.yml: gates: gate 1: no gate 'flor'; there are floor, unp"),
        ({"limit": 3}, "gates: gate 1: no gate None; there are floor"),
        ({**FLOOR, "gate": "max_regression"}, "no gate 'max_regression'; there are .*no_regression"),
        ({**SLICES, "by": "task"}, r"gates.0: by task: .*; mend the entry"),
        ({**CALIBRATION, "split": "calib"}, "gates.0.split: Extra inputs"),
        ({**FLOOR, "limit": 130}, r"gates.0.limit: .*less than or equal to 100"),
        ({**FLOOR, "least": 3}, r"gates.0.least: Extra inputs"),
        ({**UNPARSED, "metric": "f1"}, "gates.0.metric: Extra inputs"),
        ({key: FLOOR[key] for key in FLOOR if key != "metric"}, "gates.0.metric: Field required"),
        ("floor", r"gates.0"),
    ],
)
def test_a_wrong_gate_is_named_with_its_row(gate, message):
    with pytest.raises(UserError, match=message):
        policy(gate)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "a promotion policy is a mapping"),
        ("a: [", "not YAML"),
        ("promotion: {gates: []}", "headline: Field required"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "promotion.yml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_policy(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such promotion policy"):
        load_policy(tmp_path / "absent.yml")
