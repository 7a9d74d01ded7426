"""Every interval of an answer beside every true one, all questions at once.

Questions have few intervals each and there are thousands of them: pairs of all questions lie in one row X.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from d2vlm_pipeline.evaluation.benchmarks.records import Span
from d2vlm_pipeline.evaluation.overlap import Floats

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class PairTables(NamedTuple):
    """Pairs of said and true intervals; S said and G true intervals of Q questions, numbered throughout.

    Attributes:
        pred_X2, true_X2: both sides of each pair, seconds.
        said_X, true_X: their numbers; pairs of one said interval lie together, in the order of the truth.
        question_S, question_G: whose they are.
        said_Q, true_Q: how many each question has.
    """

    pred_X2: Floats
    true_X2: Floats
    said_X: Ints
    true_X: Ints
    question_S: Ints
    question_G: Ints
    said_Q: Ints
    true_Q: Ints


def pair_tables(said: Sequence[Sequence[Span]], truth: Sequence[Sequence[Span]]) -> PairTables:
    """All pairs of each question; `said` and `truth` have an entry a question."""
    said_Q, true_Q = (np.array([len(spans) for spans in side], dtype=np.int64) for side in (said, truth))
    question_S, question_G = (np.repeat(np.arange(len(count)), count) for count in (said_Q, true_Q))
    # Each said interval meets all true ones of its question, which stand one behind the other.
    width_S = true_Q[question_S]
    said_X = np.repeat(np.arange(len(question_S)), width_S)
    first_true_S = (np.cumsum(true_Q) - true_Q)[question_S]
    first_pair_S = np.cumsum(width_S) - width_S
    true_X = np.arange(len(said_X)) + (first_true_S - first_pair_S)[said_X]
    pred_S2, true_G2 = _times(said), _times(truth)
    return PairTables(
        pred_S2[said_X], true_G2[true_X], said_X, true_X, question_S, question_G, said_Q, true_Q
    )


def met(number_X: Ints, count: int, hit_XT: Flags) -> Flags:
    """Which of `count` intervals, numbered by pair, take part in a pair that is a hit [count, T]."""
    return np.stack([np.bincount(number_X, hit_T, count) > 0 for hit_T in hit_XT.T], axis=1)


def precision_recall(tables: PairTables, hit_XT: Flags) -> tuple[Floats, Floats]:
    """Shares [Q, T] of each question's said and of its true intervals that are in a hit; 0 of none."""
    sides = (
        (tables.said_X, tables.question_S, tables.said_Q),
        (tables.true_X, tables.question_G, tables.true_Q),
    )
    precision, recall = (_shares(met(x, len(question), hit_XT), question, q) for x, question, q in sides)
    return precision, recall


def _shares(met_NT: Flags, question_N: Ints, count_Q: Ints) -> Floats:
    sums_QT = np.stack([np.bincount(question_N, met_N, len(count_Q)) for met_N in met_NT.T], axis=1)
    return np.asarray(sums_QT / np.maximum(count_Q, 1)[:, None])


def _times(spans: Sequence[Sequence[Span]]) -> Floats:
    """All intervals [N, 2], one question after another."""
    flat = chain.from_iterable(chain.from_iterable(spans))
    return np.fromiter(flat, dtype=np.float64).reshape(-1, 2)
