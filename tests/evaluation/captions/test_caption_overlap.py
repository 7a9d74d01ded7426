"""CIDEr-D, BLEU and ROUGE-L give what the COCO tools give, item by item."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from d2vlm_pipeline.evaluation.captions import bleu, cider, rouge_l

WORDS = st.sampled_from(["a", "the", "cut", "onion", "pan", "in", "stir", "\u00a0", "1\u00a01/2", "é"])
CAPTION = st.lists(WORDS, max_size=12).map(" ".join)
ITEM = st.tuples(st.lists(CAPTION, min_size=1, max_size=3), CAPTION)
ITEMS = st.lists(st.tuples(ITEM, st.integers(0, 2)), min_size=1, max_size=12)


def by_group(
    score: Callable[[dict[int, list[str]], dict[int, list[str]]], tuple[object, object]],
    items: list[tuple[list[str], str]],
    groups: list[int],
) -> dict[int, tuple[object, object]]:
    scores = {}
    for group in sorted(set(groups)):
        inside = [index for index, of in enumerate(groups) if of == group]
        scores[group] = score({i: items[i][0] for i in inside}, {i: [items[i][1]] for i in inside})
    return scores


@given(ITEMS)
@settings(max_examples=150, deadline=None)
def test_cider_is_that_of_the_coco_tools(drawn: list[tuple[tuple[list[str], str], int]]) -> None:
    items, groups = [item for item, _ in drawn], [group for _, group in drawn]
    # The tools have no value where no reference of a group has a word.
    for group in set(groups):
        items.append((["word"], "word"))
        groups.append(group)
    ours = cider([refs for refs, _ in items], [said for _, said in items], groups)
    for group, (mean, values) in by_group(Cider().compute_score, items, groups).items():
        inside = np.array(groups) == group
        np.testing.assert_allclose(ours[inside], values, atol=1e-9)
        assert ours[inside].mean() == pytest.approx(mean, abs=1e-9)


@given(ITEMS)
@settings(max_examples=150, deadline=None)
def test_bleu_is_that_of_the_coco_tools(drawn: list[tuple[tuple[list[str], str], int]]) -> None:
    items, groups = [item for item, _ in drawn], [group for _, group in drawn]
    ours = bleu([refs for refs, _ in items], [said for _, said in items], groups)
    expected = by_group(lambda gts, res: Bleu(4).compute_score(gts, res, verbose=0), items, groups)
    assert ours.shape == (max(groups) + 1, 4)
    for group in range(len(ours)):
        values = expected[group][0] if group in expected else np.zeros(4)
        np.testing.assert_allclose(ours[group], values, atol=1e-9)


@given(st.lists(ITEM, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_rouge_is_that_of_the_coco_tools(items: list[tuple[list[str], str]]) -> None:
    ours = rouge_l([refs for refs, _ in items], [said for _, said in items])
    expected = [Rouge().calc_score([said], refs) for refs, said in items]
    np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_nothing_to_score_is_no_score() -> None:
    assert cider([], []).shape == (0,)
    assert rouge_l([], []).shape == (0,)
    np.testing.assert_array_equal(bleu([], []), np.zeros((1, 4)))


def test_captions_without_a_word_score_nothing_and_are_no_error() -> None:
    np.testing.assert_array_equal(cider([[""], [""]], ["", "a pan"]), [0.0, 0.0])
    np.testing.assert_allclose(bleu([["", ""]], [""]), np.zeros((1, 4)), atol=1e-3)


def test_groups_are_scored_apart() -> None:
    references, said = [["cut the onion"], ["stir the pan"], ["fry it"]], ["cut an onion", "stir", "fry it"]
    apart = cider(references, said, [1, 1, 0])
    np.testing.assert_allclose(apart[:2], cider(references[:2], said[:2]))
    assert apart[2] == 0.0, "a group of one item has no rare word"


def test_long_texts_are_taken_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    references = [["a b c d " * size] for size in (1, 40, 3, 300)]
    said = ["a d " * 30, "b", "c d " * 100, "d c " * 20]
    whole = rouge_l(references, said)
    monkeypatch.setattr("d2vlm_pipeline.evaluation.captions.subsequence._CELLS", 16)
    np.testing.assert_array_equal(rouge_l(references, said), whole)


def test_documents_of_their_own_leave_figures_to_the_caption() -> None:
    documents = [["cut the onion"], ["stir the pan"], ["fry the fish"]]
    alone = cider([["cut the onion"]], ["cut an onion"], documents=documents)
    twice = cider([["cut the onion"]] * 2, ["cut an onion"] * 2, documents=documents)
    np.testing.assert_allclose(twice, [alone[0]] * 2)
    assert alone[0] > 0, "one item has a figure, because others are documents, too"
    references = [[text] for (text,) in documents]
    said = ["cut", "stir the pan", "fry fish"]
    np.testing.assert_allclose(cider(references, said), cider(references, said, documents=documents))


def test_documents_may_be_of_groups() -> None:
    documents = [["cut the onion"], ["stir the pan"], ["fry the fish"], ["fry the onion"]]
    references, said = [["cut the onion"], ["fry the fish"]], ["cut onion", "fry fish"]
    both = cider(references, said, [0, 1], documents, [0, 0, 1, 1])
    np.testing.assert_allclose(both[:1], cider([["cut the onion"]], ["cut onion"], documents=documents[:2]))
    np.testing.assert_allclose(both[1:], cider([["fry the fish"]], ["fry fish"], documents=documents[2:]))
