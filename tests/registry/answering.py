"""A sealed model directory of a few thousand weights that answers questions about real video files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.features import EfficientNetConfig, build_encoder
from d2vlm_pipeline.model import ModelBundle, save_model
from d2vlm_pipeline.timeline import SamplingPolicy
from model import tiny


def answering_model(directory: Path, seed: int = 0) -> Path:
    """Weights drawn at random: what it says means nothing, and is the same for the same clip and question."""
    encoder = build_encoder(EfficientNetConfig())
    tokens, channels = encoder.shape_NC
    model = tiny.model(seed, frame_tokens=tokens, frame_channels=channels)
    contract = tiny.contract().model_copy(
        update={"encoder_digest": encoder.digest, "sampling": SamplingPolicy(fps=1.0, max_frames=8)}
    )
    bundle = ModelBundle(model, tiny.tokenizer(), contract)
    with atomic_directory(directory) as inside:
        save_model(bundle, inside)
    return directory


@contextmanager
def one_thread() -> Iterator[None]:
    """For so small a model threads cost more than they bring: most of all on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
