"""A dry run decides like a promotion, says so in a table, and leaves the store as it was."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.orchestration import NothingDone
from d2vlm_pipeline.pipelines.promotion.nodes import promote_model
from d2vlm_pipeline.registry import promote, read_audit, rehearse
from d2vlm_pipeline.registry.config import RegistryConfig
from d2vlm_pipeline.tracking import run as tracking_run
from d2vlm_pipeline.tracking import tracking_client, use_store
from registry.records import FLOOR, GATES, LATENCY, dossier, policy


def held(tracking) -> dict[str, str]:
    """Digest of every artifact, and all that the store says about runs, versions and aliases."""
    client = tracking_client(tracking)
    files = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(tracking.artifact_root).rglob("*")
        if path.is_file()
    }
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    models = [repr(model) for model in client.search_registered_models()]
    runs = [repr(run.to_dictionary()) for run in client.search_runs(experiments)] if experiments else []
    versions = [repr(version) for version in client.search_model_versions()]
    return files | {"models": repr(models), "runs": repr(runs), "versions": repr(versions)}


def test_a_rehearsal_decides_as_the_promotion_behind_it(tracking, model_dir):
    promote(model_dir("first"), dossier(tvg=50.0), policy(*GATES), tracking)
    for figures in ({"tvg": 55.0, "seconds": 0.5}, {"tvg": 55.0}):
        source = model_dir(f"model {figures}")
        rehearsed = rehearse(source, dossier(**figures), policy(*GATES), tracking)
        assert rehearsed == promote(source, dossier(**figures), policy(*GATES), tracking).decision


def test_a_rehearsal_changes_nothing_in_the_store(tracking, model_dir):
    promote(model_dir("first"), dossier(tvg=50.0), policy(), tracking)
    before, audit = held(tracking), read_audit(tracking)
    assert rehearse(model_dir("second"), dossier(tvg=55.0), policy(), tracking).promote
    assert not rehearse(model_dir("third"), dossier(tvg=10.0), policy(), tracking).promote
    assert (held(tracking), read_audit(tracking)) == (before, audit)


def test_a_rehearsal_of_a_dossier_about_another_model_is_refused(tracking, model_dir):
    other = dossier().model_copy(update={"model": "0" * 64})
    with pytest.raises(UserError, match="the dossier is about another model"):
        rehearse(model_dir(), other, policy(), tracking)


def test_the_node_prints_every_gate_and_does_nothing(tracking, model_dir, monkeypatch, capsys):
    monkeypatch.setattr(tracking_run, "_given", tracking_run._Given())
    use_store(tracking)
    before = held(tracking)
    model = SimpleNamespace(directory=model_dir())
    record = dossier(seconds=0.25).model_dump(mode="json")
    rules = policy(FLOOR, LATENCY, dry_run=True)
    assert isinstance(promote_model(model, record, rules, RegistryConfig()), NothingDone)
    said = capsys.readouterr().out
    for cell in ("60.00 %", "+30.00 %", "0.250 s", "0.100 s", "-0.150 s", "passed", "failed"):
        assert cell in said
    assert "dry run, nothing was changed: alias champion stays: 1 of 2 gates failed" in " ".join(said.split())
    assert held(tracking) == before


def test_without_a_dossier_the_mend_is_named(tracking, model_dir):
    with pytest.raises(UserError, match=r"name fpo in answering\.systems, then run `kedro run"):
        promote_model(SimpleNamespace(directory=model_dir()), None, policy(), RegistryConfig())
