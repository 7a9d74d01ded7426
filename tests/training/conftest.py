"""Property tests do not fail because the machine is busy; training here keeps to one thread."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    """A phase sets threads and determinism of the whole process: give the other tests theirs back."""
    threads, is_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(is_deterministic)
