"""Seeds depend on names alone."""

from hypothesis import given
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import derive_seed

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
