"""What the formats of dense captions share: a video's intervals and sentences as rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from d2vlm_pipeline.annotations.config import ImportConfig
from d2vlm_pipeline.annotations.draft import Draft, Fault, Span, as_spans
from d2vlm_pipeline.annotations.wording import CAPTIONED, answered, asked, captioned, plain


def dense_drafts(
    video: str,
    spans: Sequence[tuple[float, float]],
    sentences: Sequence[str],
    duration_s: float | None,
    config: ImportConfig,
    split: str | None = None,
) -> Iterator[Draft | Fault]:
    """One row for the whole video, or one a sentence where `task` asks for one event at a time.

    Lines are left to `numbered`.
    """
    captions = [plain(sentence) for sentence in sentences]
    if len(spans) != len(captions):
        reason = f"{len(spans)} intervals for {len(captions)} sentences"
        yield Fault(0, "bad_count", reason, video)
        return
    if not captions:
        yield Fault(0, "missing_field", "the video has no events", video)
        return
    if "" in captions:
        yield Fault(0, "missing_field", f"sentence {captions.index('') + 1} is empty", video)
        return
    task = config.task or "dvc"
    if task in CAPTIONED:
        events = as_spans(spans, captions)
        answer = captioned(captions)
        yield Draft(
            0, video, task, asked(task, "", config), answer, events, duration_s=duration_s, split=split
        )
        return
    for (start_s, end_s), caption in zip(spans, captions, strict=True):
        question, answer = asked(task, caption, config), answered(task, 1, config)
        event = Span(start_s, end_s, caption)
        yield Draft(0, video, task, question, answer, (event,), duration_s=duration_s, split=split)


def numbered(rows: Iterable[Draft | Fault]) -> Iterator[Draft | Fault]:
    """The rows with their numbers from 1."""
    for line, row in enumerate(rows, start=1):
        yield replace(row, line=line)
