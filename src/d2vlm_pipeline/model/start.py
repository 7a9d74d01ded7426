"""Where training starts: the aligned tiny backbone that ships with the package, a directory, or scratch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel

from d2vlm_pipeline.artifacts import UserError, verify
from d2vlm_pipeline.features import EncoderConfig, VLMTowerConfig, build_encoder
from d2vlm_pipeline.model.backbones import pretrained
from d2vlm_pipeline.model.build import build_model
from d2vlm_pipeline.model.config import BackboneConfig, ModelConfig, QFormerConfig, StartConfig, VLMConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.io import Contract, ModelBundle, load_model
from d2vlm_pipeline.model.tokens import question_text, train_tokenizer
from d2vlm_pipeline.timeline import Question, Sample, SamplingPolicy

SHIPPED = Path(__file__).parent / "assets" / "aligned"


def start_model(
    start: StartConfig,
    config: ModelConfig,
    samples: Sequence[Sample],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    seed: int,
) -> ModelBundle:
    """The model to train, with its tokenizer.

    Raises:
        UserError: an aligned backbone is damaged, was made for other sampling or another encoder, or is not
            the backbone that is configured.
    """
    if start.kind == "scratch":
        return fresh_model(config, samples, sampling, encoder, seed)
    if start.directory is None and not isinstance(config.backbone, BackboneConfig):
        raise UserError(
            f"model.backbone is {config.backbone.name}, but the aligned backbone that ships is another; set "
            "start.kind to scratch, or start.directory to what `kedro run --pipelines align` made of it"
        )
    directory = SHIPPED if start.directory is None else Path(start.directory)
    if not directory.is_dir():
        raise UserError(
            f"start.directory {directory}: no aligned backbone is there; run `kedro run --pipelines align` "
            "first, with the same --env"
        )
    verify(directory)
    bundle = load_model(directory)
    wanted = Contract(sampling=sampling, encoder=encoder, encoder_digest=build_encoder(encoder).digest)
    for name, parameter in (("sampling", "sampling"), ("encoder_digest", "encoder")):
        if getattr(bundle.contract, name) != getattr(wanted, name):
            raise UserError(
                f"{directory}: aligned with another {parameter}; set the parameter back, run "
                "`kedro run --pipelines align` and point start.directory at its result, "
                "or set start.kind to scratch"
            )
    had, wants = _identity(bundle.model.config), _identity(config)
    for key in wants:
        if had[key] != wants[key]:
            raise UserError(
                f"{key} is {wants[key]}, but {directory} was aligned with {had[key]}; set it back, run "
                "`kedro run --pipelines align` and point start.directory at its result, "
                "or set start.kind to scratch"
            )
    # Sizes are the aligned one's; how intervals are read off its similarities is not part of it.
    bundle.model.config = bundle.model.config.model_copy(update={"span": config.span})
    return bundle


def _identity(config: ModelConfig) -> dict[str, str]:
    """By parameter what an aligned model must be to be the configured one; its sizes are its own."""
    backbone = config.backbone
    return {
        "model.backbone.kind": backbone.kind,
        "model.backbone": backbone.kind if isinstance(backbone, BackboneConfig) else backbone.name,
        "model.backbone.frame_attention": backbone.frame_attention,
        "model.projector.kind": config.projector.kind,
    }


def fresh_model(
    config: ModelConfig,
    samples: Sequence[Sample],
    sampling: SamplingPolicy,
    encoder: EncoderConfig,
    seed: int,
) -> ModelBundle:
    """A model that has not seen a frame: a pretrained language model with its tokenizer, or a fresh one.

    The fresh one gets a tokenizer of the training split's words.
    """
    if isinstance(config.backbone, VLMConfig):
        _check_tower(config.backbone, encoder)
    built = build_encoder(encoder)
    tokens, channels = built.shape_NC
    contract = Contract(sampling=sampling, encoder=encoder, encoder_digest=built.digest, compat=config.compat)
    fitted = config.model_copy(update={"frame_tokens": tokens, "frame_channels": channels})
    if isinstance(config.projector, QFormerConfig):
        from d2vlm_pipeline.model.qformer import as_pretrained

        fitted = fitted.model_copy(update={"projector": as_pretrained(config.projector, channels)})
    if not isinstance(config.backbone, BackboneConfig):
        backbone, known = pretrained(config.backbone, seed)
        return ModelBundle(_built(fitted, seed, backbone), known, contract)
    words = [text for sample in samples if sample.split == "train" for text in _texts(sample)]
    if not words:
        raise UserError("no training sample to learn a tokenizer from; see the quarantine report")
    tokenizer = train_tokenizer(words, config.backbone.vocab_size)
    sized = config.backbone.model_copy(update={"vocab_size": len(tokenizer)})
    return ModelBundle(_built(fitted.model_copy(update={"backbone": sized}), seed), tokenizer, contract)


def _check_tower(backbone: VLMConfig, encoder: EncoderConfig) -> None:
    """Features of another tower mean nothing to a language model that never saw them.

    Raises:
        UserError: the encoder is not the backbone's own tower.
    """
    wanted = backbone.path, backbone.revision
    if not isinstance(encoder, VLMTowerConfig) or (encoder.path, encoder.revision) != wanted:
        raise UserError(
            f"model.backbone {backbone.path} reads features of its own tower; set encoder.kind to vlm_tower, "
            "and its path and revision to those of model.backbone"
        )


def _built(config: ModelConfig, seed: int, backbone: PreTrainedModel | None = None) -> D2VLM:
    """The model around a loaded backbone or a fresh one, with the projector's pretrained weights, if any.

    Raises:
        UserError: the configured layers do not exist in the backbone, or the projector's weights do not fit.
    """
    try:
        model = build_model(config, seed, backbone)
    except ValueError as error:
        raise UserError(f"model: {error}") from None
    if isinstance(config.projector, QFormerConfig):
        from d2vlm_pipeline.model.qformer import load_pretrained

        load_pretrained(model.projector, config.projector)
    return model


def _texts(sample: Sample) -> list[str]:
    return [question_text(Question.of_sample(sample)), sample.response().render()]
