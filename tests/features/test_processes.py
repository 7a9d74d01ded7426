"""Processes that encode: what their death costs, and when it ends the run."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from d2vlm_pipeline.artifacts import UserError, digest_bytes
from d2vlm_pipeline.features import EfficientNetConfig
from d2vlm_pipeline.features.processes import EncoderProcesses, check_unchanged
from d2vlm_pipeline.timeline import TimeBase
from d2vlm_pipeline.video import VideoRow

CLOCK = TimeBase(times_s=(0.0,), duration_s=1.0, fps_src=1.0, policy_digest="p")
FRAMES = np.zeros((1, 64, 64, 3), np.uint8)


class Pool:
    """A pool of processes whose fate is known: 'dies' with the clip, 'is dead' before it, or encodes it."""

    def __init__(self, fates: list[str]) -> None:
        self._fates, self.submitted = fates, 0

    def submit(self, function: object, frames_THWC: np.ndarray, path: str, digest: str) -> Future[np.ndarray]:
        fate = self._fates.pop(0) if self._fates else "encodes"
        if fate == "is dead":
            raise BrokenProcessPool
        future: Future[np.ndarray] = Future()
        self.submitted += 1
        if fate == "dies":
            future.set_exception(BrokenProcessPool())
        elif fate == "refuses":
            future.set_exception(UserError(f"{path}: changed"))
        else:
            future.set_result(np.full(1, int(digest), np.float16))
        return future

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:
        pass


def outcomes(monkeypatch: pytest.MonkeyPatch, fates: list[str], clips: int = 3) -> list[object]:
    """What comes out for clips 0, 1, 2 …, whose submissions have these fates one after the other."""
    monkeypatch.setattr(EncoderProcesses, "_started", lambda self: Pool(fates))
    found: list[object] = []
    with EncoderProcesses(EfficientNetConfig(), 1) as processes:
        for number in range(clips):
            row = VideoRow(video=f"{number}", path=f"/{number}.mp4", digest=str(number), status="ok")
            processes.put(row, CLOCK, FRAMES)
        while len(processes):
            row, _, outcome = processes.take()
            said = str(outcome) if isinstance(outcome, UserError) else int(outcome[0])
            found.append((int(str(row.digest)), said))
    return found


@pytest.mark.parametrize(
    "fates",
    [
        [],
        ["dies"],
        ["dies", "dies", "dies", "dies"],
        ["encodes", "dies", "is dead"],
        ["is dead"],
        ["is dead", "is dead", "dies"],
        ["encodes", "is dead", "encodes", "dies"],
    ],
)
def test_clips_come_out_in_order_whoever_dies_meanwhile(
    monkeypatch: pytest.MonkeyPatch, fates: list[str]
) -> None:
    assert outcomes(monkeypatch, fates) == [(0, 0), (1, 1), (2, 2)]


def test_a_clip_that_is_refused_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(monkeypatch, ["encodes", "refuses"]) == [(0, 0), (1, "/1.mp4: changed"), (2, 2)]


def test_dying_again_and_again_is_one_line_with_a_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^/0\.mp4: .* dies, .*lower compute\.workers") as error:
        outcomes(monkeypatch, ["dies"] * 100)
    assert "\n" not in str(error.value)


def test_a_file_is_held_to_the_digest_it_was_probed_with(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"one")
    check_unchanged(str(video), digest_bytes(b"one"))
    video.write_bytes(b"two")
    with pytest.raises(UserError, match=r"a\.mp4: changed since it was probed$"):
        check_unchanged(str(video), digest_bytes(b"one"))
    video.unlink()
    with pytest.raises(UserError, match=r"a\.mp4: cannot be read \(No such file"):
        check_unchanged(str(video), digest_bytes(b"one"))
