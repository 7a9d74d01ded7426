"""Videos of YouCook2 with their true and their predicted captions, from TimeChat's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.evaluation.benchmarks.files import Row, load_list, load_object, unique
from d2vlm_pipeline.evaluation.benchmarks.records import Files, Span

_SETS = {"train": 1, "val": 2, "test": 3}
_ELSEWHERE = 4.0  # times the length of the video: what ends beyond is in another unit


@dataclass(frozen=True)
class Video:
    """A video with what happens in it, and what was said to.

    Attributes:
        truth, captions: true intervals and their captions, in the order of the file.
        said, told: predicted intervals and their captions, in the order of the file.
        places: of the predictions, for errors.
        listed: whether the predictions name the video at all.
    """

    id: str
    duration_s: float | None
    truth: tuple[Span, ...]
    captions: tuple[str, ...]
    said: tuple[Span, ...] = ()
    told: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True)
class Cooking:
    """All videos of the truth, predictions of others, and the number of the set that the truth is."""

    videos: tuple[Video, ...]
    strangers: tuple[Row, ...]
    annotation_set: int

    def refuse_surplus(self) -> None:
        """What a careful reader does not let pass.

        Raises:
            UserError: predictions of a video that the truth does not have, or in another unit of time.
        """
        for row in self.strangers:
            raise row.error("no such video in the truth", "give the truth that was asked about")
        for video in self.videos:
            limit_s = float("inf") if video.duration_s is None else _ELSEWHERE * video.duration_s
            for span, place in zip(video.said, video.places, strict=True):
                if min(span) < 0 or max(span) > limit_s:
                    length = "" if video.duration_s is None else f" of {video.duration_s:g} s"
                    raise UserError(
                        f"{place}: [{span[0]:g}, {span[1]:g}] is far outside of the video{length}; give "
                        "seconds of that video"
                    )


def read(files: Files) -> Cooking:
    """Predictions `{video: [{"timestamp": [s, e], "caption": …}]}`; truth as TimeChat's `caption_coco` JSON.

    Raises:
        UserError: unreadable, or an entry of another form; names the entry.
    """
    (path,) = files.truths
    said = {row.name: row for row in load_object(files.predictions)}
    rows = load_list(path, "annotations")
    by_name = unique(((_video_name(row), row) for row in rows), "entries")
    videos = tuple(_video(name, row, said.pop(name, None)) for name, row in by_name.items())
    return Cooking(videos, tuple(said.values()), _annotation_set(path))


def _annotation_set(path: Path) -> int:
    """The public script tells the set from the name of the file."""
    return _SETS.get(path.name.split(".")[0], _SETS["val"])


def _video_name(row: Row) -> str:
    return row["image_id"].text.split("/")[-1]


def _video(name: str, row: Row, predictions: Row | None) -> Video:
    duration_s = row["duration"].number if row.has("duration") else None
    truth = tuple(_true(part, duration_s) for part in row["segments"].parts)
    captions = tuple(f"{caption}." for caption in row["pure_cap"].text.split(". "))
    if len(truth) != len(captions):
        raise row.error(f"{len(truth)} segments but {len(captions)} captions", "correct the truth")
    if predictions is None:
        return Video(name, duration_s, truth, captions)
    entries = predictions.parts
    return Video(
        id=name,
        duration_s=duration_s,
        truth=truth,
        captions=captions,
        said=tuple(entry["timestamp"].span for entry in entries),
        told=tuple(entry["caption"].text for entry in entries),
        places=tuple(entry.place for entry in entries),
        listed=True,
    )


def _true(row: Row, duration_s: float | None) -> Span:
    start_s, end_s = row.span
    if not 0 <= start_s < end_s:
        raise row.error(f"[{start_s:g}, {end_s:g}] is no interval of a video", "correct the truth")
    if duration_s is not None and end_s > duration_s:
        raise row.error(f"ends at {end_s:g} s but the video lasts {duration_s:g} s", "correct the truth")
    return row.span
