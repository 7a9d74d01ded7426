"""The least that a step can compute: floating-point operations of its matrix products.

The prefix up to the last layer's keys and values, every branch once, the vocabulary for supervised tokens
alone; attention where a token may look and nowhere else; backward twice the forward.
"""

from __future__ import annotations

from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.masks import branch_visible, prefix_visible
from d2vlm_pipeline.model.packing import PackedBatch


def least_flops(model: D2VLM, batch: PackedBatch) -> int:
    """Of forward and backward over a batch, for the Llama-like backbone of the benchmarks."""
    config = model.backbone.config
    width, layers = config.hidden_size, config.num_hidden_layers
    keys_values = 2 * width * config.num_key_value_heads * config.head_dim
    layer = 2 * width * width + keys_values + 3 * width * config.intermediate_size
    prefix, suffix = int(batch.prefix_valid_BP.sum()), len(batch.suffix_ids_S)
    linear = prefix * ((layers - 1) * layer + keys_values) + suffix * layers * layer
    linear += len(batch.token_row_N) * width * config.vocab_size
    heads = int(batch.frame_valid_BT.sum()) + len(batch.query_row_M)
    linear += heads * 2 * width * model.config.head_size
    pairs = (layers - 1) * _prefix_pairs(batch) + layers * _branch_pairs(batch)
    return 3 * 2 * (linear + 2 * width * pairs)


def _prefix_pairs(batch: PackedBatch) -> int:
    """Pairs of tokens of which one sees the other."""
    visible = prefix_visible(batch.prefix_valid_BP, batch.frame_slot_BP, both_ways=True)
    return int((visible & batch.prefix_valid_BP[:, :, None]).sum())


def _branch_pairs(batch: PackedBatch) -> int:
    is_token_QK = batch.question_row_QK >= 0
    prefix = batch.prefix_valid_BP[batch.question_clip_Q]
    visible = branch_visible(prefix, is_token_QK, batch.question_variant_QK)
    return int((visible & is_token_QK[:, :, None]).sum())
