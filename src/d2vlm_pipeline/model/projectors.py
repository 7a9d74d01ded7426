"""The projector that looks at frames alone, and the time code that every projector adds."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from d2vlm_pipeline.model.config import PoolConfig

_TIME_WAVES = 16


def time_code(frames: int, device: torch.device) -> Tensor:
    """Sine and cosine of the frame's number at periods from 4 to 1,024 frames, [T, 32]."""
    period = 4.0 * 256.0 ** (torch.arange(_TIME_WAVES, device=device) / (_TIME_WAVES - 1))
    phase = 2.0 * math.pi * torch.arange(frames, device=device)[:, None] / period
    return torch.cat([phase.sin(), phase.cos()], dim=-1)


def time_map(hidden_size: int) -> nn.Linear:
    """What a projector adds of `time_code`; starts silent.

    Rotary positions are relative: without a code of its own, a pooled interval cannot say when it was, and
    "the event after this one" cannot be asked for.
    """
    linear = nn.Linear(2 * _TIME_WAVES, hidden_size, bias=False)
    nn.init.zeros_(linear.weight)
    return linear


class PoolProjector(nn.Module):
    """Spatial tokens of one frame → one embedding, keeping which cell held what.

    Every cell goes through one shared layer; a gated, position-aware second layer mixes the cells. Averaging
    the cells instead would lose where an object is, and with it the direction it moves in.
    """

    def __init__(self, config: PoolConfig, tokens: int, channels: int, hidden_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.cell = nn.Linear(channels, config.cell_size)
        self.place = nn.Parameter(torch.zeros(tokens, config.cell_size))
        self.mix = nn.Linear(tokens * config.cell_size, hidden_size)
        self.act = nn.GELU()
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.time = time_map(hidden_size)
        reach = config.context_frames
        self.context = nn.Conv1d(hidden_size, hidden_size, 2 * reach + 1, padding=reach) if reach else None

    def forward(self, features_BTNC: Tensor) -> Tensor:
        """float [B, T, N, C] → [B, T, D]."""
        cells = self.act(self.cell(self.norm(features_BTNC)) + self.place)
        mixed = self.act(self.mix(self.dropout(cells.flatten(2))))
        if self.context is not None:
            # Padding is a frame of zeros: it must not lend its neighbours anything.
            real_BT1 = features_BTNC.flatten(2).any(-1, keepdim=True)
            around = self.context((mixed * real_BT1).transpose(1, 2)).transpose(1, 2)
            mixed = mixed + self.act(around)
        return self.out(mixed) + self.time(time_code(features_BTNC.shape[1], features_BTNC.device))
