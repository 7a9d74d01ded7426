"""A phase from its inputs to a trained model: encode the examples, run the loop."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from d2vlm_pipeline.artifacts import UserError, derive_seed, track
from d2vlm_pipeline.evaluation.predictor import KnownClips
from d2vlm_pipeline.model.encoding import BranchEncoder
from d2vlm_pipeline.model.io import ModelBundle
from d2vlm_pipeline.model.layout import FrameLayout
from d2vlm_pipeline.model.packing import Branch
from d2vlm_pipeline.objectives import OFFICIAL_SFT
from d2vlm_pipeline.preferences import SAMPLED
from d2vlm_pipeline.timeline import PreferencePair, Sample, TimeBase
from d2vlm_pipeline.training.align import AlignEncoder, align_batches, caption_clip
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.data import TrainingClip, batches
from d2vlm_pipeline.training.fingerprint import fingerprint
from d2vlm_pipeline.training.host import ALONE, Host
from d2vlm_pipeline.training.negatives import borrow_absent
from d2vlm_pipeline.training.running import Trained, run
from d2vlm_pipeline.training.shown import TRAIN_SPLIT, captioned
from d2vlm_pipeline.training.signals import stoppable

_NOTHING = "nothing to train on: the training split has no examples; see the quarantine report"


@stoppable()
def train_sft(
    start: ModelBundle,
    samples: Sequence[Sample],
    clips: KnownClips,
    config: TrainConfig,
    host: Host = ALONE,
) -> Trained:
    """Supervised training on the true responses of the training split."""
    encoder = branch_encoder(start, config)
    given = [sample for sample in samples if sample.split == TRAIN_SPLIT]
    given += borrow_absent(given, config.borrowed_absent, config.seed)
    asked = [(sample.video, partial(encoder.sample, sample)) for sample in given]
    return _train("sft", start, [_encode(asked, clips, start.layout)], clips, config, host)


@stoppable()
def train_fpo(
    start: ModelBundle,
    samples: Sequence[Sample],
    pairs: Sequence[PreferencePair],
    clips: KnownClips,
    config: TrainConfig,
    host: Host = ALONE,
) -> Trained:
    """Preference optimisation on the pairs of the training split.

    Raises:
        UserError: no pairs, pairs of no training sample, or none to redraw where that is asked for.
    """
    by_id = {sample.id: sample for sample in samples if sample.split == TRAIN_SPLIT}
    encoder = branch_encoder(start, config)
    # No operator corrupts "it does not happen": without its truth beside the pairs it would be unlearned.
    absent = [sample for sample in by_id.values() if sample.is_absent]
    absent += borrow_absent(list(by_id.values()), config.borrowed_absent, config.seed)
    beside = [(sample.video, partial(encoder.sample, sample)) for sample in absent]
    sets = [
        _encode(_asked(drawn, by_id, encoder, config) + beside, clips, start.layout)
        for drawn in (_by_epoch(pairs) if config.redraw_pairs else [pairs])
    ]
    return _train("fpo", start, sets, clips, config, host)


def _by_epoch(pairs: Sequence[PreferencePair]) -> list[list[PreferencePair]]:
    """The sets of pairs in the order of their epochs; what is no operator's, and drawn once, is in all."""
    epochs = sorted({pair.epoch for pair in pairs})
    if len(epochs) < 2:
        raise UserError(
            "fpo.redraw_pairs: there is one set of pairs; set preferences.epochs to more and run "
            "`kedro run --pipelines preferences` again, or leave redraw_pairs out"
        )
    once = [pair for pair in pairs if _is_sampled(pair)]
    return [
        [pair for pair in pairs if pair.epoch == epoch and not _is_sampled(pair)] + once for epoch in epochs
    ]


def _is_sampled(pair: PreferencePair) -> bool:
    return any(factor.operator == SAMPLED for factor in pair.factors)


def _asked(
    pairs: Sequence[PreferencePair], by_id: dict[str, Sample], encoder: BranchEncoder, config: TrainConfig
) -> list[tuple[str, partial[Branch]]]:
    """Every pair as a question about its video."""
    asked = []
    for pair in pairs:
        if pair.sample_id not in by_id:
            raise UserError(
                f"pair {pair.id} belongs to no training sample; run `kedro run --pipelines preferences` again"
            )
        sample = by_id[pair.sample_id]
        asked.append((sample.video, partial(encoder.pair, sample, pair, weights=config.fpo.axis_weights)))
    if not asked:
        raise UserError(_NOTHING)
    return asked


@stoppable()
def train_align(
    start: ModelBundle,
    samples: Sequence[Sample],
    clips: KnownClips,
    config: TrainConfig,
    frames_per_clip: int,
    host: Host = ALONE,
) -> Trained:
    """Alignment on captions: every densely captioned clip of the training split.

    Raises:
        UserError: there is none, or a step is to be cut into several passes.
    """
    if config.accumulation(host.workers) > 1:
        raise UserError(
            "align.training.micro_batch: the captions of a step are told apart from one another, all at "
            "once; leave it out, and lower clips_per_step where memory is short"
        )
    shown = [
        caption_clip(sample, *clips.clip(sample.video), layout=start.layout) for sample in captioned(samples)
    ]
    bundle = _copy_of(start)
    encoder = AlignEncoder(bundle.tokenizer, bundle.tokens, frames_per_clip)
    data = partial(
        align_batches,
        clips=shown,
        encoder=encoder,
        clips_per_step=config.clips_per_step,
        seed=derive_seed(config.seed, "align", "order"),
    )
    told = partial(fingerprint, [shown, frames_per_clip])
    return run("align", bundle, data, config, told, host=host)


def branch_encoder(start: ModelBundle, config: TrainConfig) -> BranchEncoder:
    """Encoder of the phase's examples.

    Raises:
        UserError: model and objective disagree on whether they follow the official code.
    """
    if (start.model.config.compat == "official") != (config.sft == OFFICIAL_SFT):
        raise UserError(
            "model.compat is official exactly where the objective is: set sft.labels, ground_absent and both "
            "weights to the official values, or model.compat to paper"
        )
    return BranchEncoder(start.tokenizer, start.tokens, config.sft)


def _encode(
    asked: Sequence[tuple[str, partial[Branch]]], clips: KnownClips, layout: FrameLayout
) -> list[TrainingClip]:
    """Tokenise once, before the loop; clips in order of their names, whatever the order of the examples."""
    found: dict[str, list[Branch]] = defaultdict(list)
    times: dict[str, TimeBase] = {}
    for video, make in track(asked, "encode examples", unit="example"):
        if video not in times:
            times[video] = clips.clip(video)[1]
        found[video].append(make(times[video]))
    if not found:
        raise UserError(_NOTHING)
    return [
        TrainingClip(video, layout.prefix(times[video].times_s), clips.clip(video)[0], found[video])
        for video in sorted(found)
    ]


def _train(
    name: str,
    start: ModelBundle,
    sets: Sequence[Sequence[TrainingClip]],
    source: KnownClips,
    config: TrainConfig,
    host: Host,
) -> Trained:
    bundle = _copy_of(start)
    data = partial(
        batches,
        clips=sets[0],
        pad_id=bundle.tokens.pad,
        clips_per_step=config.clips_per_step,
        branches_per_clip=config.branches_per_clip,
        seed=derive_seed(config.seed, name, "order"),
        micro_batch=config.clips_per_pass(host.workers),
        apart=bundle.model.reads_question,
        redrawn=sets[1:],
    )
    reference = start.model.eval() if name == "fpo" and config.fpo.reference else None
    return run(name, bundle, data, config, partial(_examples_digest, sets, source), reference, host)


def _examples_digest(sets: Sequence[Sequence[TrainingClip]], source: KnownClips) -> str:
    """Of all that can be asked; features by what they were computed from, since they may be many."""
    return fingerprint(
        [[[source.identity(clip.video), clip.prefix, clip.branches] for clip in clips] for clips in sets]
    )


def _copy_of(start: ModelBundle) -> ModelBundle:
    """A model of its own to train: the one given stays what it was."""
    return ModelBundle(copy.deepcopy(start.model), start.tokenizer, start.contract, stages=start.stages)
