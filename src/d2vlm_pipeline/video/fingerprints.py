"""What footage looks like, in a few bytes: a copy that was cut, scaled or encoded again still agrees.

A fingerprint is the perceptual hash (pHash: which of the lowest frequencies of a small grey picture are above
their median) of some frames of a video. Two videos are twins where half the frames of one, and several of
them, are nearly frames of the other. The figures behind the limits are in
docs/decisions/0022-near-duplicates.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, starmap
from typing import NamedTuple

import numpy as np

from d2vlm_pipeline.artifacts import track

FRAMES = 8
"""How many frames of a video are hashed at most, evenly spread."""

SIZE_PX = 32
"""Height and width of the pictures that hashes are made of."""

HASH_SIDE = 16
"""A hash has as many bits as frequencies: this many squared, in hex digits four of them each."""

MAX_BITS = 36
"""Two frames agree where at most so many of the 256 bits of their hashes differ."""

MIN_FRAMES = 3
"""Fewer frames than this prove nothing: a title or a black picture is in many videos."""

MIN_SHARE = 0.5
"""Share of the frames of one of two videos that have to agree with frames of the other."""

_MIN_CONTRAST = 4.0  # grey levels; the hash of a flatter picture is that of its noise
_WORDS = HASH_SIDE**2 // 64
# Of the first 64 bits, hashes that agree differ in far fewer than this, unrelated ones in 32: looking at the
# rest is left out where it cannot matter.
_MAX_BITS_OF_FIRST_WORD = 18


class Fingerprinted(NamedTuple):
    """A video with the group (its split) whose other members it may look like."""

    video: str
    group: str
    fingerprint: Sequence[str]


class Twin(NamedTuple):
    """The most similar video of another group, and the share of frames that agree."""

    video: str
    group: str
    share: float


def spread_frames(frames_THWC: np.ndarray) -> np.ndarray:
    """Those of the frames that are hashed: at most `FRAMES`, first and last among them, [≤ 8, H, W, 3]."""
    count = min(FRAMES, len(frames_THWC))
    chosen = np.linspace(0, len(frames_THWC) - 1, count).round().astype(int)
    return np.ascontiguousarray(frames_THWC[chosen])


def hash_frames(frames_THWC: np.ndarray) -> tuple[str, ...]:
    """Hash of each frame (uint8 [T, 32, 32, 3]), 64 hex digits; flat pictures have none."""
    import imagehash
    from PIL import Image

    pictures = [Image.fromarray(frame_HWC).convert("L") for frame_HWC in frames_THWC]
    lively = [picture for picture in pictures if float(np.asarray(picture).std()) >= _MIN_CONTRAST]
    return tuple(
        str(imagehash.phash(picture, hash_size=HASH_SIDE, highfreq_factor=SIZE_PX // HASH_SIDE))
        for picture in lively
    )


def find_twins(videos: Iterable[Fingerprinted]) -> dict[tuple[str, str], Twin]:
    """By (video, group): its most similar twin in another group, for those that have one.

    Every video is held against all videos of other groups; a video that stands in two groups is not its own
    twin: that is another matter. Videos with fewer than `MIN_FRAMES` hashes have no twins.
    """
    groups: dict[str, list[Fingerprinted]] = {}
    for video in videos:
        if len(video.fingerprint) >= MIN_FRAMES:
            groups.setdefault(video.group, []).append(video)
    pairs = [(groups[one], groups[other]) for one, other in combinations(sorted(groups), 2)]
    compared = chain.from_iterable(starmap(_similar, pairs))
    total = sum(len(ones) for ones, _ in pairs)
    twins: dict[tuple[str, str], Twin] = {}
    for found in track(compared, "compare footage", total=total, unit="video") if pairs else ():
        for first, second, share in found:
            _keep_best(twins, first, second, share)
            _keep_best(twins, second, first, share)
    return twins


def _keep_best(
    twins: dict[tuple[str, str], Twin], of: Fingerprinted, twin: Fingerprinted, share: float
) -> None:
    key = (of.video, of.group)
    if key not in twins or share > twins[key].share:
        twins[key] = Twin(twin.video, twin.group, share)


def _similar(
    ones: list[Fingerprinted], others: list[Fingerprinted]
) -> Iterator[list[tuple[Fingerprinted, Fingerprinted, float]]]:
    """For each of the ones its twins among the others: both, with the share of frames that agree."""
    hashes_HW = np.concatenate([_bits(other) for other in others])
    lengths_V = np.array([len(other.fingerprint) for other in others])
    firsts_V = np.concatenate([[0], np.cumsum(lengths_V)[:-1]])
    owners_H = np.repeat(np.arange(len(others)), lengths_V)
    for one in ones:
        bits_KW = _bits(one)
        mine, theirs = _agreeing(bits_KW, hashes_HW)
        twins = []
        for index in np.unique(owners_H[theirs]):
            other = others[index]
            within = (theirs >= firsts_V[index]) & (theirs < firsts_V[index] + lengths_V[index])
            counts = ((mine, len(bits_KW)), (theirs, lengths_V[index]))
            agreeing = [(len(np.unique(frames[within])), count) for frames, count in counts]
            share = max(found / count if found >= MIN_FRAMES else 0.0 for found, count in agreeing)
            if share >= MIN_SHARE and other.video != one.video:
                twins.append((one, other, round(float(share), 3)))
        yield twins


def _agreeing(bits_KW: np.ndarray, hashes_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices into both, of all pairs of hashes that agree."""
    first_KH = np.bitwise_count(bits_KW[:, None, 0] ^ hashes_HW[None, :, 0])
    mine, theirs = np.nonzero(first_KH <= _MAX_BITS_OF_FIRST_WORD)
    differing = np.bitwise_count(bits_KW[mine] ^ hashes_HW[theirs]).sum(axis=1, dtype=np.int64)
    agree = differing <= MAX_BITS
    return mine[agree], theirs[agree]


def _bits(video: Fingerprinted) -> np.ndarray:
    """uint64 [hashes, words]."""
    digits = b"".join(bytes.fromhex(text) for text in video.fingerprint)
    return np.frombuffer(digits, dtype=">u8").astype(np.uint64).reshape(-1, _WORDS)
