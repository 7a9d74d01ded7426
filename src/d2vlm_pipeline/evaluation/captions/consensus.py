"""CIDEr-D: how much a caption shares with its references of what the other references do not say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from d2vlm_pipeline.evaluation.captions.ngrams import (
    ORDERS,
    Ints,
    count_ngrams,
    distinct,
    entry_rows,
    flatten,
    group_numbers,
)
from d2vlm_pipeline.evaluation.overlap import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SIGMA = 6.0  # of the penalty on lengths
_SCALE = 10.0


def cider(
    references: Sequence[Sequence[str]],
    candidates: Sequence[str],
    groups: Sequence[int] | None = None,
    documents: Sequence[Sequence[str]] | None = None,
    document_groups: Sequence[int] | None = None,
) -> Floats:
    """CIDEr-D of each item [N] with sequences of 1 to 4 words, σ = 6, times 10, as in the COCO tools.

    A sequence weighs log(items of the group) - log(items of the group whose references have it), so items of
    one group are scored together and apart from all others; a group of one item is 0. The figure of a group
    is the mean of its items. As in those tools, lengths are compared in pairs of words.

    The tools count over the items that they score, which makes a figure depend on what was scored; with
    `documents` it is counted over a fixed set, each of which may hold several texts.

    Args:
        references: tokenised references of each item, at least one.
        candidates: tokenised caption of each item.
        groups: group of each item, numbered from 0; all in one where None.
        documents: what document frequency is counted over, instead of the items' own references.
        document_groups: group of each of the documents, as `groups`.

    Source: Vedantam et al. 2015, eq. 3, 4 and 7.
    """
    items = len(candidates)
    if not items:
        return np.zeros(0)
    flat, item_R = flatten(references)
    written, document_W = flatten(documents or ())
    ngrams, row = count_ngrams([*candidates, *flat, *written])
    row_N, row_R, row_W = np.split(row, [items, items + len(flat)])
    group_N, group_count = group_numbers(groups, items)
    counts_RV = ngrams.counts_TV[row_R]
    if documents is None:
        rarity = _Rarity.of(counts_RV, item_R, group_N, group_count)
    else:
        group_D, _ = group_numbers(document_groups, len(documents))
        rarity = _Rarity.of(ngrams.counts_TV[row_W], document_W, group_D, group_count)

    said_NV = rarity.weigh(ngrams.counts_TV[row_N], group_N)
    true_RV = rarity.weigh(counts_RV, group_N[item_R])
    said_RV = said_NV if len(flat) == items else said_NV[item_R]  # a copy only where there are several each
    common_RV = said_RV.minimum(true_RV).multiply(true_RV)
    norm_NO = np.sqrt(_by_order(said_NV, ngrams.order_V, power=2))
    norm_RO = np.sqrt(_by_order(true_RV, ngrams.order_V, power=2))
    scale_RO = norm_NO[item_R] * norm_RO
    cosine_RO = np.divide(
        _by_order(common_RV, ngrams.order_V), scale_RO, out=np.zeros_like(scale_RO), where=scale_RO > 0
    )

    pairs_T = np.maximum(ngrams.words_T - 1, 0)
    delta_R = pairs_T[row_N[item_R]] - pairs_T[row_R]
    score_R = cosine_RO.mean(axis=1) * np.exp(-(delta_R**2) / (2 * _SIGMA**2))
    return _SCALE * np.bincount(item_R, score_R, minlength=items) / np.bincount(item_R, minlength=items)


@dataclass(frozen=True)
class _Rarity:
    """How much word sequences weigh within each group.

    Attributes:
        key_S: group · V + sequence of those that the group's documents have, ascending.
        weight_S: their weights.
        unseen_G: weight of all others.
    """

    key_S: Ints
    weight_S: Floats
    unseen_G: Floats

    @classmethod
    def of(cls, counts_WV: "csr_array", document_W: Ints, group_D: Ints, groups: int) -> "_Rarity":
        columns = counts_WV.shape[1]
        pairs = document_W[entry_rows(counts_WV)] * columns + counts_WV.indices
        if (document_W[1:] == document_W[:-1]).any():
            # A sequence counts once for a document, however many of its texts have it.
            pairs = distinct(pairs)
        document_P, sequence_P = np.divmod(pairs, max(columns, 1))
        key_S, frequency_S = np.unique(group_D[document_P] * columns + sequence_P, return_counts=True)
        unseen_G = np.log(np.maximum(np.bincount(group_D, minlength=groups), 1))
        return cls(key_S, unseen_G[key_S // max(columns, 1)] - np.log(frequency_S), unseen_G)

    def weigh(self, counts_MV: "csr_array", group_M: Ints) -> "csr_array":
        """Counts times weights, in the group of each row."""
        from scipy.sparse import csr_array

        group_E = group_M[entry_rows(counts_MV)]
        key_E = group_E * counts_MV.shape[1] + counts_MV.indices
        weight_E = self.unseen_G[group_E]
        if len(self.key_S):
            place_E = np.minimum(np.searchsorted(self.key_S, key_E), len(self.key_S) - 1)
            weight_E = np.where(self.key_S[place_E] == key_E, self.weight_S[place_E], weight_E)
        parts = (counts_MV.data * weight_E, counts_MV.indices, counts_MV.indptr)
        return csr_array(parts, shape=counts_MV.shape)


def _by_order(values_MV: "csr_array", order_V: Ints, power: int = 1) -> Floats:
    """Sums [M, 4] over the sequences of each length, of the values or of a power of them."""
    values_MV = values_MV.tocsr()
    key_E = entry_rows(values_MV) * ORDERS + order_V[values_MV.indices]
    sums = np.bincount(key_E, values_MV.data**power, minlength=values_MV.shape[0] * ORDERS)
    return sums.astype(np.float64).reshape(-1, ORDERS)
