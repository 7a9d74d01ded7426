"""What a store shall hold, and how saving it computes no more than what is not there yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError, track
from d2vlm_pipeline.features.cache import (
    adopt,
    for_this_run,
    known_clips,
    publish,
    remove_superseded,
    write_journal,
)
from d2vlm_pipeline.features.index import ClipFeatures, Key
from d2vlm_pipeline.features.shards import DEFAULT_SHARD_BYTES, Clip, StoredClip, write_shards
from d2vlm_pipeline.features.store import FeatureStore
from d2vlm_pipeline.video import VideoRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LostClip:
    """A video that was accepted and has no features after all; `reason` is one line that names it."""

    row: VideoRow
    reason: str


Compute = Callable[[Sequence[VideoRow]], Generator[ClipFeatures | LostClip, None, None]]
"""Features of videos, in their order, one for each."""


@dataclass(frozen=True)
class FeatureStream:
    """Clips that a store shall hold: on saving, those computed before are found, and the others computed.

    Attributes:
        rows: accepted videos, one for each digest, ordered by it.
        left_out: how many videos of the table are in quarantine.
        policy_digest: of the SamplingPolicy that `compute` samples by.
        encoder_digest: of the encoder that `compute` uses.
        compute: makes what is not there.
    """

    rows: tuple[VideoRow, ...]
    left_out: int
    policy_digest: str
    encoder_digest: str
    compute: Compute

    @classmethod
    def of(
        cls, rows: Iterable[VideoRow], policy_digest: str, encoder_digest: str, compute: Compute
    ) -> FeatureStream:
        """A stream for the accepted videos of a table; of equal videos, one is decoded."""
        table = sorted(rows, key=lambda row: (str(row.digest), row.video))
        accepted = {str(row.digest): row for row in reversed(table) if row.status == "ok"}
        left_out = sum(row.status != "ok" for row in table)
        return cls(tuple(reversed(accepted.values())), left_out, policy_digest, encoder_digest, compute)

    def key(self, row: VideoRow) -> Key:
        """What the row's features are found by."""
        return str(row.digest), self.policy_digest, self.encoder_digest


def save_store(
    stream: FeatureStream,
    directory: Path,
    cache: Path,
    published: Path,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
) -> None:
    """Fill an empty directory with the stream's store, computing what is neither in the cache nor published.

    Every shard is in the cache as soon as it is full, for whoever comes after a kill. The store's bytes
    depend on its clips alone: not on what was there before, nor on the order of rows.

    Raises:
        UserError: some videos could not be decoded; what all others gave is in the cache.
    """
    with for_this_run(cache):
        adopt(cache, published)
        keys = {stream.key(row): row for row in stream.rows}
        known = known_clips(cache, keys.keys())
        missing = [row for key, row in keys.items() if key not in known]
        logger.info(
            "features of %d videos: %d are there, %d to be computed; %d left out, in quarantine",
            *(len(keys), len(known), len(missing), stream.left_out),
        )
        lost: list[LostClip] = []
        with closing(stream.compute(missing)) as computed:
            shown = track(computed, "extract features", total=len(missing), unit="clip")
            clips = _merged(keys, known, shown if missing else iter(()), lost)
            names = [s.path.name for s in write_shards(cache, clips, shard_bytes, keep=write_journal)]
        if lost:
            raise UserError(_said_of(lost))
        publish(cache, names, directory)
        remove_superseded(cache, names, keys.keys())


def load_store(directory: Path) -> FeatureStore:
    """Open the store for random access."""
    return FeatureStore(directory)


def _merged(
    keys: Mapping[Key, VideoRow],
    known: Mapping[Key, StoredClip],
    computed: Iterator[ClipFeatures | LostClip],
    lost: list[LostClip],
) -> Iterator[Clip]:
    """Clips in the order of the keys; those that are lost go into the list instead."""
    for key in keys:
        if key in known:
            yield known[key]
            continue
        clip = next(computed, None)
        if isinstance(clip, LostClip):
            logger.warning("lost: %s", clip.reason)
            lost.append(clip)
        elif clip is None or clip.key != key:
            raise RuntimeError(f"features of {key[0]} were asked for, and others came")
        else:
            yield clip
    # The end is for whoever shows progress.
    for clip in computed:
        raise RuntimeError(f"features of {clip} were not asked for")


def _said_of(lost: Sequence[LostClip]) -> str:
    count = f"{len(lost)} videos that were accepted can" if len(lost) > 1 else "1 video that was accepted can"
    return (
        f"{lost[0].reason} ({count} no longer be read; features of all others are kept): "
        "run `kedro run --pipelines ingestion` again"
    )
