"""Typed configuration of the model: every part is built from one of these."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from d2vlm_pipeline.artifacts import StrictModel

Compat = Literal["paper", "official"]

FrameAttention = Literal["bidirectional", "causal"]
"""Whether frames see one another both ways (method.md §1.2), or each only those before it."""

# Raised whenever the same question would be written as other text.
PROMPT_VERSION = "1"


class BackboneConfig(StrictModel):
    """A small Llama trained from scratch; sizes in hidden units, layers and heads."""

    kind: Literal["tiny_llama"] = "tiny_llama"
    hidden_size: PositiveInt = 192
    layers: int = Field(default=5, ge=3)
    heads: PositiveInt = 4
    kv_heads: PositiveInt = 4
    intermediate_size: PositiveInt = 512
    vocab_size: PositiveInt = 768
    rope_theta: float = Field(default=10_000.0, gt=0)
    rms_norm_eps: float = Field(default=1e-6, gt=0)
    tie_embeddings: bool = True
    frame_attention: FrameAttention = "bidirectional"

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise ValueError("hidden_size must divide by heads, and heads by kv_heads")
        return self


class GGUFConfig(StrictModel):
    """Quantised weights and their tokenizer in one file, unpacked on first use.

    ``package`` is the ``name==version`` of the installed Python package that holds the file of that name;
    without it ``file`` is a path. The unpacked model lies in a folder below ``cache``, named by content.
    """

    package: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._+!-]+$")
    file: str = Field(min_length=1)
    cache: str = "data/backbones"


class CausalLMConfig(StrictModel):
    """A pretrained language model with its tokenizer, of any architecture that accepts embeddings.

    ``path`` is a folder in the Hugging Face layout or the id of a hub repository, ``revision`` a commit, tag
    or branch of it; ``gguf`` names a GGUF file instead. New tokens start as the mean of the known ones.
    Sliding windows are not applied: frames and branches bring masks of their own. ``architecture`` is a file
    like those in `model/assets/architectures`, for plans where the model itself is not at hand.
    """

    kind: Literal["causal_lm"] = "causal_lm"
    path: str | None = Field(default=None, min_length=1)
    revision: str | None = None
    gguf: GGUFConfig | None = None
    architecture: str | None = None
    frame_attention: FrameAttention = "bidirectional"

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.path is None) == (self.gguf is None):
            raise ValueError("name the model by either path or gguf")
        return self

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.path or (self.gguf.file if self.gguf else "")


class VLMConfig(StrictModel):
    """A ready video-language model (Qwen2.5-VL, Qwen3-VL) with its tokenizer; its tower makes the features.

    ``path``, ``revision`` and ``architecture`` as for `CausalLMConfig`; path and revision are the same that
    the encoder names. Its frames were causal in training, each seeing those before it: other attention starts
    from states that it has never seen.
    """

    kind: Literal["vlm"] = "vlm"
    path: str = Field(min_length=1)
    revision: str | None = None
    architecture: str | None = None
    frame_attention: FrameAttention = "causal"

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.path


class PoolConfig(StrictModel):
    """Frame tokens N×C → one token of the backbone's width per frame, whatever is asked.

    ``context_frames``: how many frames to either side a frame's token reads as well; what moves cannot be
    told from a still (a convolution over time, as in VideoLLaMA 2, arXiv 2406.07476).
    """

    kind: Literal["pool"] = "pool"
    cell_size: PositiveInt = 96
    context_frames: int = Field(default=0, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @property
    def reads_question(self) -> bool:
        """Whether a frame's token depends on the question: then no two questions share a prefix."""
        return False


class QFormerConfig(StrictModel):
    """Learned queries read the question and look at one frame; an aggregator makes one token of them.

    The published projector (method.md §1.1); the default sizes are its own, those of InstructBLIP.

    Attributes:
        width: hidden units of the Q-Former, ``inner`` those of its feed-forward layers.
        queries: learned queries per frame.
        cross_every: one layer in so many looks at the frame, the first one included.
        max_question_tokens: of a longer question the end is read.
        path: a folder or hub id with the weights of an InstructBLIP Q-Former, alone or within its model.
            Sizes are then taken from there; its words are not: text comes in the backbone's own tokens.
        revision: a commit, tag or branch of the hub repository.
    """

    kind: Literal["qformer"] = "qformer"
    layers: PositiveInt = 12
    width: PositiveInt = 768
    heads: PositiveInt = 12
    inner: PositiveInt = 3072
    queries: PositiveInt = 32
    cross_every: PositiveInt = 2
    max_question_tokens: PositiveInt = 256
    dropout: float = Field(default=0.1, ge=0, lt=1)
    path: str | None = Field(default=None, min_length=1)
    revision: str | None = None

    @property
    def reads_question(self) -> bool:
        """See `PoolConfig.reads_question`."""
        return True

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must divide by heads {self.heads}")
        return self


class TokensConfig(StrictModel):
    """Frame tokens as they are, all of them: features of a video-language model's own tower need no more."""

    kind: Literal["tokens"] = "tokens"

    @property
    def reads_question(self) -> bool:
        """See `PoolConfig.reads_question`."""
        return False


ProjectorConfig = Annotated[PoolConfig | QFormerConfig | TokensConfig, Field(discriminator="kind")]


class SpanConfig(StrictModel):
    """How similarities become an interval.

    ``max_likelihood``: the contiguous run of frames that maximises p_g (method.md §4.1, hard labels), which
    is the maximum-sum run of similarity logits; ``best_run``: the official rule, the contiguous run above
    ``threshold`` × max with the highest mean (method.md §6.2).

    ``decline``: whether an answer begins with `<evi>` is decided by both factors together: the log-odds of
    `<evi>` against the language model's best other token, plus those of the likeliest frame to belong to the
    event. A sum below zero withholds it, whatever either says alone.
    """

    method: Literal["max_likelihood", "best_run"] = "max_likelihood"
    threshold: float = Field(default=0.6, gt=0, le=1)
    decline: bool = True


class ModelConfig(StrictModel):
    """The whole model.

    ``semantic_layer`` and ``match_layer`` index the backbone's hidden states (0 = embeddings): pooled
    evidence comes from the first, queries and keys from the second (method.md §0.4; the official code uses 6
    and -2 of 32).
    """

    backbone: Annotated[BackboneConfig | CausalLMConfig | VLMConfig, Field(discriminator="kind")] = (
        BackboneConfig()
    )
    projector: ProjectorConfig = PoolConfig()
    span: SpanConfig = SpanConfig()
    frame_tokens: PositiveInt = 9
    frame_channels: PositiveInt = 471
    semantic_layer: int = Field(default=3, ge=0)
    match_layer: int = Field(default=-2, le=-1)
    head_size: PositiveInt = 192
    compat: Compat = "paper"

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if isinstance(self.backbone, BackboneConfig):
            check_layers(self, self.backbone.layers)
        return self

    @model_validator(mode="after")
    def _check_projector(self) -> Self:
        if isinstance(self.backbone, VLMConfig) != isinstance(self.projector, TokensConfig):
            raise ValueError(
                f"backbone {self.backbone.kind} does not go with projector {self.projector.kind}: kind vlm "
                "takes projector kind tokens, and no other does"
            )
        return self

    @model_validator(mode="after")
    def _check_compat(self) -> Self:
        if self.compat == "official" and (self.span.method != "best_run" or self.span.decline):
            raise ValueError("compat: official needs span: {method: best_run, decline: false}")
        return self


def check_layers(config: ModelConfig, layers: int) -> None:
    """Refuse hidden states that a backbone of so many layers does not have.

    Raises:
        ValueError: the semantic or the match layer lies outside it.
    """
    if config.semantic_layer >= layers:
        raise ValueError(f"semantic_layer {config.semantic_layer} must be below {layers} layers")
    if -config.match_layer > layers:
        raise ValueError(f"match_layer {config.match_layer} must be at least -{layers}")


class StartConfig(StrictModel):
    """Where supervised training starts.

    ``aligned`` takes a backbone that has learned captions: the one that ships with the package, or the one in
    ``directory`` (what the `align` pipeline writes). ``scratch`` trains a tokenizer and a fresh model.
    """

    kind: Literal["aligned", "scratch"] = "aligned"
    directory: str | None = None
