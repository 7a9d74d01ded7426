"""Imported samples held against their videos, with every fault told at the row that people wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from d2vlm_pipeline.annotations.importing import ImportedRow
from d2vlm_pipeline.annotations.rejection import MENDS, Rejection
from d2vlm_pipeline.timeline import Sample


class Origins:
    """Where samples came from, by id, and what was rejected or left out on the way."""

    def __init__(self, rows: Iterable[ImportedRow]) -> None:
        rows = list(rows)
        self.rejections: list[Rejection] = [row.rejection for row in rows if row.rejection is not None]
        self._by_id = {row.sample_id: row for row in rows if row.sample_id is not None}

    def notes(self, samples: Iterable[Sample]) -> Counter[str]:
        """What these samples have no place for of their rows, counted."""
        rows = (self._by_id.get(sample.id) for sample in samples)
        return Counter(row.note for row in rows if row is not None and row.note is not None)

    def located(self, rejections: Iterable[Rejection]) -> list[Rejection]:
        """The rejections, each at the row of the file that its sample was imported from, where it was."""
        return [self._located(rejection) for rejection in rejections]

    def same_length(
        self, samples: Sequence[Sample], durations: Mapping[str, float], gap_s: float | None
    ) -> tuple[list[Sample], list[Rejection]]:
        """Samples whose rows give their videos the length that they have, and the rejected rest.

        Args:
            samples: in any order.
            durations: seconds of the videos, as measured.
            gap_s: by how much the two may differ; None compares nothing.
        """
        kept: list[Sample] = []
        rejections: list[Rejection] = []
        for sample in samples:
            row = self._by_id.get(sample.id)
            told_s = None if row is None else row.duration_s
            measured_s = durations[sample.video]
            if row is None or told_s is None or gap_s is None or abs(told_s - measured_s) <= gap_s:
                kept.append(sample)
                continue
            reason = f"annotated on {told_s:g} s, but {sample.video} lasts {measured_s:g} s"
            rejections.append(
                Rejection(
                    file=row.file,
                    line=row.line,
                    video=sample.video,
                    sample_id=sample.id,
                    code="duration_differs",
                    reason=reason,
                    mend=MENDS["duration_differs"],
                )
            )
        return kept, rejections

    def _located(self, rejection: Rejection) -> Rejection:
        row = None if rejection.sample_id is None else self._by_id.get(rejection.sample_id)
        return rejection if row is None else rejection.model_copy(update={"file": row.file, "line": row.line})
