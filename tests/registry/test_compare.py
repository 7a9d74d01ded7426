"""Two dossiers side by side."""

from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import canonical_json
from d2vlm_pipeline.evaluation.paired import ClipSums
from d2vlm_pipeline.registry.compare import dossier_of, paired_gains
from d2vlm_pipeline.registry.dossier import Dossier
from d2vlm_pipeline.registry.scores import Scores
from d2vlm_pipeline.tracking import TrackingConfig, ensure_experiment, tracking_client

CLIPS = tuple(f"clip-{at:02}" for at in range(40))


def dossier(hits: list[int], **others: list[int]) -> Dossier:
    """Right answers of one question a clip, by metric."""

    def sums(each: list[int]) -> ClipSums:
        rows = tuple((float(hit), 1.0) for hit in each)
        return ClipSums(combine="ratio", clips=CLIPS[: len(each)], sums=rows)

    metrics = {"accuracy": sums(hits), **{name: sums(each) for name, each in others.items()}}
    scores = Scores(system="fpo", data={}, tasks={})
    return Dossier(system="fpo", scores=scores, clip_sums={"test-iid": {"mcq": metrics}})


def test_a_clear_gain_is_told_from_chance() -> None:
    before = dossier([0] * 40, other=[0, 1] * 20)
    after = dossier([1] * 30 + [0] * 10, other=[1, 0] * 20)
    clear, chance = paired_gains(before, after, "test-iid")
    assert (clear.score, clear.before, clear.after, clear.gain) == ("mcq/accuracy", 0.0, 75.0, 75.0)
    assert 50.0 < clear.low < 75.0 < clear.high < 95.0 and clear.is_more_than_chance
    assert chance.gain == 0.0 and chance.low < 0.0 < chance.high and not chance.is_more_than_chance


def test_turned_round_it_is_the_same_with_the_other_sign() -> None:
    before, after = dossier([0, 1, 0, 1, 0, 0, 1, 0]), dossier([1, 1, 0, 1, 0, 1, 1, 1])
    (there,), (back,) = (paired_gains(*pair, "test-iid") for pair in ((before, after), (after, before)))
    assert (back.gain, back.low, back.high) == pytest.approx((-there.gain, -there.high, -there.low))


def test_what_is_not_paired_is_left_out() -> None:
    assert paired_gains(dossier([1] * 8), dossier([1] * 9), "test-iid") == []
    assert paired_gains(dossier([1] * 8), dossier([1] * 8), "test-ood") == []


def test_a_dossier_is_read_back_from_its_run(tmp_path: Path) -> None:
    tracking = TrackingConfig(tracking_uri=f"sqlite:///{tmp_path}/m.db", artifact_root=str(tmp_path / "a"))
    client = tracking_client(tracking)
    run = client.create_run(ensure_experiment(client, tracking)).info.run_id
    assert dossier_of(tracking, run) is None
    measured = dossier([1, 0, 1])
    client.log_text(run, canonical_json(measured), "report/dossier.json")
    assert dossier_of(tracking, run) == measured
