"""What `d2vlm models` refuses: one line that names the mend, exit code 2, nothing changed."""

import shutil
import time

import pytest
import yaml
from click.testing import CliRunner

from d2vlm_pipeline.cli import main
from d2vlm_pipeline.orchestration.registry_settings import project_keyring
from d2vlm_pipeline.registry import resolve_champion
from d2vlm_pipeline.registry.keys import TRUST_VARIABLE, Keyring, signing_key
from d2vlm_pipeline.tracking import tracking_client
from registry.records import FLOOR, policy


def test_before_anything_was_promoted(project):
    assert "no champion in sqlite:" in project.refused("rollback")
    assert "run `kedro run` first" in project.refused("verify")
    assert "no version 1 in the registry; it has none" in project.refused("promote", "1")
    assert project.json("list") == [] and project.json("history") == []


def test_without_a_store_nothing_is_made(project):
    shutil.rmtree(project.root / "mlruns")
    for command in (["rollback"], ["verify"], ["promote", "1"]):
        assert "`kedro run`" in project.refused(*command)
    assert project.json("list") == [] and project.json("history") == []
    assert not (project.root / "mlruns").exists()


@pytest.mark.parametrize("command", ["promote", "rollback", "verify"])
def test_an_unknown_version(settled, command):
    assert settled.refused(command, "9") == "d2vlm: no version 9 in the registry; it has 1, 2, 3"


def test_a_version_that_never_was_champion_is_not_rolled_back_to(settled):
    assert "version 3 never had the alias champion; `d2vlm models promote 3`" in settled.refused(
        "rollback", "3"
    )


def test_an_unsigned_target(settled):
    path = resolve_champion(settled.tracking, "previous_champion", project_keyring(settled.root)).path
    signature = path.parents[1] / "signature.json"
    signed = signature.read_bytes()
    signature.unlink()
    for command in (["rollback"], ["verify", "1"]):
        line = settled.refused(*command)
        assert line.startswith("d2vlm version 1: not signed") and "--pipelines promotion --force" in line
    signature.write_bytes(signed)


def test_a_target_signed_by_somebody_else(two, model_dir):
    """Whoever promoted it is not trusted here; with the key that the line names, he is."""
    public = signing_key(Keyring(key_file=two.root / "conf/local/signing_key.pem"), {}).public
    (two.root / "conf/local/signing_key.pem").unlink()
    for command in (["rollback"], ["history"]):
        line = two.refused(*command)
        assert "signed by the foreign key" in line and public in line and TRUST_VARIABLE in line
    two.write("local/registry.yml", {"registry": {"trusted_keys": [public]}})
    assert two.json("rollback")["version"] == "1"


def test_every_version_without_trust_is_listed_as_foreign(settled, monkeypatch):
    (settled.root / "conf/local/signing_key.pem").unlink()
    monkeypatch.setenv(TRUST_VARIABLE, "")
    assert {version["signed"] for version in settled.json("list")} == {"foreign"}


@pytest.mark.parametrize("command", [["rollback"], ["verify"]])
def test_a_changed_file(settled, command):
    path = resolve_champion(settled.tracking, "previous_champion", project_keyring(settled.root)).path
    (path / "config.json").write_text("{ }")
    assert "d2vlm version 1: " in (line := settled.refused(*command)) and "config.json is changed" in line
    (path / "config.json").write_text("{}")


def test_an_alias_that_was_changed_by_hand(two):
    tracking_client(two.tracking).set_registered_model_alias("d2vlm", "champion", "3")
    for command in (["verify"], ["rollback"]):
        line = two.refused(*command)
        assert "is at version 3, and by the audit log at version 2" in line
        assert "`d2vlm models rollback 2`" in line
    assert two.json("rollback", "2")["version"] == "2"
    two.json("verify")


def test_a_changed_log(two):
    import sqlite3

    with sqlite3.connect(two.root / "mlruns/mlflow.db") as store:
        store.execute(
            "UPDATE params SET value = replace(value, 'keep', 'promote') WHERE key = 'entry-000003'"
        )
    for command in (["history"], ["promote", "3"]):
        assert two.refused(*command).startswith("audit log, entry 3: changed after key ")


def test_a_registry_that_does_not_answer_is_told_soon(project):
    mlflow = yaml.safe_load((project.root / "conf/base/mlflow.yml").read_text())
    mlflow["server"]["mlflow_tracking_uri"] = "http://somebody:secret@127.0.0.1:9"
    project.write("base/mlflow.yml", mlflow)
    shutil.rmtree(project.root / "mlruns")
    for command in (["list"], ["rollback"], ["promote", "1"]):
        begun_s = time.monotonic()
        line = project.refused(*command)
        assert line == (
            "registry http://somebody:***@127.0.0.1:9: does not answer; start it, or mend "
            "mlflow_tracking_uri in mlflow.yml"
        )
        assert time.monotonic() - begun_s < 60


def test_a_store_that_is_no_database(project):
    (project.root / "mlruns/mlflow.db").write_text("no database, and longer than any header of one " * 9)
    result = project.models("list")
    assert result.exit_code == 2 and "cannot be opened; bring it back" in result.stderr


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"registry": {"trusted_keys": ["abc"]}},
            "conf/base/registry.yml: registry.trusted_keys.0: a public key",
        ),
        ({"registry": {"trust": []}}, "conf/base/registry.yml: registry.trust: Extra inputs"),
        ({"registry": {"smoke": {"question": ""}}}, "registry.smoke.question: String should have at least 1"),
        ("registry: [", "registry.yml"),
    ],
)
def test_a_malformed_registry_yml(settled, record, said):
    settled.write("base/registry.yml", record)
    for command in (["list"], ["rollback"]):
        assert said in settled.refused(*command)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "registry: {trusted_keys: [abc]}",
            "conf/local/registry.yml: registry.trusted_keys.0: a public key is",
        ),
        ("registry: [", "conf/local/registry.yml: not YAML"),
        ("trusted_keys: []", "conf/local/registry.yml: settings stand below `registry:`"),
    ],
)
def test_a_malformed_registry_yml_of_one_s_own(settled, text, said):
    settled.write("local/registry.yml", text)
    assert said in settled.refused("rollback")


def test_a_policy_with_an_unknown_gate_stands_in_the_way_of_promotion_alone(settled):
    rules = policy(FLOOR).model_dump(mode="json")
    rules["gates"][0]["gate"] = "flor"
    settled.write("base/promotion.yml", {"promotion": rules})
    line = settled.refused("promote", "3")
    assert "conf/base/promotion.yml: promotion.gates" in line and "flor" in line
    assert [found["version"] for found in settled.json("verify")] == ["2", "1"]


def test_outside_a_project(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = CliRunner().invoke(main, ["models", "list"])
    assert result.exit_code == 2 and "not inside the project" in result.stderr
