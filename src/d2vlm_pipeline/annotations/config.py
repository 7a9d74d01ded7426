"""Typed configuration of what is read: whose annotations, in which format, about which videos."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.timeline import TASKS

Format = Literal[
    "samples",
    "et_instruct",
    "etbench",
    "charades_sta",
    "qvhighlights",
    "activitynet",
    "youcook2",
    "caption_coco",
    "fpo",
]
"""Formats that are read; `samples` is this project's own JSON Lines."""

FORMATS: tuple[Format, ...] = get_args(Format)

_Fraction = Annotated[float, Field(ge=0, le=1)]


def _with_only(*allowed: str) -> AfterValidator:
    """Check that a template has no other placeholders than these."""

    def check(template: str | None) -> str | None:
        for name in re.findall(r"\{(\w*)\}", template or ""):
            if name not in allowed:
                known = " ".join(f"{{{word}}}" for word in allowed)
                raise ValueError(f"no placeholder {{{name}}}; use {known}")
        return template

    return AfterValidator(check)


class ImportConfig(StrictModel):
    """How a file of annotations becomes samples; what its format says itself comes first.

    Attributes:
        format: which reader.
        dataset: the samples' `source`; by default what the format says, else its name.
        task: task code of all rows; by default what the format says, else its usual one
            (docs/bring-your-own-data.md has the table).
        question: wording where the format has none, with `{query}` for what the row describes.
        answer: wording where the format has none, with `{spans}` for the list of `<evi>`.
        video_pattern: how files are called: `{id}` is the name as annotated, `{name}` its last part without
            extension. A file that differs in its extension alone is found, too.
        split: of all rows, whatever the format says.
        split_names: split by what the format calls it.
        splits: where neither is given, shares of videos by split, drawn by video name under `seed`.
        instant_s: length of the interval that a single time stamp stands for, centred on it.
        max_file_mb: largest file that is read, in MiB.
    """

    format: Format = "samples"
    dataset: str | None = Field(default=None, min_length=1)
    task: str | None = None
    question: Annotated[str | None, _with_only("query")] = None
    answer: Annotated[str | None, _with_only("spans")] = None
    video_pattern: Annotated[str, _with_only("id", "name")] = "{id}"
    split: str | None = Field(default=None, min_length=1)
    split_names: Mapping[str, str] = Field(
        default_factory=lambda: {"training": "train", "validation": "val", "testing": "test-iid"}
    )
    splits: Mapping[str, _Fraction] = Field(
        default_factory=lambda: {"train": 0.8, "val": 0.05, "calib": 0.05, "test-iid": 0.1}
    )
    seed: int = Field(default=0, ge=0)
    instant_s: float = Field(default=2.0, gt=0)
    max_file_mb: PositiveInt = 1024

    @model_validator(mode="after")
    def _check_wording(self) -> Self:
        if self.task is not None and self.task not in TASKS:
            raise ValueError(f"task: no task {self.task!r}; one of {' '.join(TASKS)}")
        if abs(sum(self.splits.values()) - 1.0) > 1e-6:
            raise ValueError(f"splits: shares must add up to 1, not {sum(self.splits.values()):g}")
        return self


class DataConfig(ImportConfig):
    """Where videos and annotations come from.

    Attributes:
        source: `world` renders the demo world, and nothing below is read; `folder` takes what you have.
        videos: folder of video files, read where it lies and never written to; or a tar or zip archive, whose
            videos are unpacked.
        annotations: one file, or a file for each split; `ARCHIVE::MEMBER` names one in an archive.
        overrun_s: an event that ends at most so far past the end of its video is cut there, and counted.
        duration_gap_s: how far the length that a row gives may be from its video's; beyond it, the row is
            about another cut. None: not compared.
        max_members, max_unpacked_mb: what an archive may hold, and unpack to in MiB.
    """

    source: Literal["world", "folder"] = "world"
    videos: str | None = Field(default=None, min_length=1)
    annotations: str | Mapping[str, str] | None = None
    overrun_s: float = Field(default=0.5, ge=0)
    duration_gap_s: float | None = Field(default=5.0, ge=0)
    max_members: PositiveInt = 200_000
    max_unpacked_mb: PositiveInt = 100 << 10

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.source == "folder" and not (self.videos and self.annotations):
            raise ValueError("source folder needs videos (a folder) and annotations (a file)")
        return self

    @property
    def files(self) -> tuple[tuple[str | None, str], ...]:
        """The split that a file is, None where that is not said, and the file."""
        if isinstance(self.annotations, Mapping):
            return tuple(self.annotations.items())
        return ((None, self.annotations),) if self.annotations else ()

    def reading(self, split: str | None) -> ImportConfig:
        """How the file of `split` is read."""
        fields = {name: getattr(self, name) for name in ImportConfig.model_fields}
        return ImportConfig(**fields | ({"split": split} if split else {}))
