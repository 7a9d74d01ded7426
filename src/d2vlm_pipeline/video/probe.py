"""What a video file says about itself: header and packets, plus one decoded frame.

Runs in the calling process. Files of strangers go through `decode.DecodePool`, which calls this in a worker
with time and memory limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.video.boxes import is_mp4, missing_bytes
from d2vlm_pipeline.video.packets import scan_packets
from d2vlm_pipeline.video.source import DecodeLimits, check_regular, video_error

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Plain containers only. Playlists and scripts (HLS, DASH, concat, image sequences, SDP) name further files,
# so a "video" of that kind could read anything its reader may read.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,ivf,mxf"
_MIB = 1 << 20


class VideoProbe(StrictModel):
    """What is known of a video before all of it is decoded.

    Attributes:
        width, height: pixels as displayed, rotation applied.
        fps_src: average frame rate of the presented frames.
        duration_s: from the first presented frame to the end of the last one.
        start_s: container time of the first presented frame, which is zero everywhere else.
        frames: presented frames.
        rotation: counter-clockwise quarter turns that the container asks for, in degrees.
    """

    width: int
    height: int
    fps_src: float
    duration_s: float
    start_s: float
    frames: int
    codec: str
    container: str
    rotation: int


def probe_video(path: Path | str, limits: DecodeLimits | None = None) -> VideoProbe:
    """Read header and packets of a local video file and decode its first frame.

    Raises:
        VideoError: the file is no video that could be sampled within `limits` (default: DecodeLimits()).
    """
    path, limits = Path(path), limits or DecodeLimits()
    with open_video(path, limits) as (container, stream):
        first = _first_frame(path, container, stream)
        rotation = quarter_turns(first) * 90
        size = (first.height, first.width) if rotation % 180 else (first.width, first.height)
        codec, format_name = stream.codec_context.name, container.format.name
    # Opened again: a container that was read for one frame does not reliably rewind to its first packet.
    with open_video(path, limits) as (container, stream):
        table = scan_packets(path, container, stream, limits)
    return VideoProbe(
        width=size[0],
        height=size[1],
        fps_src=table.fps_src,
        duration_s=table.duration_s,
        start_s=table.start_s,
        frames=len(table.shown_pts),
        codec=codec,
        container=format_name,
        rotation=rotation,
    )


@contextmanager
def open_video(path: Path, limits: DecodeLimits) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a local file and its main video stream for single-threaded decoding within the pixel budget.

    Raises:
        VideoError: as the name of its code says.
    """
    import av

    size_bytes = check_regular(path)
    if size_bytes > limits.max_file_mb * _MIB:
        raise video_error(
            "too_large", path, f"{size_bytes / _MIB:.0f} MiB, more than max_file_mb={limits.max_file_mb}"
        )
    if lacking := missing_bytes(path):
        raise video_error("truncated", path, f"{lacking} bytes are missing at its end")
    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    try:
        container = av.open(str(path.resolve()), options=options, metadata_errors="replace")
    except av.error.MemoryError:
        raise video_error("memory_limit", path, "the header asks for more memory than allowed") from None
    except av.error.FFmpegError as error:
        if is_mp4(path):  # the index comes last: a recorder that was cut off never wrote it
            raise video_error("truncated", path, "an MP4 without a readable index (moov)") from None
        raise video_error("not_a_video", path, f"no video container ({error.strerror})") from None
    with container:
        yield container, _main_stream(path, container, limits)


def quarter_turns(frame: VideoFrame) -> int:
    """Counter-clockwise quarter turns, 0 … 3, that show a frame upright; odd angles are left as they are."""
    return (frame.rotation // 90) % 4 if frame.rotation % 90 == 0 else 0


def _main_stream(path: Path, container: InputContainer, limits: DecodeLimits) -> VideoStream:
    import av

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
    codec.thread_count = 1
    return stream


def _first_frame(path: Path, container: InputContainer, stream: VideoStream) -> VideoFrame:
    import av

    try:
        frame = next(container.decode(stream), None)
    except av.error.MemoryError:
        raise video_error("memory_limit", path, "a frame needs more memory than allowed") from None
    except av.error.FFmpegError as error:
        raise video_error(
            "undecodable", path, f"the first frame cannot be decoded ({error.strerror})"
        ) from None
    if frame is None:
        raise video_error("no_frames", path, "the video track holds no frame")
    return frame
