"""The only place where seconds and frames meet."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Self

from pydantic import Field, model_validator

from d2vlm_pipeline.artifacts import StrictModel, digest_json
from d2vlm_pipeline.timeline.interval import Interval
from d2vlm_pipeline.timeline.sampling import SamplingPolicy


class TimeBase(StrictModel):
    """Times of one video's T sampled frames under one sampling policy.

    Attributes:
        times_s: presentation times of the sampled frames, strictly increasing, in [0, duration_s); real ones,
            so gaps may differ (variable frame rate).
        duration_s: clip duration, counted like the times from the first presented frame.
        fps_src: average frame rate of the source.
        policy_digest: digest of the SamplingPolicy that chose the frames.
    """

    times_s: tuple[float, ...] = Field(min_length=1)
    duration_s: float = Field(gt=0)
    fps_src: float = Field(gt=0)
    policy_digest: str = Field(min_length=1)

    @model_validator(mode="after")
    def _spans_are_real(self) -> Self:
        if self.times_s[0] < 0:
            raise ValueError(f"first frame at {self.times_s[0]} s; subtract the container's start offset")
        for i, (earlier, later) in enumerate(pairwise(self.times_s)):
            if not earlier < later:
                raise ValueError(
                    f"frame times must increase, but frame {i + 1} is at {later} s after {earlier} s"
                )
        if not self.times_s[-1] < self.duration_s:
            raise ValueError(f"last frame at {self.times_s[-1]} s, but the clip lasts {self.duration_s} s")
        if not self.times_s[-1] < self.end_s:
            raise ValueError("frames are too close together for floating-point seconds")
        return self

    @classmethod
    def of_video(
        cls, presentation_s: Sequence[float], duration_s: float, fps_src: float, policy: SamplingPolicy
    ) -> tuple[list[int], Self]:
        """Choose the frames of a video: (indices of the sampled source frames, their TimeBase).

        Args:
            presentation_s: container times of all presented frames, ascending; any start offset.
            duration_s: seconds from the first presented frame to the end of the clip.
            fps_src: average frame rate of the source.
            policy: which frames to take.

        Raises:
            ValueError: no frames, times that run backwards, or past the duration.
        """
        relative_s = [time_s - presentation_s[0] for time_s in presentation_s]
        chosen = policy.choose_frames(relative_s, duration_s)
        times_s = tuple(relative_s[i] for i in chosen)
        return chosen, cls(
            times_s=times_s, duration_s=duration_s, fps_src=fps_src, policy_digest=policy.digest
        )

    def __len__(self) -> int:
        """T, the number of sampled frames."""
        return len(self.times_s)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all fields."""
        return digest_json(["timebase", self])

    @cached_property
    def end_s(self) -> float:
        """End of the last display span: min(duration, t_last + median gap), or duration for one frame."""
        if len(self.times_s) == 1:
            return self.duration_s
        gap_s = median(later - earlier for earlier, later in pairwise(self.times_s))
        return min(self.duration_s, self.times_s[-1] + gap_s)

    def frames_of(self, interval: Interval) -> tuple[int, int]:
        """(first, last), inclusive, of the frames whose display span [t_i, t_{i+1}) meets `interval`.

        Never empty: an interval before the first frame, or past the end of the last, gives that nearest one.
        """
        first = max(0, bisect_right(self.times_s, interval.start_s) - 1)
        last = max(0, bisect_left(self.times_s, interval.end_s) - 1)
        return first, last

    def interval_of(self, first: int, last: int) -> Interval:
        """Display span [t_first, t_{last+1}) of the frames first … last; inverse of `frames_of` on frames.

        Raises:
            IndexError: not 0 <= first <= last < T.
        """
        if not 0 <= first <= last < len(self.times_s):
            raise IndexError(f"frames {first}..{last} of a clip with {len(self.times_s)} sampled frames")
        end_s = self.times_s[last + 1] if last + 1 < len(self.times_s) else self.end_s
        return Interval(start_s=self.times_s[first], end_s=end_s)
