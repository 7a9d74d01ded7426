"""ROUGE-L: the longest common subsequence of a caption and its references."""

from collections.abc import Sequence
from itertools import accumulate, chain

import numpy as np

from d2vlm_pipeline.evaluation.captions.ngrams import Ints, flatten, numbered
from d2vlm_pipeline.evaluation.overlap import Floats

_BETA = 1.2
_CELLS = 1 << 20  # of one batch of tables of words


def rouge_l(references: Sequence[Sequence[str]], candidates: Sequence[str]) -> Floats:
    """ROUGE-L of each item [N], β = 1.2, with the best precision and the best recall over its references.

    Words are what stands between single spaces, as in the COCO tools: an empty text is one empty word.

    Args:
        references: tokenised references of each item, at least one.
        candidates: tokenised caption of each item.

    Source: Lin 2004, eq. 2 to 4.
    """
    items = len(candidates)
    flat, item_R = flatten(references)
    said = [candidates[item] for item in item_R]
    pair_row: dict[tuple[str, str], int] = {}
    row_R = np.array([pair_row.setdefault(pair, len(pair_row)) for pair in zip(said, flat, strict=True)], int)
    length_P, said_P, true_P = _longest_common(list(pair_row))
    precision_N, recall_N = np.zeros(items), np.zeros(items)
    np.maximum.at(precision_N, item_R, (length_P / said_P)[row_R])
    np.maximum.at(recall_N, item_R, (length_P / true_P)[row_R])
    both = (precision_N > 0) & (recall_N > 0)
    weighed = recall_N + _BETA**2 * precision_N
    return np.divide((1 + _BETA**2) * precision_N * recall_N, weighed, out=np.zeros(items), where=both)


def _longest_common(pairs: Sequence[tuple[str, str]]) -> tuple[Ints, Ints, Ints]:
    """Words of the longest common subsequence, of the first and of the second text of each pair, [P]."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    split = [text.split(" ") for text in texts]
    _, word_W = numbered(list(chain.from_iterable(split)))
    ends = [0, *accumulate(len(words) for words in split)]
    coded = {text: word_W[ends[place] : ends[place + 1]] for place, text in enumerate(texts)}
    words = [(coded[first], coded[second]) for first, second in pairs]
    first_P = np.array([len(first) for first, _ in words], dtype=np.int64)
    second_P = np.array([len(second) for _, second in words], dtype=np.int64)
    common_P = np.zeros(len(pairs), dtype=np.int64)
    order = np.lexsort((second_P, first_P))  # pairs of like lengths share a batch: little padding
    start = 0
    while start < len(order):
        longest = int(max(first_P[order[start]], second_P[order[start]]))
        batch = order[start : start + max(_CELLS // (longest * 2), 1)]
        common_P[batch] = _common_in_batch([words[index] for index in batch])
        start += len(batch)
    return common_P, first_P, second_P


def _common_in_batch(words: Sequence[tuple[Ints, ...]]) -> Ints:
    """The table of Wagner and Fischer for all pairs at once, a row for each word of the first texts."""
    first_PI = _padded([pair[0] for pair in words], padding=-1)
    second_PJ = _padded([pair[1] for pair in words], padding=-2)
    table_PJ = np.zeros((len(words), second_PJ.shape[1] + 1), dtype=np.int64)
    for word_P in first_PI.T:
        longer_PJ = table_PJ[:, :-1] + (second_PJ == word_P[:, None])
        np.maximum(table_PJ[:, 1:], longer_PJ, out=table_PJ[:, 1:])
        np.maximum.accumulate(table_PJ, axis=1, out=table_PJ)
    return table_PJ[:, -1]


def _padded(rows: Sequence[Ints], padding: int) -> Ints:
    length_P = np.array([len(row) for row in rows])
    table = np.full((len(rows), length_P.max()), padding, dtype=np.int64)
    table[np.arange(table.shape[1]) < length_P[:, None]] = np.concatenate(rows)
    return table
