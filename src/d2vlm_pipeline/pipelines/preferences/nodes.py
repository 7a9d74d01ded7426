"""Training samples → preference pairs whose cause is known."""

from __future__ import annotations

from typing import Any

from d2vlm_pipeline.artifacts import track
from d2vlm_pipeline.pipelines.ingestion.nodes import clip_durations
from d2vlm_pipeline.preferences import PairStatistics, PreferenceConfig, synthesize_pairs
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.video import VideoRow


def synthesize(
    samples: list[Sample], rows: list[VideoRow], config: PreferenceConfig
) -> tuple[list[PreferencePair], dict[str, Any]]:
    """Checked pairs of the training split, and what was made, skipped and held back."""
    train = [sample for sample in samples if sample.split == "train"]
    statistics = PairStatistics()
    pairs = synthesize_pairs(train, clip_durations(rows), config, statistics=statistics)
    return list(track(pairs, "synthesise pairs", unit="pair")), statistics.record()
