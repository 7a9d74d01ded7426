"""A phase one of whose workers is killed."""

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.training.distributed.launch import Phase
from d2vlm_pipeline.training.host import Host
from d2vlm_pipeline.training.running import Trained


@dataclass(frozen=True)
class Killed:
    """The phase, whose last worker dies, without a chance to tidy up, once a checkpoint is there."""

    phase: Phase
    checkpoint: Path
    mark: Path
    times: int = 1

    def __call__(self, start: ModelBundle, *, host: Host) -> Trained:
        if host.rank == host.workers - 1 and self._deaths() < self.times:
            threading.Thread(target=self._die, daemon=True).start()
        return self.phase(start, host=host)

    def _deaths(self) -> int:
        return len(self.mark.read_text()) if self.mark.exists() else 0

    def _die(self) -> None:
        while not self.checkpoint.is_dir():
            time.sleep(0.001)
        self.mark.write_text("x" * (self._deaths() + 1))
        os.kill(os.getpid(), signal.SIGKILL)
