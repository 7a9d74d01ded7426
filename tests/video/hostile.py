"""A corpus of files that lie, break off, lead elsewhere or are merely unusual, each with its verdict.

A verdict is "ok" or the reason of a refusal. `plant` makes the files; nothing of the corpus is kept.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from video.clips import FASTSTART, steady_ms, write_clip


@dataclass(frozen=True)
class Ground:
    """Where a corpus is planted: `secret` is a good video outside `root`, `address` a listening server."""

    root: Path
    secret: Path
    address: str

    @cached_property
    def good(self) -> bytes:
        """An MP4 of 4 s at 10 frames a second, 64x48, a keyframe every 8 frames, its index first."""
        return write_clip(self.secret.with_name("good.mp4"), steady_ms(40), container=FASTSTART).read_bytes()

    @cached_property
    def late(self) -> bytes:
        """The same frames with the index last."""
        return write_clip(self.secret.with_name("late.mp4"), steady_ms(40)).read_bytes()


Plant = Callable[[Ground, Path], None]
CASES: dict[str, tuple[str, Plant]] = {}


def case(name: str, verdict: str) -> Callable[[Plant], Plant]:
    """Register what makes the file `name`."""

    def register(plant_one: Plant) -> Plant:
        assert name not in CASES, name
        CASES[name] = (verdict, plant_one)
        return plant_one

    return register


def content(name: str, verdict: str, make: Callable[[Ground], bytes]) -> None:
    """Register a file by its bytes."""
    case(name, verdict)(lambda ground, path: (path.write_bytes(make(ground)), None)[1])


@contextmanager
def listening() -> Iterator[tuple[str, socket.socket]]:
    """An address that accepts connections, to see that none comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield f"127.0.0.1:{server.getsockname()[1]}", server


def plant(ground: Ground) -> dict[str, str]:
    """Make all files below `ground.root`: names and verdicts."""
    from video import hostile_boxes, hostile_files, hostile_scripts, hostile_streams  # noqa: F401

    for name, (_, plant_one) in CASES.items():
        plant_one(ground, ground.root / name)
    return {name: verdict for name, (verdict, _) in CASES.items()}


def patched(data: bytes, box: bytes, offset: int, value: bytes, nth: int = 0) -> bytes:
    """`data` with `value` written `offset` bytes behind the name of the nth `box`."""
    at = -1
    for _ in range(nth + 1):
        at = data.index(box, at + 1)
    at += len(box) + offset
    return data[:at] + value + data[at + len(value) :]


def flipped(data: bytes, at: int, bits: int = 0xFF, count: int = 1) -> bytes:
    """`data` with `count` bytes from `at` exclusive-or `bits`."""
    return data[:at] + bytes(byte ^ bits for byte in data[at : at + count]) + data[at + count :]


def payload(data: bytes) -> int:
    """Where the coded pictures of an MP4 begin."""
    return data.index(b"mdat") + 4


def be32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def link(target: Path | str) -> Plant:
    """A symbolic link."""
    return lambda ground, path: os.symlink(target, path)
