"""Which files may be decoded, at what cost, and how a refusal reads."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel, UserError

VideoReason = Literal[
    "bad_name",
    "bad_timestamps",
    "decoder_died",
    "duplicate_name",
    "empty",
    "memory_limit",
    "missing",
    "no_frames",
    "no_video_stream",
    "not_a_file",
    "not_a_video",
    "outside_root",
    "timeout",
    "too_large",
    "too_long",
    "truncated",
    "undecodable",
    "unreadable",
]
"""Why a video is refused; the codes that tables and quarantine reports count by."""

VIDEO_REASONS: tuple[str, ...] = get_args(VideoReason)

_MENDS: dict[VideoReason, str] = {
    "bad_name": "give a file name relative to the data root",
    "bad_timestamps": "convert it to MP4 with a constant frame rate",
    "decoder_died": "the file may be damaged or hostile: convert it to MP4 or drop it",
    "duplicate_name": "name each video once",
    "empty": "copy the file again",
    "memory_limit": "scale the video down or raise memory_mb",
    "missing": "check the path",
    "no_frames": "drop the file or export it again",
    "no_video_stream": "give a file with a video track",
    "not_a_file": "give a regular file",
    "not_a_video": "give a video file such as MP4, MKV, WebM, MOV or AVI",
    "outside_root": "move the file into the data root",
    "timeout": "scale the video down or raise wall_s and cpu_s",
    "too_large": "scale the video down or raise the limit",
    "too_long": "cut the video or raise the limit",
    "truncated": "copy or download the file again",
    "undecodable": "convert the video to H.264 MP4 or drop it",
    "unreadable": "make the file readable",
}

_MAX_NAME_CHARS = 255
_URL_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class VideoError(UserError):
    """A video that is refused: `code` is for counting, the message (file, problem, mend) for reading."""

    def __init__(self, code: VideoReason, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[VideoError], tuple[VideoReason, str]]:
        return VideoError, (self.code, self.message)


def video_error(code: VideoReason, name: str | Path, detail: str) -> VideoError:
    """VideoError whose one-line message names the file, the problem and the mend for this code."""
    file = Path(name).name or str(name)
    return VideoError(code, " ".join(f"{_printable(file)}: {detail}; {_MENDS[code]}".split()))


class DecodeLimits(StrictModel):
    """What one video may cost; beyond it the video is refused, never the run.

    Attributes:
        wall_s: wall-clock seconds from request to result.
        cpu_s: CPU seconds of the worker process for one video.
        memory_mb: address space (MiB) that one video may add to the worker process.
        max_file_mb: file size in MiB.
        max_pixels: width × height of a frame.
        max_duration_s: length of the video.
        max_packets: coded frames in the file.
        max_output_mb: size in MiB of the decoded frames handed back.
        max_gigapixels: width × height × coded frames, in 10^9.
        max_streams: tracks in the file, of any kind.
        threads: decoder threads; more of them finish one video sooner, and cost more CPU time in all.
    """

    wall_s: float = Field(default=120.0, gt=0)
    cpu_s: float = Field(default=120.0, gt=0)
    memory_mb: int = Field(default=3072, ge=16)
    max_file_mb: int = Field(default=8192, ge=1)
    max_pixels: int = Field(default=4096 * 2304, ge=1)
    max_duration_s: float = Field(default=4 * 3600.0, gt=0)
    max_packets: int = Field(default=2_000_000, ge=1)
    max_output_mb: int = Field(default=1024, ge=1)
    max_gigapixels: float = Field(default=2000.0, gt=0)
    max_streams: int = Field(default=64, ge=1)
    threads: int = Field(default=1, ge=1, le=64)


def resolve_video(root: Path, name: str) -> Path:
    """Real path of the video `name` below `root`.

    Raises:
        VideoError: `name` is no plain relative path (URL, NUL, absolute, `./a`), leads out of `root`
            (directly or through a symbolic link), does not exist or is no regular file.
    """
    if not name.strip() or "\0" in name:
        raise video_error("bad_name", name or "''", "the name is empty or holds a NUL character")
    if _URL_SCHEME.match(name):
        raise video_error("bad_name", name, "URLs are not opened")
    base = root.resolve()
    try:
        path = (base / name).resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise video_error("missing", name, f"the path cannot be followed ({type(error).__name__})") from error
    except UnicodeEncodeError:
        raise video_error("bad_name", name, "the name is not valid Unicode") from None
    if not path.is_relative_to(base):
        raise video_error("outside_root", name, "the path leads out of the data root")
    if posixpath.isabs(name) or posixpath.normpath(name) != name:
        raise video_error("bad_name", name, "the name is not in its plain form (no leading /, no ./ or //)")
    check_regular(path)
    return path


def check_regular(path: Path) -> int:
    """Size in bytes of a regular, readable, non-empty file.

    Opening anything else can block for ever (a pipe) or have effects (a device).

    Raises:
        VideoError: missing, not a regular file, unreadable or empty.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise video_error("missing", path, "no such file") from None
    except OSError as error:
        raise video_error("unreadable", path, error.strerror or type(error).__name__) from error
    if not stat.S_ISREG(status.st_mode):
        raise video_error("not_a_file", path, "neither a file nor a link to one")
    if not os.access(path, os.R_OK):
        raise video_error("unreadable", path, "no permission to read it")
    if status.st_size == 0:
        raise video_error("empty", path, "the file is empty")
    return status.st_size


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_MAX_NAME_CHARS])
