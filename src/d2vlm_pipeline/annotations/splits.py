"""No clip may be trained on and tested on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from d2vlm_pipeline.annotations.rejection import Rejection
from d2vlm_pipeline.artifacts import derive_seed
from d2vlm_pipeline.timeline import Sample


def check_splits(
    samples: Iterable[Sample], digests: Mapping[str, str] | None = None, file: str = "samples"
) -> tuple[list[Sample], list[Rejection]]:
    """Samples that leak nothing between splits, in their order, and the rejected rest.

    A video belongs to the split of its first sample; its samples of other splits are rejected.

    Args:
        samples: from all splits.
        digests: content digest by video name; with it, copies of one video under two names count as one.
        file: what rejections call the source.
    """
    digests = digests or {}
    owners: dict[str, tuple[str, str]] = {}
    kept: list[Sample] = []
    rejections: list[Rejection] = []
    for sample in samples:
        content = digests.get(sample.video, sample.video)
        split, first_video = owners.setdefault(content, (sample.split, sample.video))
        if sample.split == split:
            kept.append(sample)
        else:
            rejections.append(_leak(sample, split, first_video, file))
    return kept, rejections


def _leak(sample: Sample, split: str, first_video: str, file: str) -> Rejection:
    copy = "" if first_video == sample.video else f" (same content as {first_video})"
    return Rejection(
        file=file,
        line=0,
        video=sample.video,
        sample_id=sample.id,
        code="split_leak",
        reason=f"{sample.video}{copy} is in split {split!r} and in {sample.split!r}",
        mend="keep all samples of a video in one split",
    )


def drawn_split(video: str, shares: Mapping[str, float], seed: int) -> str:
    """Split of a video by its name: the same whatever other videos there are, and in any order.

    Args:
        video: its name.
        shares: of each split, adding up to 1.
        seed: another one draws other splits.
    """
    left = derive_seed(seed, "split", video) / 2**63
    for split, share in shares.items():
        left -= share
        if left < 0:
            return split
    # Shares that add up to 0.9999…
    return next(split for split in reversed(list(shares)) if shares[split] > 0)
