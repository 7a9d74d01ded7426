"""Embeddings of which a few rows train while the table stays as it is.

Gradients and optimiser states exist for those rows alone, so that nothing, weight decay included, can move
another one. K rows of V, width D.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from d2vlm_pipeline.artifacts import UserError


class PartlyTrainedEmbedding(nn.Module):
    """Token ids → embeddings; the rows of some ids are read from a small table of their own."""

    place_V: Tensor

    def __init__(self, base: nn.Embedding, rows_KD: nn.Parameter, ids_K: Tensor) -> None:
        super().__init__()
        self.base = base
        self.rows_KD = rows_KD
        place_V = torch.full((base.num_embeddings,), -1)
        place_V[ids_K] = torch.arange(len(ids_K))
        self.register_buffer("place_V", place_V, persistent=False)
        # Now, not on first use: weights may be partitioned by then. One without numbers computes none.
        self._scale = 1.0 if base.weight.is_meta else _scale_of(base)

    def forward(self, token_ids: Tensor) -> Tensor:
        """int [...] → float [..., D]."""
        place = self.place_V[token_ids]
        own = self._scale * functional.embedding(place.clamp(min=0), self.rows_KD)
        return torch.where((place >= 0).unsqueeze(-1), own, self.base(token_ids))


class PartlyTrainedHead(nn.Module):
    """Hidden states → vocabulary logits; the columns of some ids come from a small table of their own."""

    ids_K: Tensor

    def __init__(self, base: nn.Linear, rows_KD: nn.Parameter, ids_K: Tensor) -> None:
        super().__init__()
        self.base = base
        self.rows_KD = rows_KD
        self.register_buffer("ids_K", ids_K, persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """float [..., D] → [..., V]."""
        bias = None if self.base.bias is None else self.base.bias[self.ids_K]
        logits: Tensor = self.base(hidden)
        own = functional.linear(hidden, self.rows_KD, bias)
        # In place: a second copy of the logits would be the largest tensor of a step.
        return logits.index_copy_(-1, self.ids_K, own.to(logits.dtype))


def train_rows(backbone: PreTrainedModel, ids: Sequence[int]) -> None:
    """Let rows of the input and output embeddings train, one table for both where they are tied.

    Raises:
        UserError: the embeddings are not plain tables.
    """
    ids_K = torch.tensor(list(ids))
    inputs, outputs = backbone.get_input_embeddings(), backbone.get_output_embeddings()
    if not (isinstance(inputs, nn.Embedding) and isinstance(outputs, nn.Linear)):
        raise UserError(
            f"tuning.embeddings new_tokens: those of {type(backbone).__name__} are not plain tables; set all"
        )
    rows_in = nn.Parameter(inputs.weight.detach()[ids_K].clone())
    is_tied = inputs.weight is outputs.weight
    rows_out = rows_in if is_tied else nn.Parameter(outputs.weight.detach()[ids_K].clone())
    for table in (inputs, outputs):
        table.requires_grad_(False)
    backbone.set_input_embeddings(PartlyTrainedEmbedding(inputs, rows_in, ids_K))
    backbone.set_output_embeddings(PartlyTrainedHead(outputs, rows_out, ids_K))


@torch.no_grad()
def put_rows_back(backbone: PreTrainedModel) -> None:
    """Write trained rows into their tables and leave the plain modules behind."""
    inputs, outputs = backbone.get_input_embeddings(), backbone.get_output_embeddings()
    if isinstance(inputs, PartlyTrainedEmbedding) and isinstance(outputs, PartlyTrainedHead):
        for trained in (inputs, outputs):
            trained.base.weight[outputs.ids_K] = trained.rows_KD.to(trained.base.weight.dtype)
        backbone.set_input_embeddings(inputs.base)
        backbone.set_output_embeddings(outputs.base)


def _scale_of(base: nn.Embedding) -> float:
    """What an embedding multiplies its rows by (Gemma: √D): the one number it gives for a table of ones."""
    ones = torch.ones(base.num_embeddings, 1, device=base.weight.device, dtype=base.weight.dtype)
    at = torch.zeros(1, dtype=torch.long, device=base.weight.device)
    return float(torch.func.functional_call(base, {"weight": ones}, (at,)))
