"""`d2vlm models` in a project: what it prints, and what it refuses in one line with nothing changed."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.cli import main
from d2vlm_pipeline.orchestration.project import tracking_config
from d2vlm_pipeline.orchestration.registry_settings import project_keyring
from d2vlm_pipeline.registry import promote, resolve_champion, smoke, versions
from d2vlm_pipeline.registry.keys import KEY_VARIABLE, TRUST_VARIABLE, Keyring, signing_key
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from registry.answering import answering_model
from registry.moves import aliases, answered, pack_lightly
from registry.records import FLOOR, dossier, policy

ROOT = Path(__file__).parents[2]


@dataclass
class Project:
    """A project of a test's own; its policy asks for one floor."""

    root: Path

    @property
    def tracking(self) -> TrackingConfig:
        return tracking_config(self.root, "base")

    def offer(self, directory: Path, tvg: float = 50.0):
        keyring = project_keyring(self.root, "base")
        return promote(directory, dossier(tvg=tvg), policy(), self.tracking, keyring=keyring)

    def models(self, *arguments: str) -> Result:
        result = CliRunner().invoke(main, ["models", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    def json(self, *arguments: str) -> Any:
        result = self.models(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def refused(self, *arguments: str) -> str:
        """The one line with which a command ends that changes nothing."""
        before = self.state()
        result = self.models(*arguments)
        assert result.exit_code == 2 and result.stdout == "", result.stdout
        (line,) = result.stderr.splitlines()
        assert self.state() == before
        return line

    def state(self) -> Any:
        """Aliases, versions, log and runs; None without a store."""
        if not (self.root / "mlruns/mlflow.db").exists():
            return None
        client = tracking_client(self.tracking)
        experiments = client.search_experiments()
        runs = client.search_runs([one.experiment_id for one in experiments])
        versions = client.search_model_versions("name = 'd2vlm'")
        return aliases(self.tracking), len(versions), [dict(run.data.params) for run in runs]

    def write(self, name: str, record: Any) -> None:
        text = record if isinstance(record, str) else yaml.safe_dump(record)
        (self.root / "conf" / name).write_text(text)


def made_project(root: Path, database: Path) -> Project:
    """The project's own configuration, with another policy, and an empty store."""
    shutil.copytree(ROOT / "conf", root / "conf", ignore=shutil.ignore_patterns("local"))
    (root / "conf/local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "mlruns").mkdir()
    shutil.copy(database, root / "mlruns/mlflow.db")
    made = Project(root)
    made.write("base/promotion.yml", {"promotion": policy(FLOOR).model_dump(mode="json")})
    return made


def three_versions(project: Project) -> None:
    """Version 2 is champion, 1 was it before, 3 did not win."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(KEY_VARIABLE, raising=False)
        patch.setattr(versions, "pack_model", pack_lightly)
        for weights, tvg in (("first", 50.0), ("second", 55.0), ("third", 40.0)):
            with atomic_directory(project.root / "models" / weights) as inside:
                (inside / "model.safetensors").write_text(weights)
                (inside / "config.json").write_text("{}")
            project.offer(project.root / "models" / weights, tvg)


@pytest.fixture
def project(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Nothing was promoted yet."""
    made = made_project(tmp_path / "project", database)
    monkeypatch.chdir(made.root)
    monkeypatch.delenv(KEY_VARIABLE)
    return made


@pytest.fixture
def two(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three versions; models answer without being opened."""
    three_versions(project)

    class Opened:
        def __init__(self, directory, ref) -> None:
            self.directory, self.ref = directory, ref

        def answer_batch(self, questions):
            return [answered(self.directory, self.ref, question.question) for question in questions]

    monkeypatch.setattr(smoke, "open_predictor", Opened)
    return project


@pytest.fixture(scope="module")
def shared(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = made_project(tmp_path_factory.mktemp("shared") / "project", database)
    three_versions(made)
    return made


@pytest.fixture
def settled(shared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The same for tests that move nothing; what they change of the configuration is put back."""
    before = shared.state()
    shutil.copytree(shared.root / "conf", tmp_path / "conf")
    monkeypatch.chdir(shared.root)
    monkeypatch.delenv(KEY_VARIABLE)
    yield shared
    assert shared.state() == before
    shutil.rmtree(shared.root / "conf")
    shutil.copytree(tmp_path / "conf", shared.root / "conf")


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


# --- what is refused ---


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
    for command in (["rollback"], ["verify"], ["history"], ["promote", "1"]):
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
    for command in (["verify"], ["rollback"], ["promote", "3"]):
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
    for command in (["history"], ["verify"], ["rollback"], ["promote", "3"]):
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
