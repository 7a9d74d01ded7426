"""A model with all it needs to answer, and the contract that its inputs must meet. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SerializeAsAny

from d2vlm_pipeline.artifacts import StrictModel
from d2vlm_pipeline.features import EncoderConfig
from d2vlm_pipeline.model.config import PROMPT_VERSION, Compat, VLMConfig
from d2vlm_pipeline.timeline import SamplingPolicy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from d2vlm_pipeline.model.adapter import Stages
    from d2vlm_pipeline.model.d2vlm import D2VLM
    from d2vlm_pipeline.model.layout import FrameLayout
    from d2vlm_pipeline.model.tokens import PromptTokens


class Contract(StrictModel):
    """What a model was trained on and therefore needs: sampling, encoder, prompt."""

    sampling: SamplingPolicy
    encoder: SerializeAsAny[EncoderConfig]
    encoder_digest: str
    prompt_version: str = PROMPT_VERSION
    compat: Compat = "paper"


@dataclass(frozen=True)
class ModelBundle:
    """A model with all it needs to answer.

    ``directory`` and ``digest`` say where it was loaded from and what lay there; a model that was only just
    trained has neither. ``stages``: of a model to be stored as an adapter, what the phases did to its base.
    """

    model: D2VLM
    tokenizer: PreTrainedTokenizerBase
    contract: Contract
    directory: Path | None = None
    digest: str = ""
    stages: Stages | None = None

    @cached_property
    def tokens(self) -> PromptTokens:
        """The special tokens of the bundle's tokenizer."""
        from d2vlm_pipeline.model.tokens import PromptTokens

        return PromptTokens.of(self.tokenizer)

    @cached_property
    def layout(self) -> FrameLayout:
        """How the bundle's backbone expects frames in a prompt."""
        from d2vlm_pipeline.model.layout import OneTokenFrames
        from d2vlm_pipeline.model.vlm import video_layout

        config = self.model.config
        if isinstance(config.backbone, VLMConfig):
            return video_layout(
                self.model.backbone.config, config.frame_tokens, self.tokens, self.tokenizer
            )
        return OneTokenFrames(self.tokens.before_frames)
