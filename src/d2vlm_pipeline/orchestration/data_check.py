"""What ingestion would make of videos and annotations, and what a run would take, before either starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from d2vlm_pipeline.annotations import (
    DataConfig,
    FootageCheck,
    Format,
    QuarantineReport,
    admit_samples,
    check_footage,
    import_folder,
)
from d2vlm_pipeline.artifacts import UserError, collector_paused, track, validation_reason
from d2vlm_pipeline.orchestration.checks import typed_parameter
from d2vlm_pipeline.timeline import Sample, SamplingPolicy, dump_jsonl
from d2vlm_pipeline.video import DecodeLimits, VideoRow, build_video_table
from d2vlm_pipeline.video.folder import ClipFolder, VideoArchive, load_videos, open_videos, save_videos
from d2vlm_pipeline.video.table import refused_row

_FEATURE_BYTES = 2
"""Stored features are float16."""
CHARACTERS_PER_TOKEN = 4
"""Of English text, a common estimate; a tokenizer of few words takes more."""


@dataclass(frozen=True)
class Needs:
    """What training on the usable samples takes, foretold from sizes.

    Attributes:
        clips: that any sample is about.
        frames, median_frames, most_frames: sampled, in all, of a clip, and of the longest.
        thinned: clips of which fewer frames are taken than `sampling.fps` asks for, for `max_frames`.
        video_tokens: that frames are for the language model, in all.
        text_tokens: of questions and answers, estimated from their characters.
        feature_bytes: of the feature store.
        gpu_bytes: on each GPU, by phase, with the longest clip in every place.
    """

    clips: int
    frames: int
    median_frames: float
    most_frames: int
    thinned: int
    video_tokens: int
    text_tokens: int
    feature_bytes: int
    gpu_bytes: dict[str, int]


@dataclass(frozen=True)
class DataReport:
    """The dry run.

    Attributes:
        files: annotation files.
        root: where the videos lie.
        videos: the table that ingestion would write.
        copies: groups of names with the same content.
        twins: footage that looks like that of another split, at which ingestion stops; found by `decode`.
        unused: accepted videos that no usable sample is about.
        samples: usable, by split and task.
        quarantine: what ingestion would leave out.
        needs: None where no sample is usable.
    """

    files: tuple[str, ...]
    root: str
    videos: tuple[VideoRow, ...]
    copies: tuple[tuple[str, ...], ...]
    twins: tuple[FootageCheck, ...]
    unused: tuple[str, ...]
    samples: dict[str, dict[str, int]]
    quarantine: QuarantineReport
    needs: Needs | None

    @property
    def is_clean(self) -> bool:
        """Whether ingestion would leave nothing out, and not stop."""
        return not (self.quarantine.videos or self.quarantine.rows or self.twins)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "files": list(self.files),
            "root": self.root,
            "clean": self.is_clean,
            "copies": [list(names) for names in self.copies],
            "near_duplicates": [check.model_dump(mode="json") for check in self.twins],
            "unused": list(self.unused),
            "samples": self.samples,
            "quarantine": self.quarantine.record(),
            "needs": None if self.needs is None else asdict(self.needs),
        }


def configured_data(
    conf: Path, env: str | None, manifest: Path | None, format: Format | None, videos: Path | None
) -> DataConfig:
    """The environment's `data`, with what the command line gives in its place.

    Videos are looked for beside the manifest where neither says where they are.

    Raises:
        UserError: there is nothing to check, or a value is refused.
    """
    data = typed_parameter(conf, env, "data", DataConfig)
    given: dict[str, Any] = {"annotations": str(manifest)} if manifest is not None else {}
    given |= {"format": format} if format is not None else {}
    given |= {"videos": str(videos)} if videos is not None else {}
    if manifest is not None and videos is None and data.videos is None:
        given["videos"] = str(manifest.parent)
    if data.source == "world" and manifest is None:
        raise UserError(
            "nothing to check: name a MANIFEST, set data.source to folder, or give --world for the demo world"
        )
    try:
        return DataConfig.model_validate(data.model_dump() | given | {"source": "folder"})
    except ValidationError as error:
        raise UserError(f"data: {validation_reason(error)}; mend the value") from None


def check_data(
    conf: Path, env: str | None, data: DataConfig, workers: int, decode: bool = False
) -> DataReport:
    """Read all annotations, look at all videos, and foretell what a run takes.

    Args:
        conf: the folder of the environments.
        env: whose sampling, limits, encoder and model.
        data: what is checked.
        workers: processes that look at videos.
        decode: also decode the frames that would be sampled: finds damage behind the first frame, and footage
            that looks the same.

    Raises:
        UserError: a file or folder is missing, or not in its format at all.
    """
    policy = typed_parameter(conf, env, "sampling", SamplingPolicy)
    limits = typed_parameter(conf, env, "decode_limits", DecodeLimits)
    with _opened(data) as folder:
        found = build_video_table(folder.root, folder.names, limits, policy, workers, verify=decode)
        rows = list(track(found, "probe videos", total=len(folder.names), unit="video"))
        videos = (*rows, *(refused_row(folder.root, file) for file in folder.refused))
        samples, quarantine = _admitted(data, folder, videos)
    used = {sample.video for sample in samples}
    clips = [row for row in rows if row.video in used]
    counts: dict[str, Counter[str]] = {}
    for sample in samples:
        counts.setdefault(sample.split, Counter())[sample.task] += 1
    return DataReport(
        files=tuple(file for _, file in data.files),
        root=str(data.videos),
        videos=videos,
        copies=_copies(rows),
        twins=tuple(check for check in check_footage(samples, videos) if check.twin is not None),
        unused=tuple(row.video for row in rows if row.status == "ok" and row.video not in used),
        samples={split: dict(sorted(tasks.items())) for split, tasks in sorted(counts.items())},
        quarantine=quarantine,
        needs=_needs(conf, env, policy, clips, samples) if clips else None,
    )


@contextmanager
def _opened(data: DataConfig) -> Iterator[ClipFolder]:
    """The videos; those of an archive are unpacked as long as the context lasts."""
    videos = open_videos(str(data.videos), data.max_members, data.max_unpacked_mb)
    if not isinstance(videos, VideoArchive):
        assert videos.root is not None
        yield ClipFolder(Path(videos.root), videos.names, videos.refused)
        return
    with TemporaryDirectory(prefix="d2vlm-") as place:
        save_videos(videos, Path(place))
        yield load_videos(Path(place))


def _admitted(
    data: DataConfig, folder: ClipFolder, videos: Sequence[VideoRow]
) -> tuple[list[Sample], QuarantineReport]:
    """Exactly what ingestion does, with a file that goes away again between its two steps."""
    with TemporaryDirectory(prefix="d2vlm-") as place:
        path, imported = Path(place) / "annotations.jsonl", []
        with collector_paused(), path.open("w", encoding="utf-8") as stream:
            for row, sample in track(import_folder(data, folder.names), "read annotations", unit="row"):
                imported.append(row)
                if sample is not None:
                    stream.write(dump_jsonl([sample]))
        return admit_samples(path, videos, imported, data)


def _needs(
    conf: Path, env: str | None, policy: SamplingPolicy, rows: Sequence[VideoRow], samples: Sequence[Sample]
) -> Needs:
    from d2vlm_pipeline.model.config import TokensConfig
    from d2vlm_pipeline.training.planning import plan_environment

    frames = [min(len(policy.sample_times(row.duration_s or 0.0)), row.frames or 1) for row in rows]
    plan = plan_environment(conf, env, None, max(frames))
    per_frame = plan.frame.tokens if isinstance(plan.model.projector, TokensConfig) else 1
    return Needs(
        clips=len(rows),
        frames=sum(frames),
        median_frames=median(frames),
        most_frames=max(frames),
        thinned=sum((row.duration_s or 0.0) * policy.fps > policy.max_frames for row in rows),
        video_tokens=sum(frames) * per_frame,
        text_tokens=sum(len(s.question) + len(s.answer) for s in samples) // CHARACTERS_PER_TOKEN,
        feature_bytes=sum(frames) * plan.frame.tokens * plan.frame.channels * _FEATURE_BYTES,
        gpu_bytes={
            name: round(phase.memory[phase.spread.name].total) for name, phase in plan.phases.items()
        },
    )


def _copies(rows: Sequence[VideoRow]) -> tuple[tuple[str, ...], ...]:
    """Names of videos with the same bytes, group by group."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.digest is not None:
            names.setdefault(row.digest, []).append(row.video)
    return tuple(tuple(group) for group in names.values() if len(group) > 1)
