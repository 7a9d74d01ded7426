"""Seeding that reaches torch; apart from `seeds`, on which work rests that is the same under any torch."""

from d2vlm_pipeline.artifacts.seeds import derive_seed, seed_process


def seed_with_torch(root: int, *names: str | int) -> None:
    """As `seed_process`, and the generators of torch, too."""
    import torch

    seed_process(root, *names)
    torch.manual_seed(derive_seed(root, *names))
