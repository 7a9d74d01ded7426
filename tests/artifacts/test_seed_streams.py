"""Seeds depend on names alone."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import derive_seed, seed_process, seed_with_torch, worker_names

NAMES = st.lists(st.integers() | st.text(st.characters(codec="utf-8")), max_size=3)


def test_stream_is_pinned() -> None:
    """Another value would silently change every world, pair and training run."""
    assert derive_seed(0, "world", 7) == 3060861905121879460


@given(st.integers(), NAMES)
def test_seed_fits_the_generators(root: int, names: list[int | str]) -> None:
    assert 0 <= derive_seed(root, *names) < 2**63


@given(st.integers(0, 9), NAMES, st.integers(0, 9), NAMES)
def test_different_streams_differ(
    root: int, names: list[int | str], other: int, others: list[int | str]
) -> None:
    is_same = (root, *names) == (other, *others)
    assert (derive_seed(root, *names) == derive_seed(other, *others)) == is_same


def test_names_do_not_run_together() -> None:
    seeds = {
        derive_seed(1, "a", "b"),
        derive_seed(1, "ab"),
        derive_seed(1, "a,b"),
        derive_seed(1, 1),
        derive_seed(1, "1"),
        derive_seed(11),
    }
    assert len(seeds) == 6


@pytest.fixture
def _generators_put_back():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


@pytest.mark.usefixtures("_generators_put_back")
def test_what_a_process_draws_depends_on_the_name_of_its_work() -> None:
    seed_with_torch(3, "portion", "a")
    first = drawn()
    drawn()
    seed_with_torch(3, "portion", "a")
    assert drawn() == first
    seed_with_torch(3, "portion", "b")
    assert all(one != other for one, other in zip(drawn(), first, strict=True))


@pytest.mark.usefixtures("_generators_put_back")
def test_a_process_without_torch_leaves_it_alone() -> None:
    before = torch.get_rng_state()
    seed_process(3, "portion", "a")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_first_worker_draws_as_a_run_without_workers_and_no_two_draw_alike() -> None:
    seeds = [derive_seed(0, "sft", *worker_names(rank)) for rank in range(4)]
    assert seeds[0] == derive_seed(0, "sft") and len(set(seeds)) == 4
