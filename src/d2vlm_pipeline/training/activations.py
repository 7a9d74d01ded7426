"""What a step keeps for its backward pass, in bytes, from sizes alone.

The method is that of Korthikanti et al. (arXiv 2205.05198, §4.1): go through a layer and add up what each
operation saves. Their layer (GELU, dropout, biases, scores kept) gives 34·s·b·h + 5·a·s²·b; this one is a
decoder's of today: norms by root mean square computed in float32, rotary positions, a gated MLP, and
attention that keeps no scores but a logarithm of sums per row. What a frozen map reads is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass

_FLOAT32 = 4


@dataclass(frozen=True)
class Decoder:
    """Sizes of a decoder, and what of a layer learns.

    Attributes:
        layers: How many there are.
        hidden: Width of the residual stream.
        intermediate: Inner width of the MLP.
        query: Width of all query heads together; attention repeats keys and values to it.
        key_value: Width of all key heads together.
        heads: Query heads.
        vocabulary: Rows of the output embeddings.
        norms: Widths of a layer's norms together, those of single heads times their heads.
        learns_maps: Whether the linear maps and norms learn.
        adapter_reads: Widths of what a layer's adapters read and nothing else keeps, together.
        adapter_ranks: Ranks of a layer's adapters together.
        adapter_mask: Bytes per number read that say what was dropped: 1 on a GPU, 0 without dropout.
    """

    layers: int
    hidden: int
    intermediate: int
    query: int
    key_value: int
    heads: int
    vocabulary: int
    norms: int
    learns_maps: bool = True
    adapter_reads: int = 0
    adapter_ranks: int = 0
    adapter_mask: int = 0


@dataclass(frozen=True)
class PassShape:
    """One forward pass on one GPU.

    Attributes:
        clips: Prefixes, all of the same length.
        prefix: Tokens of a prefix, frames included.
        questions: Of each clip, all of the same length.
        branch: Tokens of a question with its response, or with both of a pair.
        supervised: Tokens of a branch that have a loss.
        frame_bytes: Kept of a clip's frames before they are tokens: features, and what the projector saves.
        is_checkpointed: Layers keep what they are given alone, and compute the rest again.
    """

    clips: int
    prefix: int
    questions: int
    branch: int
    supervised: int
    frame_bytes: int = 0
    is_checkpointed: bool = False


@dataclass(frozen=True)
class Activations:
    """Bytes kept when the forward pass is done, by the part that keeps them."""

    prefix: int
    branches: int
    logits: int


def activations(decoder: Decoder, shape: PassShape, compute: int) -> Activations:
    """What is kept of a pass; ``compute`` is bytes per number."""
    given = shape.clips * shape.prefix
    behind = shape.clips * shape.questions * shape.branch
    over_prefix = _layer(decoder, compute, given, shape.clips, shape.prefix, shape.prefix)
    rows, keys = shape.clips * shape.questions, shape.prefix + shape.branch
    over_branches = _layer(decoder, compute, behind, rows, shape.branch, keys)
    cached = decoder.layers * 2 * decoder.key_value * given * compute
    # Of a prefix's last layer nothing but its keys and values is computed.
    last = decoder.hidden * (_FLOAT32 + 2 * compute) * given
    final_norm = decoder.hidden * (_FLOAT32 + compute) * behind
    if shape.is_checkpointed:
        stream = decoder.layers * decoder.hidden * compute
        # One layer at a time is computed again, over the prefixes or over what follows.
        kept_prefix = stream * given + over_prefix
        kept_branches = stream * behind + max(0, over_branches - over_prefix)
    else:
        kept_prefix, kept_branches = (decoder.layers - 1) * over_prefix, decoder.layers * over_branches
    return Activations(
        prefix=kept_prefix + last + cached + shape.clips * shape.frame_bytes,
        branches=kept_branches + final_norm,
        # As they come, and in float32: without rows that have no loss, their logarithms, their gradient.
        logits=(compute + 3 * _FLOAT32) * rows * shape.supervised * decoder.vocabulary,
    )


@dataclass(frozen=True)
class QFormer:
    """Sizes of a Q-Former: R queries and a question read the N tokens of a frame, C channels each."""

    layers: int
    width: int
    inner: int
    cross_every: int
    queries: int
    question: int
    tokens: int
    channels: int


def qformer_bytes(sizes: QFormer, compute: int) -> int:
    """What a Q-Former keeps of one frame: the layer of Korthikanti et al., without scores.

    Attention 5 tensors and a mask, its norm 2, the MLP one of the stream's width with a mask and two of its
    own; layers that look at the frame have a second attention, whose keys and values are the frame's.
    """
    read = sizes.queries + sizes.question
    plain = read * (sizes.width * (8 * compute + 2) + 2 * sizes.inner * compute)
    looking = sizes.queries * sizes.width * (7 * compute + 1) + 2 * sizes.tokens * sizes.width * compute
    looks = -(-sizes.layers // sizes.cross_every)
    aggregated = 4 * sizes.channels * (sizes.queries + sizes.tokens) * compute
    return sizes.layers * plain + looks * looking + aggregated


def _layer(decoder: Decoder, compute: int, tokens: int, rows: int, queries: int, keys: int) -> int:
    """One layer over so many tokens, whose attention has rows of queries that each see keys."""
    norms = _FLOAT32 * decoder.norms
    mlp = 3 * decoder.intermediate * compute
    maps = 0
    if decoder.learns_maps:
        maps = decoder.norms + 2 * decoder.hidden + decoder.query + decoder.intermediate
    adapters = decoder.adapter_reads * (compute + decoder.adapter_mask) + decoder.adapter_ranks * compute
    attention = 2 * decoder.query * rows * (queries + keys) * compute
    sums = _FLOAT32 * decoder.heads * rows * queries
    # PyTorch pads a mask to whole blocks of 16 keys: a copy per layer.
    mask_bytes = rows * queries * keys * compute
    return tokens * (norms + mlp + maps * compute + adapters) + attention + sums + mask_bytes
