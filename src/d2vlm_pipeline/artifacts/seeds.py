"""Named seed streams: every random choice draws from a seed derived from its name, never from its turn.

One root seed (`seed` in conf/base/globals.yml) feeds them all. What is drawn for a thing (a clip, a sample,
an epoch) depends on the root and the thing's name, so that neither the number of workers nor the order of
work moves it. Generators that a process shares, which libraries draw from without asking, are seeded by name,
too.
"""

import random

from d2vlm_pipeline.artifacts.digests import digest_json


def derive_seed(root: int, *names: str | int) -> int:
    """Seed in [0, 2**63) for the stream `names` under `root`.

    Independent of worker count and of the order of calls. NumPy generators, `random.Random` and torch take
    it whole; the legacy `numpy.random.seed` wants it modulo 2**32.
    """
    return int(digest_json(["seed", root, *names])[:16], 16) >> 1


def worker_names(rank: int) -> tuple[str | int, ...]:
    """What a training worker adds to the names of its streams; nothing for worker 0.

    So that one worker of one draws what a run without workers does.
    """
    return ("worker", rank) if rank else ()


def seed_process(root: int, *names: str | int) -> None:
    """Seed what a process draws from without a generator of its own: `random` and `numpy.random`.

    Work that is handed out in portions is seeded portion by portion, by the portion's name: results then
    depend neither on who does it nor on what was done before. Our own code draws from generators of its own;
    this is for libraries below it. Work that computes with torch takes `seed_with_torch`.
    """
    import numpy as np

    seed = derive_seed(root, *names)
    random.seed(seed)
    np.random.seed(seed % 2**32)
