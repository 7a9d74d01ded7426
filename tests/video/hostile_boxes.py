"""MP4 files whose boxes are damaged or lie."""

from __future__ import annotations

from video.hostile import Ground, be32, content, flipped, patched, payload

HOURS_10_MS = 36_000_000


def boxed(name: str, verdict: str, box: bytes, offset: int, value: bytes, nth: int = 0) -> None:
    """Register the good clip with `value` written behind the name of a box."""
    content(name, verdict, lambda ground: patched(ground.good, box, offset, value, nth))


def flip(name: str, verdict: str, box: bytes, offset: int, bits: int = 0xFF, count: int = 1) -> None:
    """Register the good clip with bits turned over behind the name of a box."""
    content(
        name,
        verdict,
        lambda ground: flipped(ground.good, ground.good.index(box) + len(box) + offset, bits, count),
    )


# Bits turned over, from the first box to the last picture.
flip("flip_brand.mp4", "ok", b"ftyp", 0)
flip("flip_moov_name.mp4", "truncated", b"moov", -4)
flip("flip_moov_size.mp4", "truncated", b"moov", -8, 0x7F)
flip("flip_handler.mp4", "ok", b"hdlr", 8, 0xFF, 4)
flip("flip_codec_config.mp4", "undecodable", b"avcC", 8, 0xFF, 12)
flip("flip_sample_sizes.mp4", "no_frames", b"stsz", 12, 0xFF, 8)
flip("flip_chunk_offset.mp4", "truncated", b"stco", 8, 0xFF, 4)
flip("flip_keyframe_list.mp4", "undecodable", b"stss", 8, 0x07, 4)
flip("flip_first_picture.mp4", "undecodable", b"mdat", 700, 0xFF, 64)
flip("flip_one_bit.mp4", "ok", b"mdat", 2500, 0x01)
content("zeroed_pictures.mp4", "no_frames", lambda g: g.good[: payload(g.good)] + bytes(_pictures(g)))
content(
    "noise_pictures.mp4",
    "no_frames",
    lambda g: g.good[: payload(g.good)] + bytes(i * 7919 % 251 for i in range(_pictures(g))),
)


def _pictures(ground: Ground) -> int:
    return len(ground.good) - payload(ground.good)


# Cut off: at the head, in the middle, at the tail, in front of the index, within the first box.
content("cut_head.mp4", "not_a_video", lambda g: g.good[len(g.good) * 2 // 5 :])
content("cut_middle.mp4", "truncated", lambda g: g.good[: len(g.good) // 2] + g.good[len(g.good) * 3 // 5 :])
content("cut_tail.mp4", "truncated", lambda g: g.good[: len(g.good) * 9 // 10])
content("cut_index.mp4", "truncated", lambda g: g.late[: g.late.index(b"moov") - 4])
content("cut_in_index.mp4", "truncated", lambda g: g.late[: g.late.index(b"stsz")])
content("cut_first_box.mp4", "truncated", lambda g: g.good[:20])
content("only_ftyp.mp4", "truncated", lambda g: g.good[: int.from_bytes(g.good[:4], "big")])
content("twice.mp4", "ok", lambda g: g.good + g.good)
content("trailing_noise.mp4", "ok", lambda g: g.good + bytes(range(256)) * 8)

# Headers that lie of duration, time scale, dimensions, counts.
boxed("lie_10_hours.mp4", "ok", b"mvhd", 16, be32(HOURS_10_MS))
boxed("lie_track_10_hours.mp4", "ok", b"mdhd", 16, be32(HOURS_10_MS))
boxed("lie_no_duration.mp4", "ok", b"mvhd", 16, be32(0))
boxed("lie_track_no_duration.mp4", "ok", b"mdhd", 16, be32(0))
boxed("lie_scale_zero.mp4", "ok", b"mdhd", 12, be32(0))
boxed("lie_scale_huge.mp4", "ok", b"mdhd", 12, be32(0x7FFFFFFF))
boxed("lie_displayed_16k.mp4", "ok", b"tkhd", 76, be32(16384 << 16) * 2)
boxed("lie_coded_16k.mp4", "ok", b"avc1", 24, b"\x40\x00\x40\x00", 1)
boxed("lie_coded_nothing.mp4", "ok", b"avc1", 24, bytes(4), 1)
boxed("lie_frame_count.mp4", "truncated", b"stsz", 8, be32(0x7FFFFFFF))
boxed("lie_fewer_frames.mp4", "ok", b"stsz", 8, be32(20))
boxed("lie_time_entries.mp4", "memory_limit", b"stts", 4, be32(0x7FFFFFFF))
boxed("all_at_once.mp4", "bad_timestamps", b"stts", 12, be32(0))
boxed("each_an_hour_edited.mp4", "ok", b"stts", 12, be32(3600 * 16000))
content(
    "each_an_hour.mp4",
    "too_long",
    lambda g: patched(patched(g.good, b"stts", 12, be32(3600 * 16000)), b"edts", -4, b"free"),
)
# The first "avc1" is a brand of the file, the second the codec of its track.
boxed("unknown_codec.mp4", "undecodable", b"avc1", -4, b"zzz1", 1)
boxed("box_without_end.mp4", "ok", b"trak", -8, be32(0x7FFFFFFF))
boxed("box_of_nothing.mp4", "no_video_stream", b"trak", -8, be32(1))
