"""Drawing tokens instead of taking the likeliest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from d2vlm_pipeline.model.generate import AdjustLogits


def sampler(seeds: Sequence[int], temperature: float) -> AdjustLogits:
    """Logits whose largest is a draw from softmax(logits / temperature): the Gumbel-max trick.

    Every row draws from a seed of its own, so that an answer does not depend on the batch that it is in.
    What a form rules out afterwards stays ruled out, and the others keep their ratios.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def adjust(_: int, logits_QV: Tensor) -> Tensor:
        uniform = torch.stack([torch.rand(logits_QV.shape[-1], generator=each) for each in generators])
        gumbel = -(-uniform.log()).log()
        return logits_QV / temperature + gumbel.to(logits_QV.device)

    return adjust
