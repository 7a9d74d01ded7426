"""Preferences and scoring on Ray: the same bytes for any number of actors, and what a dead one costs."""

from collections.abc import Iterator
from itertools import pairwise

import psutil
import pytest

from artifacts import spread_work
from artifacts.spread_work import dies, drawn, refuses, squared
from d2vlm_pipeline.artifacts import UserError, canonical_json
from d2vlm_pipeline.artifacts.spreading import portions_of, spread_here
from d2vlm_pipeline.evaluation import assemble_metrics, score_systems
from d2vlm_pipeline.orchestration.ray_pool import OnRay, spreading
from d2vlm_pipeline.orchestration.ray_settings import RayPool, RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.preferences.nodes import audit_pairs, gate_pairs, synthesize
from d2vlm_pipeline.preferences import AuditConfig, PreferenceConfig, portions
from d2vlm_pipeline.timeline import dump_jsonl
from d2vlm_pipeline.video import VideoRow
from evaluation.scoring_records import CONFIG, demo_world, predict, truth
from preferences import samples as s

PORTIONS = portions_of(range(11), 2)
COMPUTE = ComputeConfig()


@pytest.fixture(autouse=True)
def _work_travels() -> None:
    """Actors import the project, not its tests."""
    import ray

    ray.cloudpickle.register_pickle_by_value(spread_work)


def settings(**pool: int | float) -> RaySettings:
    given = RayPool.model_validate({"cpus_per_actor": 0.5, **pool})
    return RaySettings(enabled=True, preferences=given, scoring=given)


def preferences(ray: RaySettings) -> list[str]:
    """All that the preferences pipeline writes, but pictures."""
    samples = [
        each.model_copy(update={"id": f"{each.id}/{k}", "video": f"clip_{k}.mp4"})
        for k in range(12)
        for each in s.ALL
    ]
    rows = [
        VideoRow(video=f"clip_{k}.mp4", path="x", status="ok", digest=str(k), duration_s=s.DURATION_S)
        for k in range(12)
    ]
    audit = AuditConfig(least_pairs=20, resamples=5)
    pairs, statistics = synthesize(samples, rows, PreferenceConfig(), COMPUTE, ray)
    record, _ = audit_pairs(samples, rows, pairs, audit, COMPUTE, ray)
    checks, passed = gate_pairs(pairs, samples, rows, {}, audit, COMPUTE, ray)
    return [dump_jsonl(passed), canonical_json(statistics), canonical_json(record), dump_jsonl(checks)]


def metrics(ray: RaySettings, captions: bool) -> str:
    """Scores of two systems."""
    samples, _ = demo_world(4)
    said = {
        "sft": [truth(sample) for sample in samples],
        "fpo": [predict(sample, "a green star blinks.") for sample in samples],
    }
    config = CONFIG.model_copy(update={"caption_similarity": captions})
    with spreading(ray, "scoring", 1, records=0) as spread:
        return assemble_metrics(score_systems(samples, said, config, spread), {})


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_two_actors_give_the_bytes_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "PORTION", 40)
    assert preferences(settings(actors=2)) == preferences(RaySettings())
    assert metrics(settings(actors=2), captions=False) == metrics(RaySettings(), captions=False)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_any_number_of_actors_gives_the_bytes_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "PORTION", 40)
    made, scored = preferences(RaySettings()), metrics(RaySettings(), captions=True)
    for actors in (1, 4):
        assert preferences(settings(actors=actors)) == made
    for actors in (1, 2):
        assert metrics(settings(actors=actors), captions=True) == scored


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_what_libraries_draw_depends_on_the_portion_and_not_on_who_does_it() -> None:
    one, two = (list(OnRay(settings(actors=actors), "preferences")(drawn, PORTIONS)) for actors in (1, 2))
    assert one == two and all(a != b for a, b in pairwise(one))


def next_after_kill(results: Iterator[list[int]]) -> list[list[int]]:
    """The first result; then an actor dies without a chance to tidy up; then the rest."""
    first = next(results)
    actors = [
        process
        for process in psutil.process_iter(["cmdline"])
        if "ray::PoolActor" in " ".join(process.info["cmdline"] or [])
    ]
    actors[0].kill()
    return [first, *results]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_an_actor_that_is_killed_costs_a_retry() -> None:
    many = portions_of(range(200), 2)
    found = next_after_kill(OnRay(settings(), "preferences")(squared, many))
    assert found == list(spread_here(squared, many))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize(
    ("work", "pool", "said"),
    [
        (refuses, {}, r"^five\.csv:5: no such number; drop the row$"),
        (dies, {"retries": 1}, r"^an actor that scores died more than 1 times, .* ray\.scoring\.actors$"),
        (squared, {"actors": 90}, r"^ray\.scoring asks for 45 CPUs, and Ray has 4 here; lower ray\.scoring"),
    ],
)
def test_what_goes_wrong_is_one_line(work, pool: dict[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        list(OnRay(settings(**pool), "scoring")(work, PORTIONS))
    assert "\n" not in str(error.value)


def test_little_work_is_done_here_and_much_of_it_by_processes() -> None:
    with spreading(RaySettings(), "preferences", 2, records=100) as spread:
        assert spread is spread_here
    with spreading(RaySettings(), "preferences", 2, records=1_000_000) as spread:
        assert spread is not spread_here


def test_nothing_to_do_needs_no_ray() -> None:
    assert list(OnRay(settings(), "scoring")(squared, [])) == []
