"""Word sequences of many texts as one table of counts: what CIDEr and BLEU are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Ints = NDArray[np.int64]

ORDERS = 4
"""Sequences of one to four words."""


@dataclass(frozen=True)
class NGrams:
    """Counts of word sequences in T texts; texts that are written twice have one row.

    Attributes:
        counts_TV: how often each of V sequences occurs in each text, floats.
        order_V: words of a sequence less one, 0 … 3.
        words_T: words of each text.
    """

    counts_TV: "csr_array"
    order_V: Ints
    words_T: Ints


def count_ngrams(texts: Sequence[str]) -> tuple[NGrams, Ints]:
    """Counts of the distinct texts, and the row of each text given."""
    distinct, rows_N = numbered(texts)
    return _count(distinct), rows_N


def numbered(words: Sequence[str]) -> tuple[list[str], Ints]:
    """Distinct words in the order in which they come, and the number of each word given."""
    distinct = list(dict.fromkeys(words))
    number = dict(zip(distinct, range(len(distinct)), strict=True))
    return distinct, np.fromiter(map(number.__getitem__, words), dtype=np.int64, count=len(words))


def _count(texts: Sequence[str]) -> NGrams:
    from scipy.sparse import csr_array

    split = [text.split() for text in texts]
    words_T = np.array([len(words) for words in split], dtype=np.int64)
    vocabulary, word_W = numbered(list(chain.from_iterable(split)))
    text_W = np.repeat(np.arange(len(texts)), words_T)
    keys, orders, found = [], [], 0
    code_W = np.zeros(len(word_W), dtype=np.int64)
    for order in range(ORDERS):
        # Words of one text follow each other: a sequence ends where its last word is of another text.
        starts = np.arange(len(word_W) - order)
        starts = starts[text_W[starts] == text_W[starts + order]]
        distinct, code_N = np.unique(
            code_W[starts] * len(vocabulary) + word_W[starts + order], return_inverse=True
        )
        code_W = np.zeros(len(word_W), dtype=np.int64)
        code_W[starts] = code_N
        keys.append(np.stack([text_W[starts], code_N + found]))
        orders.append(np.full(len(distinct), order))
        found += len(distinct)
    text_N, column_N = np.concatenate(keys, axis=1)
    # A matrix from coordinates adds up what stands at the same place.
    counts_TV = csr_array((np.ones(len(text_N)), (text_N, column_N)), shape=(len(texts), found))
    counts_TV.sum_duplicates()
    return NGrams(counts_TV, np.concatenate(orders), words_T)


def entry_rows(matrix_MV: "csr_array") -> Ints:
    """Row of each entry of a sparse matrix, in the order of its data."""
    return np.repeat(np.arange(matrix_MV.shape[0]), np.diff(matrix_MV.indptr))


def flatten(references: Sequence[Sequence[str]]) -> tuple[list[str], Ints]:
    """All references in one list, and the item of each."""
    sizes = np.fromiter(map(len, references), dtype=np.int64, count=len(references))
    return list(chain.from_iterable(references)), np.repeat(np.arange(len(references)), sizes)


def group_numbers(groups: Sequence[int] | None, items: int) -> tuple[Ints, int]:
    """Group of each item from 0, and how many groups there are; one group where none are given."""
    if groups is None:
        return np.zeros(items, dtype=np.int64), 1
    group_N = np.asarray(groups, dtype=np.int64).reshape(items)
    return group_N, int(group_N.max(initial=-1)) + 1


def distinct(values_N: Ints) -> Ints:
    """Distinct values in ascending order; `np.unique` has a table of hashes, slow on keys of two parts."""
    ordered_N = np.sort(values_N)
    first_N = np.ones(len(ordered_N), dtype=bool)
    first_N[1:] = ordered_N[1:] != ordered_N[:-1]
    return ordered_N[first_N]
