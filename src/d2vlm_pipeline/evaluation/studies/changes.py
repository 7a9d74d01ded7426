"""Clips changed at the level of features: masked, shifted, padded, sped up, reversed, frames lost or noisy.

A change turns features and the times of their frames together, as sampling the changed video would. Where
that video's sampling grid falls on the original's (padding by whole steps, speeding up by a whole factor) the
result is exact; after a cut or backwards, frames stand within half a sampling step of where sampling would
have taken them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Protocol

import numpy as np

from d2vlm_pipeline.evaluation.predictor import ClipSource
from d2vlm_pipeline.timeline import Interval, TimeBase

FrameRun = tuple[int, int]
"""First and last frame, inclusive."""

# Times are sums of floats: a frame a billionth of a second before a cut counts as at it.
_SLACK_S = 1e-9


class Change(Protocol):
    """What is done to a clip; equal changes do the same."""

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """Features and times of the changed clip."""
        ...


class TimeChange(Change, Protocol):
    """A change after which what was seen at one time is seen at another."""

    def moved(self, interval: Interval, timebase: TimeBase) -> Interval | None:
        """Where an interval of the original is found afterwards; None where it is not whole any more."""
        ...


@dataclass(frozen=True)
class ChangedClips:
    """Clips by new names: each a clip of the source, changed."""

    source: ClipSource
    changes: Mapping[str, tuple[str, Change]]

    def clip(self, video: str) -> tuple[np.ndarray, TimeBase]:
        """Features and times after the change."""
        original, change = self.changes[video]
        return change(*self.source.clip(original))


@dataclass(frozen=True)
class Unchanged:
    """The clip as it is."""

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        return features_TNC, timebase


@dataclass(frozen=True)
class Masked:
    """Runs of frames with every feature zero; they keep their places and times."""

    runs: tuple[FrameRun, ...]

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        masked_TNC = np.array(features_TNC)
        for first, last in self.runs:
            masked_TNC[first : last + 1] = 0
        return masked_TNC, timebase


@dataclass(frozen=True)
class CutHead:
    """The clip without its first seconds: it begins with the first frame sampled at or after `seconds`."""

    seconds: float

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        first = self._first(timebase)
        offset_s = timebase.times_s[first]
        times_s = [time_s - offset_s for time_s in timebase.times_s[first:]]
        return features_TNC[first:], _clock(timebase, times_s, timebase.duration_s - offset_s)

    def moved(self, interval: Interval, timebase: TimeBase) -> Interval | None:
        """See `TimeChange`."""
        if timebase.times_s[-1] < self.seconds:
            return None
        offset_s = timebase.times_s[self._first(timebase)]
        return _shifted(interval, -offset_s) if interval.start_s >= offset_s else None

    def _first(self, timebase: TimeBase) -> int:
        return int(np.searchsorted(timebase.times_s, self.seconds - _SLACK_S))


@dataclass(frozen=True)
class PadHead:
    """The clip behind a still of its first frame, `seconds` long (rounded to whole sampling steps).

    A still is what an encoder sees of a frozen picture; black would be something that it never saw.
    """

    seconds: float

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        step_s = sampling_step_s(timebase)
        count = round(self.seconds / step_s)
        still_KNC = np.repeat(features_TNC[:1], count, axis=0)
        times_s = [k * step_s for k in range(count)] + [t + count * step_s for t in timebase.times_s]
        changed = _clock(timebase, times_s, timebase.duration_s + count * step_s)
        return np.concatenate([still_KNC, features_TNC]), changed

    def moved(self, interval: Interval, timebase: TimeBase) -> Interval | None:
        """See `TimeChange`."""
        step_s = sampling_step_s(timebase)
        return _shifted(interval, round(self.seconds / step_s) * step_s)


@dataclass(frozen=True)
class SpeedUp:
    """The clip `factor` times as fast, sampled at the same rate: every `factor`-th frame is left."""

    factor: int

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        times_s = [time_s / self.factor for time_s in timebase.times_s[:: self.factor]]
        changed = _clock(timebase, times_s, timebase.duration_s / self.factor, self.factor)
        return features_TNC[:: self.factor], changed

    def moved(self, interval: Interval, timebase: TimeBase) -> Interval | None:
        """See `TimeChange`."""
        return Interval(start_s=interval.start_s / self.factor, end_s=interval.end_s / self.factor)


@dataclass(frozen=True)
class Reversed:
    """The clip from its end to its beginning."""

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        shown_until_s = [*timebase.times_s[1:], timebase.end_s]
        times_s = [timebase.end_s - time_s for time_s in reversed(shown_until_s)]
        # What is shown before the first sampled frame would come behind the last: there is nothing to show.
        return features_TNC[::-1], _clock(timebase, times_s, timebase.end_s - timebase.times_s[0])

    def moved(self, interval: Interval, timebase: TimeBase) -> Interval | None:
        """See `TimeChange`."""
        start_s, end_s = timebase.end_s - interval.end_s, timebase.end_s - interval.start_s
        return Interval(start_s=start_s, end_s=end_s) if start_s >= 0.0 else None


@dataclass(frozen=True)
class Dropped:
    """A share of the frames is lost; the others keep their times. A greater share loses the same and more."""

    share: float
    seed: int

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        lost = set(_drawn(len(timebase), self.share, self.seed).tolist())
        kept = [frame for frame in range(len(timebase)) if frame not in lost] or [0]
        times_s = [timebase.times_s[frame] for frame in kept]
        return features_TNC[kept], _clock(timebase, times_s, timebase.duration_s)


@dataclass(frozen=True)
class Noisy:
    """A share of the frames is under Gaussian noise: `scale` times the deviation of each channel."""

    share: float
    scale: float
    seed: int

    def __call__(self, features_TNC: np.ndarray, timebase: TimeBase) -> tuple[np.ndarray, TimeBase]:
        """See `Change`."""
        hit = _drawn(len(timebase), self.share, self.seed)
        clean_TNC = features_TNC.astype(np.float32)
        spread_C = clean_TNC.std(axis=(0, 1))
        noise_TNC = np.random.default_rng([self.seed, 1]).standard_normal(clean_TNC.shape, dtype=np.float32)
        clean_TNC[hit] += self.scale * spread_C * noise_TNC[hit]
        return clean_TNC.astype(features_TNC.dtype), timebase


def sampling_step_s(timebase: TimeBase) -> float:
    """Seconds between sampled frames, as a rule; the duration of a clip of one frame."""
    gaps_s = [later - earlier for earlier, later in pairwise(timebase.times_s)]
    return median(gaps_s) if gaps_s else timebase.duration_s


def _drawn(frames: int, share: float, seed: int) -> np.ndarray:
    """A share of the frames, rounded; those of a smaller share are among those of a greater one."""
    return np.random.default_rng(seed).permutation(frames)[: round(share * frames)]


def _shifted(interval: Interval, by_s: float) -> Interval:
    return Interval(start_s=max(0.0, interval.start_s + by_s), end_s=interval.end_s + by_s)


def _clock(original: TimeBase, times_s: list[float], duration_s: float, speed: float = 1.0) -> TimeBase:
    # Differences of floats may fall a hair below zero.
    return TimeBase(
        times_s=tuple(max(0.0, time_s) for time_s in times_s),
        duration_s=duration_s,
        fps_src=original.fps_src * speed,
        policy_digest=original.policy_digest,
    )
