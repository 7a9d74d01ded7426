"""How passes of a step fall to workers."""

import pytest

from d2vlm_pipeline.training.engine import idle_passes, share_of


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("parts", [1, 2, 5, 8])
def test_every_pass_falls_to_one_worker_and_all_run_as_many(parts: int, workers: int) -> None:
    shares = [share_of(range(parts), rank, workers) for rank in range(workers)]
    assert [part for share in shares for part in share] == list(range(parts))
    run = {len(share) + idle_passes(range(parts), rank, workers) for rank, share in enumerate(shares)}
    assert len(run) == 1 and run.pop() == max(len(share) for share in shares)
