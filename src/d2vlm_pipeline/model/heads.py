"""Query and key heads."""

from __future__ import annotations

from torch import Tensor, nn

from d2vlm_pipeline.model.exact import exactly


class MatchHead(nn.Sequential):
    """LayerNorm → Linear → GELU → Linear: gives a hidden state its role in matching (method.md §1.1).

    One instance makes queries of the states that predict `<evi>`, another makes keys of the frame states.
    """

    def __init__(self, hidden_size: int, inner_size: int) -> None:
        inner, outer = nn.Linear(hidden_size, inner_size), nn.Linear(inner_size, hidden_size)
        super().__init__(nn.LayerNorm(hidden_size), inner, nn.GELU(), outer)
        # Orthogonal maps keep distances: two heads that start alike already find like states similar.
        nn.init.orthogonal_(inner.weight)
        nn.init.orthogonal_(outer.weight)

    def forward(self, states: Tensor) -> Tensor:
        """float [..., D] → [..., D], in the precision of the weights."""
        with exactly(states):
            return super().forward(states.to(next(self.parameters()).dtype))
