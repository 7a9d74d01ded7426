"""A local file as FFmpeg may see it: its bytes, its main video stream, and no way to anything else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from d2vlm_pipeline.video.boxes import is_mp4, missing_bytes
from d2vlm_pipeline.video.source import DecodeLimits, check_regular, video_error

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Plain containers only. Playlists and scripts (HLS, DASH, concat, image sequences, SDP) name further files,
# so a "video" of that kind could read anything its reader may read.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,ivf,mxf"
_MIB = 1 << 20
_BUFFER_BYTES = 1 << 17


@dataclass(frozen=True)
class OpenVideo:
    """An open container with the stream to decode; valid inside `open_video`."""

    path: Path
    container: InputContainer
    stream: VideoStream
    limits: DecodeLimits

    @property
    def is_indexed(self) -> bool:
        """Whether the container lists all its frames, so that seeking to one finds exactly that one."""
        return "mp4" in self.container.format.name

    def refuse_others(self) -> None:
        """Read the main stream's packets alone: the payload of the others is not even fetched."""
        from av.stream import Discard

        for stream in self.container.streams:
            if stream.index != self.stream.index:
                stream.discard = Discard.all


@contextmanager
def open_video(path: Path, limits: DecodeLimits) -> Iterator[OpenVideo]:
    """Open a local file and its main video stream for decoding within the pixel budget.

    Raises:
        VideoError: as the name of its code says.
    """
    size_bytes = check_regular(path)
    if size_bytes > limits.max_file_mb * _MIB:
        raise video_error(
            "too_large", path, f"{size_bytes / _MIB:.0f} MiB, more than max_file_mb={limits.max_file_mb}"
        )
    # One descriptor for all of it: the worker is allowed no second one while it runs a job.
    with _VideoFile(path) as file, _container(path, file) as container:
        yield OpenVideo(path, container, _main_stream(path, container, limits), limits)


def _container(path: Path, file: FileIO) -> InputContainer:
    import av

    if lacking := missing_bytes(file):
        raise video_error("truncated", path, f"{lacking} bytes are missing at its end")
    file.seek(0)
    options = {"protocol_whitelist": "none", "format_whitelist": _CONTAINERS}
    try:
        # Handed an open file, and a refusal for whatever a file inside may ask to open: no path and no
        # address reaches FFmpeg's own protocols.
        return av.open(
            file,
            mode="r",
            options=options,
            metadata_errors="replace",
            buffer_size=_BUFFER_BYTES,
            io_open=_refused,
        )
    except av.error.MemoryError:
        raise video_error("memory_limit", path, "the header asks for more memory than allowed") from None
    except _Refused:
        raise video_error("not_a_video", path, "it names another file or an address") from None
    except av.error.FFmpegError as error:
        if is_mp4(file):  # the index comes last: a recorder that was cut off never wrote it
            raise video_error("truncated", path, "an MP4 without a readable index (moov)") from None
        raise video_error("not_a_video", path, f"no video container ({error.strerror})") from None


class _VideoFile(FileIO):
    """A file to read whose `seek` answers as FFmpeg's own does, with a negative code, where it cannot."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:  # a damaged file asks for a place ahead of its beginning
            return -(error.errno or errno.EINVAL)


class _Refused(Exception):
    """A file asked for another one."""


def _refused(url: str, flags: int, options: Mapping[str, str]) -> NoReturn:
    raise _Refused(url)


def _main_stream(path: Path, container: InputContainer, limits: DecodeLimits) -> VideoStream:
    import av

    if len(container.streams) > limits.max_streams:
        detail = f"{len(container.streams)} streams, more than max_streams={limits.max_streams}"
        raise video_error("too_large", path, detail)
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.disposition & av.stream.Disposition.attached_pic:
        raise video_error("no_video_stream", path, "no video track")
    codec = stream.codec_context
    if codec is None:
        raise video_error("undecodable", path, "no decoder for its codec")
    if codec.width * codec.height > limits.max_pixels:
        raise video_error(
            "too_large", path, f"{codec.width}x{codec.height}, more than max_pixels={limits.max_pixels}"
        )
    # The decoder checks again: a stream may grow after its header was read.
    codec.options = {"max_pixels": str(limits.max_pixels)}
    codec.thread_count = limits.threads
    codec.thread_type = "AUTO"
    return stream
