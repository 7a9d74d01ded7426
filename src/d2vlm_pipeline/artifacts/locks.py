"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from d2vlm_pipeline.artifacts.errors import UserError


@contextmanager
def locked(file: Path, taken: str) -> Iterator[None]:
    """Hold a lock file inside the block; the lock goes with the process, however that ends.

    Raises:
        UserError: another process holds it; says what is `taken`.
    """
    with file.open("wb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{taken}; wait until it ends") from None
        yield
