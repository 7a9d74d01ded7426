"""Features on Ray: the same bytes as without it, and what a dead actor or a bad video costs."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features import (
    ClipFeatures,
    EfficientNetConfig,
    LostClip,
    extract_features,
    save_store,
)
from d2vlm_pipeline.orchestration.ray_features import extract_on_ray
from d2vlm_pipeline.orchestration.ray_session import ray_session
from d2vlm_pipeline.orchestration.ray_settings import RayFeatures, RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.features.nodes import stream_features
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.video import DecodeLimits, VideoRow, build_video_table
from video.clips import steady_ms, write_clip

POLICY, LIMITS = SamplingPolicy(fps=2.0), DecodeLimits()
ENCODER = EfficientNetConfig(input_px=64, grid=2)
CLIPS = 7


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRow]:
    """Clips of 1 to 3 s, by digest."""
    root = tmp_path_factory.mktemp("footage")
    for number in range(CLIPS):
        write_clip(root / f"clip{number}.mp4", steady_ms(10 + 4 * number))
    names = sorted(path.name for path in root.iterdir())
    table = build_video_table(root, names, LIMITS, POLICY, workers=2)
    return sorted(table, key=lambda row: str(row.digest))


def settings(**features: int | float) -> RaySettings:
    return RaySettings(enabled=True, features=RayFeatures.model_validate(features))


def on_ray(rows: Sequence[VideoRow], **features: int | float) -> list[ClipFeatures | LostClip]:
    return list(extract_on_ray(rows, POLICY, ENCODER, LIMITS, settings(**features)))


@pytest.fixture(scope="module")
def plain(rows: list[VideoRow]) -> list[ClipFeatures | LostClip]:
    return list(extract_features(rows, POLICY, ENCODER, LIMITS, workers=1))


def assert_same(
    found: Sequence[ClipFeatures | LostClip], expected: Sequence[ClipFeatures | LostClip]
) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, ClipFeatures) and isinstance(other, ClipFeatures)
        assert one.key == other.key and one.timebase == other.timebase
        assert one.features_TNC.tobytes() == other.features_TNC.tobytes()


@pytest.mark.slow
@pytest.mark.ci_sample
@pytest.mark.usefixtures("ray_here")
def test_any_number_of_actors_gives_the_bytes_of_plain_iteration(
    rows: list[VideoRow], plain: list[ClipFeatures | LostClip]
) -> None:
    assert_same(on_ray(rows), plain)
    assert_same(on_ray(rows, encoders=2, decoders=2, batch_clips=3, cpus_per_encoder=0.5), plain)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_bad_video_is_reported_as_in_plain_iteration(rows: list[VideoRow], tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    gone, bad, changed = rows[0], rows[2], rows[4]
    here = [
        rows[1],
        gone.model_copy(update={"path": str(tmp_path / "gone.mp4")}),
        bad.model_copy(update={"path": str(text)}),
        changed.model_copy(update={"path": rows[5].path}),
        rows[3],
    ]
    found = on_ray(here, batch_clips=2)
    expected = list(extract_features(here, POLICY, ENCODER, LIMITS, workers=1))
    assert [each.reason for each in found if isinstance(each, LostClip)] == [
        each.reason for each in expected if isinstance(each, LostClip)
    ]
    assert [type(each) for each in found] == [ClipFeatures, LostClip, LostClip, LostClip, ClipFeatures]
    assert_same([found[0], found[4]], [expected[0], expected[4]])


def killed(name: str) -> None:
    """Kill the actor of this name without a chance to tidy up."""
    (process,) = [p for p in psutil.process_iter(["cmdline"]) if name in " ".join(p.info["cmdline"] or [])]
    process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("actor", ["Decoder", "Encoder"])
@pytest.mark.usefixtures("ray_here")
def test_an_actor_that_is_killed_costs_a_retry(
    rows: list[VideoRow], plain: list[ClipFeatures | LostClip], actor: str
) -> None:
    many = rows * 6
    stream = extract_on_ray(many, POLICY, ENCODER, LIMITS, settings(batch_clips=1))
    found = [next(stream)]
    killed(actor)
    found += stream
    assert_same(found, plain * 6)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_the_node_takes_the_way_that_the_settings_name(rows: list[VideoRow], tmp_path: Path) -> None:
    stores = []
    for enabled in (True, False):
        ray = settings().model_copy(update={"enabled": enabled})
        stream = stream_features(rows, POLICY, ENCODER, LIMITS, ComputeConfig(workers=1), ray)
        folder = tmp_path / str(enabled)
        (folder / "store").mkdir(parents=True)
        save_store(stream, folder / "store", folder / "cache", folder / "published")
        stores.append({path.name: path.read_bytes() for path in (folder / "store").iterdir()})
    assert stores[0] == stores[1]


def test_the_node_computes_by_processes_unless_ray_is_asked_for(rows: list[VideoRow]) -> None:
    def way(ray: RaySettings) -> Callable[..., object]:
        compute = stream_features(rows, POLICY, ENCODER, LIMITS, ComputeConfig(), ray).compute
        assert isinstance(compute, partial)
        return compute.func

    assert way(RaySettings()) is extract_features
    assert way(settings()) is extract_on_ray


def test_no_cluster_at_the_address_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**given: object) -> None:
        raise ConnectionError(f"nobody at {given['address']}\nand much more")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", refuse)
    said = r"ray\.address auto: no cluster answers \(nobody at auto\); .*`ray start --head`"
    nowhere = RaySettings(enabled=True, address="auto")
    with pytest.raises(UserError, match=said) as error, ray_session(nowhere):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_an_actor_that_keeps_dying_is_one_line(rows: list[VideoRow]) -> None:
    stream = extract_on_ray(rows * 6, POLICY, ENCODER, LIMITS, settings(batch_clips=1, retries=0))
    next(stream)
    killed("Encoder")
    with pytest.raises(UserError, match=r"an actor .* died more than 0 times, .*lower ray\.feat") as error:
        list(stream)
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize(
    ("pools", "said"),
    [({"decoders": 40}, "41 CPUs, and Ray has 4"), ({"gpus_per_encoder": 1}, "1 GPUs, and Ray has 0")],
)
def test_pools_that_do_not_fit_on_this_machine_are_refused(
    rows: list[VideoRow], pools: dict[str, int], said: str
) -> None:
    with pytest.raises(UserError, match=rf"ray\.features asks for {said} .*; lower ray\.features\.decoders"):
        on_ray(rows, **pools)


def test_nothing_to_compute_starts_no_ray() -> None:
    assert on_ray([]) == []
