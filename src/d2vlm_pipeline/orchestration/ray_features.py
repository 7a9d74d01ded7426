"""Videos → features on Ray: decoders feed an actor pool of encoders through Ray Data.

The adapter of `features.extract_features`: same arguments, same results, to the byte. Ray Data streams: what
lies between two pools is bounded by Ray's object store, however many videos there are.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2vlm_pipeline.artifacts import UserError, seed_with_torch
from d2vlm_pipeline.features import ClipFeatures, EncoderConfig, LostClip, build_encoder
from d2vlm_pipeline.features.processes import check_unchanged
from d2vlm_pipeline.orchestration.ray_session import check_room, ray_session
from d2vlm_pipeline.orchestration.ray_settings import RayFeatures, RaySettings
from d2vlm_pipeline.timeline import SamplingPolicy, TimeBase
from d2vlm_pipeline.video import DecodeLimits, DecodePool, VideoError, VideoRow

if TYPE_CHECKING:
    from ray.data import DataContext, Dataset

_Item = dict[str, Any]


def extract_on_ray(
    rows: Sequence[VideoRow],
    policy: SamplingPolicy,
    config: EncoderConfig,
    limits: DecodeLimits,
    settings: RaySettings,
) -> Generator[ClipFeatures | LostClip, None, None]:
    """Features of accepted videos, in their order; a video that can no longer be read is lost, and no other.

    Raises:
        UserError: no cluster, not enough room on this machine, or an actor dies again and again.
    """
    if not rows:
        return
    digests = policy.digest, build_encoder(config).digest
    with ray_session(settings):
        from ray.exceptions import OutOfMemoryError, RayActorError

        pools = settings.features
        check_room(
            settings,
            "ray.features",
            "ray.features.decoders or ray.features.encoders",
            cpus=pools.decoders + pools.encoders * pools.cpus_per_encoder,
            gpus=pools.encoders * pools.gpus_per_encoder,
        )
        dataset = _dataset(rows, policy, config, limits, settings.features)
        try:
            for row, item in zip(rows, dataset.iter_rows(), strict=True):
                yield _clip(row, item, *digests)
        except (RayActorError, OutOfMemoryError) as error:
            raise UserError(
                f"an actor of the features pipeline died more than {settings.features.retries} times, "
                "perhaps for want of memory; lower ray.features.encoders, ray.features.batch_clips or "
                "encoder.batch_frames"
            ) from error


class Decoder:
    """Decodes one video after the other in a sandboxed process of its own."""

    def __init__(self, policy: SamplingPolicy, size_px: int, limits: DecodeLimits) -> None:
        self._policy, self._size_px, self._limits = policy, size_px, limits
        self._pool = DecodePool(1)

    def __call__(self, item: _Item) -> _Item:
        """Add pixels and times to a video, or why there are none."""
        try:
            frames_THWC, timebase = self._pool.decode(
                Path(item["path"]), self._policy, self._size_px, self._limits
            )
        except VideoError as error:
            return {**item, "pixels": b"", "timebase": "", "reason": f"{item['path']}: {error}"}
        return {**item, "pixels": frames_THWC.tobytes(), "timebase": timebase.model_dump_json(), "reason": ""}


class Encoder:
    """Encodes clips, each by itself: its features do not depend on what it came with."""

    def __init__(self, config: EncoderConfig) -> None:
        import torch

        torch.set_num_threads(1)
        self._encoder = build_encoder(config)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Features of clips, as bytes, in place of their pixels."""
        items = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        encoded = [self._encoded(item) for item in items]
        return {name: [item[name] for item in encoded] for name in encoded[0]}

    def _encoded(self, item: _Item) -> _Item:
        position, found = int(item["position"]), {"timebase": "", "features": b"", "reason": item["reason"]}
        if not item["reason"]:
            try:
                check_unchanged(item["path"], item["digest"])
                seed_with_torch(0, "encode", str(item["digest"]))
                features_TNC = self._encoder.encode(self._frames(item["pixels"]))
                found |= {"timebase": item["timebase"], "features": features_TNC.tobytes()}
            except UserError as error:
                found["reason"] = str(error)
        return {"position": position, **found, "shape_NC": list(self._encoder.shape_NC)}

    def _frames(self, pixels: bytes) -> np.ndarray:
        side = self._encoder.input_px
        # A copy: torch wants arrays that it could write to.
        return np.frombuffer(pixels, np.uint8).reshape(-1, side, side, 3).copy()


def _dataset(
    rows: Sequence[VideoRow],
    policy: SamplingPolicy,
    config: EncoderConfig,
    limits: DecodeLimits,
    pools: RayFeatures,
) -> Dataset:
    """Ray's plan: videos → decoders → encoders, in the order of the rows."""
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # Left alone, Ray starts a lost actor again for ever.
    survival: dict[str, Any] = {"max_restarts": pools.retries, "max_task_retries": pools.retries}
    videos: list[_Item] = [
        {"position": position, "path": row.path, "digest": str(row.digest)}
        for position, row in enumerate(rows)
    ]
    with _quiet(), DataContext.current(_in_order()):
        blocks = math.ceil(len(videos) / pools.batch_clips)
        decoded = ray.data.from_items(videos, override_num_blocks=blocks).map(
            Decoder,  # type: ignore[arg-type]  # classes are taken, too
            fn_constructor_args=(policy, build_encoder(config).input_px, limits),
            compute=ActorPoolStrategy(size=pools.decoders),
            num_cpus=1,
            **survival,
        )
        return decoded.map_batches(
            Encoder,
            fn_constructor_args=(config,),
            compute=ActorPoolStrategy(size=pools.encoders),
            batch_size=pools.batch_clips,
            batch_format="numpy",
            num_cpus=pools.cpus_per_encoder,
            num_gpus=pools.gpus_per_encoder,
            **survival,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data 2.60 warns of its own settings while it copies them, and of the one way to bound restarts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _in_order() -> DataContext:
    """Ray Data's settings, of this dataset alone."""
    from ray.data import DataContext

    context = DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    return context


def _clip(row: VideoRow, item: _Item, policy_digest: str, encoder_digest: str) -> ClipFeatures | LostClip:
    if item["reason"]:
        return LostClip(row, item["reason"])
    timebase = TimeBase.model_validate_json(item["timebase"])
    features_TNC = np.frombuffer(item["features"], "<f2").reshape(len(timebase), *item["shape_NC"])
    return ClipFeatures(str(row.digest), policy_digest, encoder_digest, features_TNC, timebase)
