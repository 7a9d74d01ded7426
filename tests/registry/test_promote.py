"""From a model directory to a verified champion, against a real MLflow store."""

import json

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry import (
    model_ref,
    promote,
    read_audit,
    resolve_champion,
)
from d2vlm_pipeline.registry.versions import model_digest
from d2vlm_pipeline.tracking import TrackingConfig, ensure_experiment, tracking_client
from registry.records import DATA, dossier, policy


def version_at(tracking, alias):
    return tracking_client(tracking).get_model_version_by_alias("d2vlm", alias)


def test_a_good_candidate_becomes_the_champion_and_can_be_found_again(tracking, model_dir):
    source = model_dir()
    outcome = promote(source, dossier(), policy(), tracking)
    assert outcome.moved and outcome.alias == "champion" and outcome.decision.promote
    champion = resolve_champion(tracking)
    assert (champion.name, champion.version, champion.alias) == ("d2vlm", outcome.version, "champion")
    assert champion.digest == model_digest(source)
    assert champion.path != source
    assert (champion.path / "model.safetensors").read_text() == "first"
    assert model_ref(champion).digest == champion.digest
    version = version_at(tracking, "champion")
    assert json.loads(version.tags["decision"])["promote"] is True
    assert json.loads(version.tags["data"]) == DATA
    assert version.tags["system"] == "fpo"
    run = tracking_client(tracking).get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["promotion.reason"] == outcome.reason


def test_a_better_one_takes_over_and_the_former_is_kept(tracking, model_dir):
    first = promote(model_dir("first"), dossier(tvg=50.0), policy(), tracking)
    second = promote(model_dir("second"), dossier(tvg=55.0), policy(), tracking)
    assert second.moved and second.decision.comparable
    assert "55.00 against the champion's 50.00" in second.reason
    assert version_at(tracking, "champion").version == int(second.version)
    assert version_at(tracking, "previous_champion").version == int(first.version)
    assert (resolve_champion(tracking).path / "model.safetensors").read_text() == "second"


def test_a_worse_one_is_registered_but_the_alias_stays(tracking, model_dir):
    first = promote(model_dir("first"), dossier(tvg=50.0), policy(), tracking)
    worse = promote(model_dir("second"), dossier(tvg=40.0), policy(), tracking)
    assert not worse.moved and worse.version != first.version
    assert "alias champion stays" in worse.reason
    assert resolve_champion(tracking).version == first.version
    assert json.loads(tracking_client(tracking).get_model_version("d2vlm", worse.version).tags["decision"])


def test_what_a_killed_promotion_was_packing_is_removed(tracking, model_dir):
    left = tracking.state_directory / ".register-left"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_text("half")
    promote(model_dir(), dossier(), policy(), tracking)
    assert not list(tracking.state_directory.glob(".register-*"))


def test_below_the_floor_there_is_no_champion(tracking, model_dir):
    assert not promote(model_dir(), dossier(tvg=10.0), policy(), tracking).moved
    with pytest.raises(UserError, match=r"no champion in sqlite:.*: run `kedro run` first"):
        resolve_champion(tracking)


def test_the_same_content_is_not_registered_twice(tracking, model_dir):
    first = promote(model_dir(), dossier(), policy(), tracking)
    again = promote(model_dir(), dossier(), policy(), tracking)
    assert again.version == first.version and not again.moved
    assert (
        again.reason == f"alias champion stays: version {first.version} with the same content has it already"
    )
    assert len(tracking_client(tracking).search_model_versions("name = 'd2vlm'")) == 1
    assert resolve_champion(tracking).version == first.version


def test_an_open_run_takes_the_model_and_stays_open(tracking, model_dir):
    client = tracking_client(tracking)
    run_id = client.create_run(ensure_experiment(client, tracking)).info.run_id
    outcome = promote(model_dir(), dossier(), policy(), tracking, run_id)
    assert version_at(tracking, "champion").run_id == run_id
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert run.data.tags["promotion.version"] == outcome.version
    assert len(client.search_runs([run.info.experiment_id])) == 1


def test_an_unknown_run_is_named(tracking, model_dir):
    with pytest.raises(UserError, match="no run 0123"):
        promote(model_dir(), dossier(), policy(), tracking, "0123")


def test_the_audit_log_says_who_when_what_and_why(tracking, model_dir):
    first = promote(model_dir("first"), dossier(), policy(), tracking)
    promote(model_dir("second"), dossier(tvg=40.0), policy(), tracking)
    moved, kept = read_audit(tracking)
    assert (moved.action, moved.version, moved.previous_version) == ("promote", first.version, None)
    assert (kept.action, kept.previous_version) == ("keep", first.version)
    assert kept.reason.startswith("alias champion stays")
    assert "@" in moved.who and moved.at.endswith("+00:00") and moved.at <= kept.at
    assert moved.model == "d2vlm" and len(moved.digest) == len(moved.evidence) == 64


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_a_damaged_champion_is_refused(tracking, model_dir, damage):
    promote(model_dir(), dossier(), policy(), tracking)
    weights = resolve_champion(tracking).path / "model.safetensors"
    weights.write_text("other") if damage == "change" else weights.unlink()
    with pytest.raises(UserError, match=r"d2vlm version 1: .*model\.safetensors"):
        resolve_champion(tracking)
    # Promoting the content again is the mend.
    healed = promote(model_dir(), dossier(tvg=61.0), policy(), tracking)
    assert healed.moved and resolve_champion(tracking).version == healed.version == "2"


def test_a_champion_replaced_with_a_sealed_other_model_is_refused(tracking, model_dir):
    promote(model_dir(), dossier(), policy(), tracking)
    path = resolve_champion(tracking).path
    for file in model_dir("other").iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match=r"d2vlm version 1: .*MANIFEST\.json is changed"):
        resolve_champion(tracking)


def test_a_version_whose_digest_on_record_is_another_is_refused(tracking, model_dir):
    promote(model_dir(), dossier(), policy(), tracking)
    tracking_client(tracking).set_model_version_tag("d2vlm", "1", "digest", "0" * 64)
    with pytest.raises(UserError, match=r"has digest \w{12}, not 000000000000"):
        resolve_champion(tracking)


def test_a_dossier_about_another_model_is_refused_before_anything_happens(tracking, model_dir):
    other = dossier().model_copy(update={"model": "0" * 64})
    with pytest.raises(UserError, match="the dossier is about another model"):
        promote(model_dir(), other, policy(), tracking)
    assert read_audit(tracking) == []


def test_a_damaged_candidate_is_refused_before_anything_happens(tracking, model_dir):
    source = model_dir()
    (source / "config.json").write_text("{ }")
    with pytest.raises(UserError, match=r"config\.json"):
        promote(source, dossier(), policy(), tracking)
    assert read_audit(tracking) == []
    assert tracking_client(tracking).search_registered_models() == []


def test_a_failing_registration_leaves_a_failed_run_and_no_version(tracking, model_dir, monkeypatch):
    from mlflow.tracking import MlflowClient

    def refuse(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(MlflowClient, "log_artifacts", refuse)
    with pytest.raises(OSError, match="no space left"):
        promote(model_dir(), dossier(), policy(), tracking)
    client = tracking_client(tracking)
    (run,) = client.search_runs([ensure_experiment(client, tracking)])
    assert run.info.status == "FAILED"
    assert client.search_registered_models() == []
    assert [path.name for path in tracking.state_directory.glob(".register-*")] == []


def test_an_alias_that_was_changed_past_the_log_is_not_overruled(tracking, model_dir):
    promote(model_dir("first"), dossier(tvg=50.0), policy(), tracking)
    promote(model_dir("second"), dossier(tvg=55.0), policy(), tracking)
    client = tracking_client(tracking)
    client.set_registered_model_alias("d2vlm", "champion", "1")
    with pytest.raises(UserError, match="is at version 1, and by the audit log at version 2") as error:
        promote(model_dir("third"), dossier(tvg=60.0), policy(), tracking)
    assert "`d2vlm models rollback 2` undoes that" in str(error.value)
    assert "`d2vlm models rollback 1` puts that on record" in str(error.value)
    client.delete_registered_model_alias("d2vlm", "champion")
    with pytest.raises(UserError, match="champion is at no version, and by the audit log at version 2"):
        promote(model_dir("third"), dossier(tvg=60.0), policy(), tracking)
    assert len(client.search_model_versions("name = 'd2vlm'")) == 2


def test_a_champion_of_an_older_store_is_followed_by_a_signed_one(tracking, model_dir):
    """As stores were before there were signatures: an alias, and neither evidence nor a log."""
    promote(model_dir("first"), dossier(tvg=10.0), policy(), tracking)
    client = tracking_client(tracking)
    client.delete_model_version_tag("d2vlm", "1", "evidence")
    client.rename_experiment(client.get_experiment_by_name("d2vlm-audit").experiment_id, "gone")
    client.set_registered_model_alias("d2vlm", "champion", "1")
    outcome = promote(model_dir("second"), dossier(tvg=40.0), policy(), tracking)
    assert outcome.moved
    assert outcome.reason.startswith("version 1 had the alias without evidence to be held against; alias")
    assert version_at(tracking, "previous_champion").version == 1


def test_a_champion_whose_evidence_is_gone_is_not_passed_over(tracking, model_dir):
    promote(model_dir("first"), dossier(), policy(), tracking)
    tracking_client(tracking).delete_model_version_tag("d2vlm", "1", "evidence")
    with pytest.raises(UserError, match="d2vlm version 1: has no evidence on record; `kedro run --pipelines"):
        promote(model_dir("second"), dossier(tvg=70.0), policy(), tracking)


def test_asking_for_a_champion_makes_no_store(tmp_path):
    config = TrackingConfig(tracking_uri=f"sqlite:///{tmp_path}/none/mlflow.db", artifact_root=str(tmp_path))
    with pytest.raises(UserError, match="no champion"):
        resolve_champion(config)
    assert list(tmp_path.iterdir()) == []
