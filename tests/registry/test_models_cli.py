"""`d2vlm models` in a project: what it does, and what it prints."""

import pytest

from d2vlm_pipeline.orchestration.registry_settings import project_keyring
from d2vlm_pipeline.registry import resolve_champion
from registry.answering import answering_model
from registry.moves import aliases


def test_the_first_promotion_makes_the_project_s_key(settled):
    key = settled.root / "conf/local/signing_key.pem"
    assert key.stat().st_mode & 0o777 == 0o600


def test_versions_are_listed_newest_first(settled):
    third, second, first = settled.json("list")
    assert (second["version"], second["aliases"], second["signed"]) == ("2", ["champion"], "yes")
    assert (first["aliases"], third["aliases"]) == (["previous_champion"], ["challenger"])
    assert (third["promoted"], third["value"], third["headline"]) == (False, 40.0, "test-iid/tvg/f1")
    assert len(second["digest"]) == 64 and second["system"] == "fpo"
    shown = settled.models("list").stdout
    assert "test-iid/tvg/f1" in shown and "previous_champion" in shown and "55.00" in shown


def test_one_command_goes_back_and_one_forth(two):
    back = two.json("rollback", "--reason", "it answers in French")
    assert (back["version"], back["previous_version"]) == ("1", "2")
    assert back["answer"]["question"] == "When does a ball enter?" and back["answer"]["parsed"]
    assert aliases(two.tracking)["champion"] == "1"
    forth = two.models("rollback", "2")
    assert forth.exit_code == 0
    assert forth.stdout.splitlines() == [
        "champion: version 2 (from version 1)",
        "asked 'When does a ball enter?' it answered 'From 1.0 to 2.0.'",
    ]
    entries = two.json("history")
    assert [(entry["action"], entry["version"]) for entry in entries] == [
        *(("promote", "1"), ("promote", "2"), ("keep", "3"), ("rollback", "1"), ("rollback", "2"))
    ]
    assert entries[3]["reason"] == "it answers in French"
    assert "it answers in French" in two.models("history").stdout


def test_verify_counts_what_it_has_checked(settled):
    champion, previous = settled.json("verify")
    assert (champion["version"], previous["version"]) == ("2", "1")
    assert champion["files"] == 3  # two of the model, and its manifest
    (third,) = settled.json("verify", "3")
    assert third["aliases"] == ["challenger"]
    shown = settled.models("verify").stdout.splitlines()
    assert shown[0].startswith("version 2 (champion): 3 files and the evidence are as key ")
    assert shown[-1] == "the audit log is whole"


def test_a_version_is_promoted_where_the_policy_as_it_is_now_lets_it(two):
    result = two.models("promote", "3")
    assert result.exit_code == 1 and "alias champion stays" in result.stdout
    assert "floor of test-iid/tvg/f1" in result.stdout
    two.json("rollback", "1")
    outcome = two.json("promote", "2", "--reason", "the fault was elsewhere")
    assert outcome["moved"] and outcome["reason"].endswith("(the fault was elsewhere)")
    assert aliases(two.tracking)["champion"] == "2"


@pytest.mark.slow
def test_a_rollback_asks_the_very_model_that_gets_the_alias(project, tmp_path):
    """Nothing stands in for anything: weights, encoder, clip and packing are real."""
    project.offer(answering_model(tmp_path / "one", seed=0), 50.0)
    project.offer(answering_model(tmp_path / "two", seed=1), 55.0)
    back = project.json("rollback")
    answer = back["answer"]
    assert (answer["model"]["version"], answer["parsed"]) == ("1", True)
    champion = resolve_champion(project.tracking, keyring=project_keyring(project.root, "base"))
    assert answer["model"]["digest"] == champion.digest and champion.version == "1"
