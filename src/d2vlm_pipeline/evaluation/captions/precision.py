"""BLEU-1 to BLEU-4 of a group of captions."""

from collections.abc import Sequence

import numpy as np

from d2vlm_pipeline.evaluation.captions.ngrams import (
    ORDERS,
    Ints,
    count_ngrams,
    entry_rows,
    flatten,
    group_numbers,
)
from d2vlm_pipeline.evaluation.overlap import Floats

# What keeps a division by nothing defined in the COCO tools; part of the figure in the last digits.
_SMALL = 1e-9
_TINY = 1e-15


def bleu(
    references: Sequence[Sequence[str]], candidates: Sequence[str], groups: Sequence[int] | None = None
) -> Floats:
    """Corpus BLEU-1 … BLEU-4 of each group [G, 4], as in the COCO tools with the option "closest".

    Lengths are compared with the reference nearest in length, the shorter of two as near. A group without
    items is 0.

    Args:
        references: tokenised references of each item, at least one.
        candidates: tokenised caption of each item.
        groups: group of each item, numbered from 0; all in one where None.

    Source: Papineni et al. 2002.
    """
    items = len(candidates)
    group_N, group_count = group_numbers(groups, items)
    if not items:
        return np.zeros((group_count, ORDERS))
    flat, item_R = flatten(references)
    ngrams, row = count_ngrams([*candidates, *flat])
    row_N, row_R = row[:items], row[items:]
    counts_NV, counts_RV = ngrams.counts_TV[row_N], ngrams.counts_TV[row_R]
    # Matches within an item are limited by the reference that has most of a sequence.
    shared = counts_NV[item_R].minimum(counts_RV).tocsr()
    key_E = item_R[entry_rows(shared)] * counts_NV.shape[1] + shared.indices
    key_M, place_E = np.unique(key_E, return_inverse=True)
    matches_M = np.zeros(len(key_M))
    np.maximum.at(matches_M, place_E, shared.data)
    item_M, sequence_M = np.divmod(key_M, max(counts_NV.shape[1], 1))
    key_GO = group_N[item_M] * ORDERS + ngrams.order_V[sequence_M]
    matched_GO = np.bincount(key_GO, matches_M, minlength=group_count * ORDERS).reshape(-1, ORDERS)

    length_N = ngrams.words_T[row_N]
    length_G = np.bincount(group_N, length_N, minlength=group_count)
    guessed_NO = np.maximum(length_N[:, None] - np.arange(ORDERS), 0)
    guessed_GO = np.stack(
        [np.bincount(group_N, guessed_NO[:, order], minlength=group_count) for order in range(ORDERS)], axis=1
    )
    nearest_N = _nearest_length(length_N, ngrams.words_T[row_R], item_R)
    nearest_G = np.bincount(group_N, nearest_N, minlength=group_count)

    precision_GO = np.cumprod((matched_GO + _TINY) / (guessed_GO + _SMALL), axis=1)
    score_GO = precision_GO ** (1 / np.arange(1, ORDERS + 1))
    ratio_G = (length_G + _TINY) / (nearest_G + _SMALL)
    brevity_G = np.where(ratio_G < 1, np.exp(1 - 1 / np.minimum(ratio_G, 1)), 1.0)
    empty_G = np.bincount(group_N, minlength=group_count) == 0
    return np.where(empty_G[:, None], 0.0, score_GO * brevity_G[:, None])


def _nearest_length(length_N: Ints, length_R: Ints, item_R: Ints) -> Ints:
    """Length of the reference nearest in length, the shorter of two as near, [N]."""
    order = np.lexsort((length_R, np.abs(length_R - length_N[item_R]), item_R))
    first = np.searchsorted(item_R[order], np.arange(len(length_N)))
    return length_R[order[first]]
