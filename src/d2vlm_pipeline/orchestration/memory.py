"""Peak memory of a process and all its children."""

import threading

import psutil


class PeakMemory:
    """Samples the resident memory of the process tree in a thread, from `start` to `stop`.

    Resident pages that processes share count once for each, so the figure errs on the high side. A peak
    shorter than the sampling interval can be missed.
    """

    def __init__(self, interval_s: float = 0.5) -> None:
        """Prepare; nothing runs before `start`."""
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-memory", daemon=True)
        self._peak_bytes = 0

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> int:
        """Take a last sample, end the thread and return the peak in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._peak_bytes

    def _sample(self) -> None:
        process = psutil.Process()
        while True:
            self._peak_bytes = max(self._peak_bytes, _tree_bytes(process))
            if self._stopped.wait(self._interval_s):
                self._peak_bytes = max(self._peak_bytes, _tree_bytes(process))
                return


def _tree_bytes(process: psutil.Process) -> int:
    return sum(_resident_bytes(member) for member in [process, *process.children(recursive=True)])


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:  # it ended between being listed and being asked
        return 0
