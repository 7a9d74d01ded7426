"""Every clip comes up once an epoch, in an order that the seed alone decides."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.model.packing import PackedBatch
from d2vlm_pipeline.training.data import Parts, TrainingClip, batches, windowed_epoch
from model import tiny

lengths_of_clips = st.lists(st.integers(1, 40), max_size=60)


@given(lengths=lengths_of_clips, size=st.integers(1, 5), seed=st.integers(0, 99))
def test_an_epoch_holds_every_item_once(lengths: list[int], size: int, seed: int) -> None:
    portions = windowed_epoch(range(len(lengths)), lengths, size, random.Random(seed))
    assert sorted(itertools.chain.from_iterable(portions)) == list(range(len(lengths)))
    assert all(1 <= len(portion) <= size for portion in portions)
    assert len(portions) == -(-len(lengths) // size)
    again = windowed_epoch(range(len(lengths)), lengths, size, random.Random(seed))
    assert again == portions


def test_portions_hold_items_of_like_length_in_no_order_of_length() -> None:
    rng = random.Random(0)
    lengths = [rng.randrange(1, 100) for _ in range(64)]
    portions = windowed_epoch(range(64), lengths, 4, random.Random(1))
    spread = [max(spans) - min(spans) for spans in ([lengths[at] for at in portion] for portion in portions)]
    assert sum(spread) / len(spread) < 20  # drawn at random, four of them lie some 60 apart
    shortest = [min(lengths[at] for at in portion) for portion in portions]
    assert shortest != sorted(shortest) and shortest != sorted(shortest, reverse=True)


def test_epochs_differ() -> None:
    rng = random.Random(0)
    first, second = (windowed_epoch(range(20), [1] * 20, 2, rng) for _ in range(2))
    assert first != second


def clips(count: int = 5) -> list[TrainingClip]:
    frames = itertools.cycle((8, 5, 12))
    return [
        TrainingClip(
            f"{at}.mp4",
            tiny.prefix(number),
            tiny.features(number, seed=at).numpy(),
            tiny.branches(number),
        )
        for at, number in zip(range(count), frames, strict=False)
    ]


def draw(
    number: int, clips_per_step: int = 2, branches_per_clip: int = 3, seed: int = 0
) -> list[PackedBatch]:
    return [batch for step in steps(number, clips_per_step, branches_per_clip, seed) for batch in step]


def steps(
    number: int, clips_per_step: int, branches_per_clip: int, seed: int, micro_batch: int | None = None
) -> list[list[PackedBatch]]:
    drawn = batches(0, clips(), tiny.tokens().pad, clips_per_step, branches_per_clip, seed, micro_batch)
    return list(itertools.islice(drawn, number))


def same(one: PackedBatch, other: PackedBatch) -> bool:
    """Tensors and all else alike."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def test_the_seed_decides_the_batches() -> None:
    assert all(same(one, other) for one, other in zip(draw(7), draw(7), strict=True))
    assert not all(same(one, other) for one, other in zip(draw(7), draw(7, seed=1), strict=True))


@pytest.mark.parametrize("redrawn", [[], [3], [7, 2]])
def test_what_is_behind_a_step_follows_from_its_number(redrawn: list[int]) -> None:
    """Across epochs, also where their sets differ in length."""
    sets = [clips(count) for count in redrawn]

    def behind(taken: int) -> Iterator[Parts[PackedBatch]]:
        return batches(taken, clips(), tiny.tokens().pad, 2, 3, 0, micro_batch=1, redrawn=sets)

    whole = [list(parts) for parts in itertools.islice(behind(0), 14)]
    for taken in range(12):
        for expected, parts in zip(whole[taken:], itertools.islice(behind(taken), 2), strict=False):
            assert all(same(one, other) for one, other in zip(expected, parts, strict=True))


def test_what_is_not_asked_for_is_not_packed() -> None:
    count = 2
    unreadable = [replace(clip, branches=[None] * 4) for clip in clips()]  # type: ignore[list-item]
    parts = next(batches(7, unreadable, tiny.tokens().pad, count, 3, 0, micro_batch=1))
    assert len(parts) == len(parts[:]) == count
    assert len(parts[1:]) == 1
    with pytest.raises(AttributeError):
        parts[0]


def test_every_clip_is_seen_once_an_epoch() -> None:
    seen = [features[0, 0].tolist() for batch in draw(6) for features in batch.features_BTNC]
    expected = Counter(str(clip.features_TNC[0, 0].tolist()) for clip in clips())
    assert Counter(map(str, seen[:5])) == Counter(map(str, seen[5:])) == expected


def test_a_step_cut_into_passes_holds_the_same_clips_and_branches() -> None:
    whole, cut = steps(6, 3, 2, seed=0), steps(6, 3, 2, seed=0, micro_batch=2)
    assert [len(step) for step in whole] == [1] * 6
    assert {tuple(len(part.features_BTNC) for part in step) for step in cut} == {(2, 1), (2,)}
    for (batch,), passes in zip(whole, cut, strict=True):
        parts = [part.token_id_N for part in passes]
        assert torch.equal(batch.token_id_N, torch.cat(parts))
        frames = [part.frame_valid_BT.sum(1) for part in passes]
        assert torch.equal(batch.frame_valid_BT.sum(1), torch.cat(frames))


@pytest.mark.parametrize(("most", "drawn"), [(1, 1), (3, 3), (6, 6), (50, 6)])
def test_so_many_branches_train_behind_a_prefix(most: int, drawn: int) -> None:
    for batch in draw(3, branches_per_clip=most):
        counts = torch.bincount(batch.branch_clip_R)
        assert counts.tolist() == [drawn] * len(batch.features_BTNC)


def test_which_branches_train_changes_until_all_have() -> None:
    found = Counter(
        tuple(batch.token_id_N[batch.token_branch_N == branch].tolist())
        for batch in draw(60)
        for branch in range(len(batch.branch_clip_R))
    )
    responses = {tuple(branch.responses[0].token_ids) for branch in tiny.branches(8)}
    assert set(found) == responses
    assert max(found.values()) < 3 * min(found.values())


@pytest.mark.parametrize(("micro_batch", "passes"), [(None, 1), (2, 3)])
def test_branches_kept_apart_are_the_same_ones_each_with_a_prefix_of_its_own(
    micro_batch: int | None, passes: int
) -> None:
    drawn = batches(0, clips(4), tiny.tokens().pad, 2, 3, 0, micro_batch, apart=True)
    shared = batches(0, clips(4), tiny.tokens().pad, 2, 3, 0)
    for step, (one,) in itertools.islice(zip(drawn, shared, strict=False), 4):
        assert len(step) == passes
        for batch in step:
            assert batch.branch_clip_R.tolist() == list(range(len(batch.features_BTNC)))
            batch.questions()
        assert torch.equal(torch.cat([batch.token_id_N for batch in step]), one.token_id_N)
        sums = torch.cat([batch.features_BTNC.sum((1, 2, 3)) for batch in step])
        torch.testing.assert_close(sums, one.features_BTNC.sum((1, 2, 3))[one.branch_clip_R])
        with pytest.raises(ValueError, match="several questions"):
            one.questions()
