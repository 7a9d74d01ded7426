"""E.T. Bench's part of `benchmarks.score`, without METEOR; tokens are at hand on both sides.

First the scoring itself: as many questions of each task as the benchmark has (7,289; method.md §7.1), made of
the 640 public ones with words of their own in every caption, sentences embedded beforehand. Then the 640 with
both sides embedding what they need with the same encoder, from nothing: the script as it goes, again and
again, ours every sentence once.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks import score_loops_etbench as loops
from benchmarks.score_contest import Contest
from d2vlm_pipeline.evaluation.benchmarks.etbench.items import Answers, read
from d2vlm_pipeline.evaluation.benchmarks.etbench.rules import ORIGINAL
from d2vlm_pipeline.evaluation.benchmarks.etbench.score import score_answers
from d2vlm_pipeline.evaluation.benchmarks.etbench.tools import CaptionTools
from d2vlm_pipeline.evaluation.benchmarks.records import Files
from d2vlm_pipeline.evaluation.captions import ptb_tokenize
from d2vlm_pipeline.evaluation.overlap import Floats
from d2vlm_pipeline.evaluation.similarity import SentenceEncoder

QUESTIONS = {
    "rar": 500,
    "eca": 500,
    "rvq": 500,
    "tvg": 1000,
    "epm": 500,
    "tal": 938,
    "evs": 75,
    "vhd": 854,
    "dvc": 491,
    "slc": 677,
    "tem": 964,
    "gvq": 290,
}
"""Questions of each task (method.md §7.1)."""

Sample = dict[str, Any]
Figures = dict[str, dict[str, dict[str, float]]]
Encode = Callable[[Sequence[str]], Floats]


class Tokens:
    """Tokens of texts, each cut once."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def __call__(self, texts: Sequence[str]) -> list[str]:
        new = [text for text in dict.fromkeys(texts) if text not in self._tokens]
        self._tokens |= dict(zip(new, ptb_tokenize(new), strict=True))
        return [self._tokens[text] for text in texts]


def contests(folder: Path) -> list[Contest]:
    """With the sentences embedded by either side, and with all of them embedded beforehand."""
    samples = json.loads((folder / "etbench" / "etbench_synthetic_pred.json").read_text())
    return [
        contest("etbench, of its real size", full_size(samples), at_hand, at_hand),
        contest("etbench, with embedding", samples, SentenceEncoder, _embeds_again),
    ]


def contest(
    name: str, samples: list[Sample], ours_embeds: Callable[[], Encode], loops_embed: Callable[[], Encode]
) -> Contest:
    """Our figures, with everything that intervals and comparisons need, against the loops' bare ones."""
    tokens = Tokens()
    return Contest(
        name=name,
        queries=len(samples),
        ours=partial(ours, answers_of(samples), tokens, ours_embeds),
        loops=partial(by_loops, samples, tokens, loops_embed),
        same=alike,
    )


def answers_of(samples: list[Sample]) -> Answers:
    """The samples as they are read from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.json"
        path.write_text(json.dumps(samples))
        return read(Files(path))


def full_size(samples: list[Sample]) -> list[Sample]:
    """As many questions of each task as E.T. Bench has, on videos of their own and in words of their own."""
    made: list[Sample] = []
    for task, count in QUESTIONS.items():
        own = [sample for sample in samples if sample["task"] == task]
        for number in range(count):
            copy, sample = divmod(number, len(own))
            made.append(_reworded(own[sample], len(made), copy))
    return made


def _reworded(sample: Sample, idx: int, copy: int) -> Sample:
    sample = sample | {"idx": idx, "video": f"{copy}/{sample['video']}"}
    if "g" in sample:
        sample["g"] = [f"{caption} w{copy}x" for caption in sample["g"]]
        sample["a"] = sample["a"].replace(".\n", f" w{copy}x.\n")
    return sample


def ours(answers: Answers, tokens: Tokens, encoder: Callable[[], Encode]) -> Figures:
    """Our figures, from answers to measures."""
    tools = CaptionTools(embed=encoder(), tokenize=tokens, with_meteor=False)
    return cast(Figures, score_answers(answers, ORIGINAL, tools).metrics["per_task_source"])


def by_loops(samples: list[Sample], tokens: Tokens, encoder: Callable[[], Encode]) -> Figures:
    """The loops' bare figures."""
    return loops.scored(samples, encoder(), lambda text: tokens([text])[0])


def alike(ours: object, theirs: object) -> bool:
    """Whether the figures are the same; similarities to 1e-5, since texts share batches with others."""
    one, other = cast(Figures, ours), cast(Figures, theirs)
    return all(
        set(one[task][source]) == set(found)
        and all(abs(one[task][source][name] - value) < 2e-5 for name, value in found.items())
        for task, sources in other.items()
        for source, found in sources.items()
    )


@cache
def _vector(text: str) -> Floats:
    """A unit vector that stands for the text: the scoring does not care which."""
    vector = np.random.default_rng(zlib.crc32(text.encode())).normal(size=384)
    return np.asarray(vector / np.linalg.norm(vector))


def at_hand() -> Encode:
    """Sentences embedded beforehand."""
    return lambda texts: np.stack([_vector(text) for text in texts])


def _embeds_again() -> Encode:
    """As in the public script: whatever is given is embedded, again where it was before."""
    return lambda texts: SentenceEncoder()(texts)
