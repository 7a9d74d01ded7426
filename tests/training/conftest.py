"""Property tests do not fail because the machine is busy; training here keeps to one thread."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    """A phase sets the number of threads of the whole process: give the other tests theirs back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
