"""What the scoring of dense captions is timed against comes to the same figures."""

import json
from pathlib import Path
from random import Random

import pytest
from benchmarks.score_dense import contest

WORDS = ["the", "a", "pan", "stir", "onion", "cut", "it", "with", "salt"]


def files(folder: Path, seed: int, videos: int = 12) -> tuple[Path, tuple[Path, ...]]:
    """Predictions, some of them near an event, some backward, and two reference sets, with few words."""
    rng = Random(seed)
    told, *truths = (folder / name for name in ("told.json", "one.json", "two.json"))
    sets = [{f"v{video}": _events(rng) for video in range(videos)} for _ in truths]
    for path, events in zip(truths, sets, strict=True):
        path.write_text(json.dumps({video: _filed(rng, spans) for video, spans in events.items()}))
    results = {video: _told(rng, rng.choice(sets)[video]) for video in sets[0]}
    told.write_text(json.dumps({"results": results}))
    return told, tuple(truths)


def _events(rng: Random) -> list[list[float]]:
    starts = [rng.randint(0, 40) for _ in range(rng.randint(1, 4))]
    return [[start_s, start_s + rng.choice([4, 10, 20])] for start_s in starts]


def _told(rng: Random, true: list[list[float]]) -> list[dict[str, object]]:
    near = [[edge_s + rng.choice([0, 0, 1, -2, 5]) for edge_s in span] for span in true]
    spans = [*near, *_events(rng)][rng.randint(0, 3) :]
    return [{"sentence": _sentence(rng), "timestamp": span} for span in spans]


def _filed(rng: Random, spans: list[list[float]]) -> dict[str, object]:
    return {"duration": 60, "timestamps": spans, "sentences": [_sentence(rng) for _ in spans]}


def _sentence(rng: Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 8)))


@pytest.mark.parametrize("seed", range(8))
def test_loops_and_arrays_agree(tmp_path: Path, seed: int) -> None:
    found = contest("drawn", *files(tmp_path, seed), copies=2)
    assert found.ours() == pytest.approx(found.loops())
    assert found.queries == 24
