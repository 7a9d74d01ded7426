"""Which side of a pair a model finds likelier: what FPO trains for, measured on pairs it never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from d2vlm_pipeline.artifacts import track
from d2vlm_pipeline.evaluation.predictor import KnownClips
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.model.packing import Clip, pack
from d2vlm_pipeline.objectives import FPOConfig, preference_loss
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.phases import branch_encoder
from d2vlm_pipeline.training.steps import batch_log_probs

Judged = tuple[PreferencePair, float]
"""A pair, and log π of its chosen side less that of the rejected one, weighted as in training."""


def judge_pairs(
    model: ModelBundle,
    samples: Sequence[Sample],
    pairs: Sequence[PreferencePair],
    clips: KnownClips,
    config: TrainConfig,
) -> Iterator[Judged]:
    """Margins of the pairs, clip by clip; no reference model is subtracted.

    Args:
        model: who judges.
        samples: those that the pairs are about.
        pairs: of any split.
        clips: features by video.
        config: of the phase: labels, likelihood, and how many branches go behind one prefix.

    Raises:
        UserError: model and objective disagree on whether they follow the official code.
    """
    encoder = branch_encoder(model, config)
    by_id = {sample.id: sample for sample in samples}
    of_video: dict[str, list[PreferencePair]] = {}
    for pair in pairs:
        of_video.setdefault(by_id[pair.sample_id].video, []).append(pair)
    size = 1 if model.model.reads_question else config.branches_per_clip
    for video, members in track(sorted(of_video.items()), "judge pairs", unit="clip"):
        features_TNC, timebase = clips.clip(video)
        branches = [encoder.pair(by_id[pair.sample_id], pair, timebase) for pair in members]
        for at in range(0, len(members), size):
            some = branches[at : at + size]
            clip = Clip(
                model.layout.prefix(timebase.times_s),
                torch.from_numpy(np.array(features_TNC, dtype=np.float32)),
                some,
            )
            yield from zip(members[at : at + size], _margins(model, clip, config.fpo), strict=True)


@torch.no_grad()
def _margins(model: ModelBundle, clip: Clip, config: FPOConfig) -> list[float]:
    """Of the branches of a clip, in their order."""
    batch = pack([clip], model.tokens.pad).to(model.model.device)
    output, state = model.model(batch)
    log_probs = batch_log_probs(output, state.frame_valid_BT, batch, config)
    rejected = (batch.branch_variant_R == 2).nonzero().squeeze(1)
    margins: list[float] = preference_loss(log_probs, rejected - 1, rejected, config).margin_P.tolist()
    return margins
