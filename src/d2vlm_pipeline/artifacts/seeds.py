"""Named seed streams: every random choice draws from a seed derived from its name, never from its turn."""

from d2vlm_pipeline.artifacts.digests import digest_json


def derive_seed(root: int, *names: str | int) -> int:
    """Seed in [0, 2**63) for the stream `names` under `root`.

    Independent of worker count and of the order of calls. NumPy generators, `random.Random` and torch take
    it whole; the legacy `numpy.random.seed` wants it modulo 2**32.
    """
    return int(digest_json(["seed", root, *names])[:16], 16) >> 1
