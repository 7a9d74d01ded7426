"""Which frames of a video are looked at."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Literal

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel, digest_json


class SamplingPolicy(StrictModel):
    """Sample at `fps`, at most `max_frames` a video.

    `rounding` says which source frame stands for a target time: the one presented `nearest` to it (the
    earlier of two equally near), or the `previous` one, which is on display at that instant.
    """

    fps: float = Field(default=2.0, gt=0, le=1000)
    max_frames: int = Field(default=256, ge=1)
    rounding: Literal["nearest", "previous"] = "nearest"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the policy: two policies with the same digest pick the same frames."""
        return digest_json(["sampling_policy", self])

    def sample_times(self, duration_s: float) -> list[float]:
        """Target times k / fps in [0, duration_s), in seconds.

        More than `max_frames` of them are thinned evenly, first and last kept, so that a long clip is covered
        to its end.

        Raises:
            ValueError: `duration_s` is not positive and finite.
        """
        if not 0 < duration_s < float("inf"):
            raise ValueError(f"duration must be positive and finite, got {duration_s} s")
        count = _count_below(duration_s, self.fps)
        return [k / self.fps for k in _thinned(count, self.max_frames)]

    def choose_frames(self, presentation_s: Sequence[float], duration_s: float) -> list[int]:
        """Indices, ascending and distinct, of the source frames to sample.

        Args:
            presentation_s: presentation times of all source frames, ascending, first one 0.
            duration_s: clip duration in seconds.

        Where the source is slower than `fps` a frame is taken once, not repeated; of frames that broken files
        present at the same instant, the first.

        Raises:
            ValueError: no frames, times that run backwards, or a bad duration.
        """
        if not presentation_s:
            raise ValueError("a video without frames cannot be sampled")
        for i, (earlier, later) in enumerate(pairwise(presentation_s)):
            if later < earlier:
                raise ValueError(f"frame {i + 1} is presented at {later} s, before frame {i} at {earlier} s")
        chosen = (self._source_index(presentation_s, time_s) for time_s in self.sample_times(duration_s))
        return sorted(set(chosen))

    def _source_index(self, presentation_s: Sequence[float], time_s: float) -> int:
        following = bisect_right(presentation_s, time_s)
        chosen = max(0, following - 1)
        if self.rounding == "nearest" and following < len(presentation_s):
            is_later_nearer = presentation_s[following] - time_s < time_s - presentation_s[chosen]
            chosen = following if is_later_nearer else chosen
        return bisect_left(presentation_s, presentation_s[chosen])


def _count_below(duration_s: float, fps: float) -> int:
    """How many k >= 0 have k / fps < duration_s; the product alone may round down across an integer."""
    count = int(duration_s * fps)
    while count / fps < duration_s:
        count += 1
    return count


def _thinned(count: int, limit: int) -> list[int]:
    """All of range(count), or `limit` of them evenly spaced with both ends, rounded half up in integers."""
    if count <= limit:
        return list(range(count))
    if limit == 1:
        return [0]
    gaps = limit - 1
    return [(2 * i * (count - 1) + gaps) // (2 * gaps) for i in range(limit)]
