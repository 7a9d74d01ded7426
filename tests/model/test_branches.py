"""Attention of branches that lie in one row: its values and its gradients, by definition and numerically."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache

from d2vlm_pipeline.model.branches import ATTENTION, layout_of
from d2vlm_pipeline.model.masks import additive_mask, branch_visible

HEADS, HEAD_SIZE = 4, 3
# Three clips of two, no and one question; a question of one token, and two responses behind another.
CLIP_Q = (0, 0, 2)
VARIANT_Q = ((0, 0, 1, 1, 2), (0,), (0, 1, 1))
VALID_BP = ((True, True, True), (True, False, False), (True, True, False))
LENGTH = sum(map(len, VARIANT_Q))


def padded(rows: tuple[tuple[int, ...], ...], fill: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])


def rows_of_questions(order: list[int]) -> Tensor:
    """Rows of the questions' tokens, in the order in which they lie in the row, [Q, K]."""
    lengths = [len(variants) for variants in VARIANT_Q]
    starts = [sum(lengths[:question]) for question in range(len(lengths))]
    rows = tuple(
        tuple(order[start : start + length]) for start, length in zip(starts, lengths, strict=True)
    )
    return padded(rows, -1)


def attended(query: Tensor, key: Tensor, value: Tensor, *prefix: Tensor, order: list[int]) -> Tensor:
    """What the backbone's attention gives, [S, H, D]."""
    cache = DynamicCache()
    cache.update(*prefix, 0)
    row_QK, valid_BP, clip_Q = rows_of_questions(order), torch.tensor(VALID_BP), torch.tensor(CLIP_Q)
    visible = branch_visible(valid_BP[clip_Q], row_QK >= 0, padded(VARIANT_Q, 0))
    groups = query.shape[1] // key.shape[1]
    module = SimpleNamespace(layer_idx=0, num_key_value_groups=groups, training=False, is_causal=True)
    attend = AttentionInterface()[ATTENTION]
    found, _ = attend(
        cast(nn.Module, module),
        query,
        key,
        value,
        additive_mask(visible, query.dtype),
        branches=layout_of(cache, len(valid_BP), clip_Q, row_QK, LENGTH),
        scaling=HEAD_SIZE**-0.5,
    )
    return cast(Tensor, found)[0]


def one_by_one(query: Tensor, key: Tensor, value: Tensor, *prefix: Tensor, order: list[int]) -> Tensor:
    """The same by definition: every token on its own, softmax over what it may see."""
    repeat = query.shape[1] // key.shape[1]
    key, value, keys, values = (
        part.repeat_interleave(repeat, 1) for part in (key, value, prefix[0], prefix[1])
    )
    found: list[Tensor] = [torch.empty(0)] * LENGTH
    for clip, variants, rows in zip(CLIP_Q, VARIANT_Q, rows_of_questions(order).tolist(), strict=True):
        shown = torch.tensor(VALID_BP[clip])
        for place, variant in enumerate(variants):
            own = [rows[at] for at in range(place + 1) if variants[at] in (0, variant)]
            all_keys = torch.cat([keys[clip][:, shown], key[0][:, own]], dim=1)
            all_values = torch.cat([values[clip][:, shown], value[0][:, own]], dim=1)
            scores = torch.einsum("hd,hld->hl", query[0][:, rows[place]], all_keys) / HEAD_SIZE**0.5
            found[rows[place]] = torch.einsum("hl,hld->hd", scores.softmax(-1), all_values)
    return torch.stack(found)


def given(kv_heads: int) -> tuple[Tensor, ...]:
    """Query, key and value of the row, keys and values of the prefixes, in double precision."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, HEADS, LENGTH), *[(1, kv_heads, LENGTH)] * 2, *[(len(VALID_BP), kv_heads, 3)] * 2]
    return tuple(
        torch.randn(*shape, HEAD_SIZE, dtype=torch.float64, generator=generator).requires_grad_()
        for shape in shapes
    )


ORDERS = [list(range(LENGTH)), [4, 7, 0, 8, 2, 1, 6, 3, 5]]


@pytest.mark.parametrize("order", ORDERS, ids=["in order", "scattered"])
@pytest.mark.parametrize("kv_heads", [HEADS, 2, 1])
def test_every_token_attends_to_its_prefix_and_its_branch(kv_heads: int, order: list[int]) -> None:
    inputs = given(kv_heads)
    found, expected = attended(*inputs, order=order), one_by_one(*inputs, order=order)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    ours = torch.autograd.grad((found * weight).sum(), inputs)
    theirs = torch.autograd.grad((expected * weight).sum(), inputs)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
    assert float(ours[3][1].abs().max()) == 0.0  # of the clip about which nothing is asked


@pytest.mark.parametrize("kv_heads", [HEADS, 2])
def test_gradients_are_those_of_finite_differences(kv_heads: int) -> None:
    assert torch.autograd.gradcheck(lambda *inputs: attended(*inputs, order=ORDERS[1]), given(kv_heads))


@pytest.mark.parametrize("clip_Q", [[0, 0, 0], [0, 0, 1]], ids=["one clip", "two clips"])
def test_questions_of_one_length_are_not_moved(clip_Q: list[int]) -> None:
    clips, questions, length = max(clip_Q) + 1, len(clip_Q), 4
    tokens = questions * length
    row_QK = torch.arange(tokens).view(questions, length)
    shapes = [(1, HEADS, tokens, HEAD_SIZE), (clips, HEADS, 3, HEAD_SIZE)]
    generator = torch.Generator().manual_seed(0)
    row, prefix = (torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes)
    layout = layout_of(DynamicCache(), clips, torch.tensor(clip_Q), row_QK, tokens)
    moved = replace(layout, is_in_place=False)
    assert layout.is_in_place
    found = [part.behind_prefix(prefix, row) for part in (layout, moved)]
    back = [part.together(part.apart(row).transpose(1, 2)) for part in (layout, moved)]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(back[0], back[1])
    torch.testing.assert_close(back[0], row.transpose(1, 2))
    weight = torch.randn_like(found[0])
    ours, theirs = (torch.autograd.grad((part * weight).sum(), (prefix, row)) for part in found)
    torch.testing.assert_close(ours, theirs)


def test_questions_of_several_lengths_are_moved() -> None:
    row_QK = rows_of_questions(ORDERS[0])
    layout = layout_of(DynamicCache(), len(VALID_BP), torch.tensor(CLIP_Q), row_QK, LENGTH)
    assert not layout.is_in_place
