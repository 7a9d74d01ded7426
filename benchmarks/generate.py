"""Our decoding against the published way: throughput, what evidence costs, what a second question costs.

    python -m benchmarks.generate [--repetitions 9] [--json OUT]

One thread. Every answer has 40 tokens, 8 of them `<evi>`, at set places: a model of random weights would not
say it. Both ways give the same tokens and intervals.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import published_generation
from benchmarks.timing import interleaved
from benchmarks.train_step import flops
from benchmarks.workload import END, EVI, USER, Example, Shape, build, examples
from d2vlm_pipeline.model.branches import ATTENTION
from d2vlm_pipeline.model.config import SpanConfig
from d2vlm_pipeline.model.d2vlm import D2VLM, PrefixState
from d2vlm_pipeline.model.generate import Generated, PromptClip, PromptQuestion, generate, read_clips
from d2vlm_pipeline.model.layout import OneTokenFrames
from d2vlm_pipeline.model.session import Session

TOKENS = 40
EVI_STEPS = (0, 1, 2, 10, 18, 26, 33, 38)
BATCH = 8

Answered = tuple[list[int], list[tuple[int, int]]]
"""Tokens of an answer, and the frames of each `<evi>`."""


def wanted(step: int, logits_QV: Tensor) -> Tensor:
    """`<evi>` at its steps and no others; no early end."""
    forced = logits_QV.clone()
    forced[:, EVI] = 1e6 if step in EVI_STEPS else -1e6
    forced[:, END] = -1e6
    return forced


def prompt(example: Example) -> PromptClip:
    """A clip as it is read."""
    prefix = OneTokenFrames([USER]).prefix(range(len(example.frames_TD)))
    return PromptClip(prefix, example.frames_TD[:, None])


def ours(model: D2VLM, given: Sequence[Example], read: PrefixState | None = None) -> list[Generated]:
    """Answers as one batch; clips are read unless they were."""
    model.backbone.set_attn_implementation(ATTENTION)
    state = read_clips(model, [prompt(example) for example in given]) if read is None else read
    questions = [PromptQuestion(at, example.question, [], []) for at, example in enumerate(given)]
    return generate(model, state, questions, EVI, END, TOKENS, wanted)


def theirs(model: D2VLM, given: Sequence[Example]) -> list[Answered]:
    """Answers one after another, the published way."""
    model.backbone.set_attn_implementation("eager")

    def choose(step: int, logits_V: Tensor) -> int:
        return int(wanted(step, logits_V[None]).argmax())

    return [
        published_generation.answer(model, each.frames_TD, each.question, choose, TOKENS) for each in given
    ]


def check_answers(model: D2VLM, given: Sequence[Example]) -> None:
    """Raises where tokens or intervals differ."""

    def plain(answers: Sequence[Generated]) -> list[Answered]:
        return [(answer.token_ids, [(span.first, span.last) for span in answer.spans]) for answer in answers]

    alone = [answer for example in given for answer in ours(model, [example])]
    if not plain(ours(model, given)) == plain(alone) == theirs(model, given):
        raise AssertionError("the two ways, or a batch and its questions alone, give different answers")


@contextmanager
def timed(*names: str) -> Iterator[list[float]]:
    """CPU seconds that the session spends in these methods."""
    spent: list[float] = []

    def watched(method: Callable[..., object], session: Session, *given: object) -> object:
        begun = time.process_time()
        found = method(session, *given)
        spent.append(time.process_time() - begun)
        return found

    with (
        patch.object(Session, names[0], _bound(partial(watched, getattr(Session, names[0])))),
        patch.object(Session, names[1], _bound(partial(watched, getattr(Session, names[1])))),
    ):
        yield spent


def _bound(function: Callable[..., object]) -> Callable[..., object]:
    return lambda self, *given: function(self, *given)


def evidence_share(model: D2VLM, given: Sequence[Example], repetitions: int) -> float:
    """Share of the time that goes into queries, interval search and pooling; the median.

    By our default rule: the official one, which both ways share above, searches row by row.
    """
    model.config = model.config.model_copy(update={"span": SpanConfig()})
    shares = []
    for _ in range(repetitions):
        with timed("find_spans", "_content") as spent:
            begun = time.process_time()
            ours(model, given)
            shares.append(sum(spent) / (time.process_time() - begun))
    return sorted(shares)[len(shares) // 2]


def second_question(model: D2VLM, given: Sequence[Example]) -> dict[str, float]:
    """Operations of a first and of a second question about a clip, and of reading the clip."""
    read = read_clips(model, [prompt(given[0])])
    return {
        "first_gflop": flops(lambda: ours(model, given[:1])) / 1e9,
        "second_gflop": flops(lambda: ours(model, given[:1], read)) / 1e9,
        "read_gflop": flops(lambda: read_clips(model, [prompt(given[0])])) / 1e9,
    }


def measure(shape: Shape, repetitions: int) -> dict[str, float]:
    """All figures."""
    model, given = build(shape), examples(shape)
    check_answers(model, given)
    seconds = interleaved(
        {
            "batch_s": lambda: ours(model, given),
            "alone_s": lambda: [ours(model, [example]) for example in given],
            "published_s": lambda: theirs(model, given),
        },
        repetitions,
    )
    return {
        **seconds,
        "batch_over_alone": seconds["alone_s"] / seconds["batch_s"],
        "batch_over_published": seconds["published_s"] / seconds["batch_s"],
        "alone_over_published": seconds["published_s"] / seconds["alone_s"],
        **second_question(model, given),
        "evidence_share_batch_percent": 100 * evidence_share(model, given, repetitions),
        "evidence_share_alone_percent": 100 * evidence_share(model, given[:1], repetitions),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(Shape(batch=BATCH), asked.repetitions)
    title = f"{BATCH} answers of {TOKENS} tokens, {len(EVI_STEPS)} `<evi>` each"
    table = Table("figure", "value", title=title)
    for name, value in found.items():
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
