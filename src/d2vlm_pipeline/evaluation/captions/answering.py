"""A program that answers lines with lines, kept at arm's length: it may hang, die or be slow to start."""

import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

_STOP_S = 5.0


class NoAnswerError(Exception):
    """The program did not start, ended, kept silent or said something else; the message says which."""


class AnsweringProgram:
    """A child process that answers lines in order.

    Raises:
        NoAnswerError: it does not start.

    Questions and answers travel on threads of their own, so that many questions at once cannot fill both
    pipes and leave the two waiting for each other.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        except OSError as error:
            self._errors.close()
            raise NoAnswerError(f"it does not start: {error.strerror}") from None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._asked: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=_write, args=(self._asked, self._process.stdin), daemon=True),
            threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, lines: Sequence[str]) -> None:
        """Send lines, which end here and hold no line end of their own; returns at once."""
        self._asked.put("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))

    def answer(self, timeout_s: float) -> str:
        """The next line.

        Raises:
            NoAnswerError: the program ended, or did not answer in time.
        """
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise NoAnswerError(f"no answer within {timeout_s:g} s") from None
        if line is None:
            self._answers.put(None)
            raise NoAnswerError(f"it ended{self._last_words()}")
        return line.decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """End the program and wait for it: by the end of its input, and by force where it does not heed."""
        self._asked.put(None)
        try:
            self._process.wait(_STOP_S if self._process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()
        self._errors.close()

    def kill(self) -> None:
        """End the program at once."""
        self._process.kill()
        self.stop()

    def _last_words(self) -> str:
        self._process.wait(_STOP_S)
        self._errors.seek(0)
        said = self._errors.read()[-4096:].decode("utf-8", "replace").strip().splitlines()
        return f" with code {self._process.returncode}" + (f", saying: {said[-1].strip()}" if said else "")


def _write(asked: "queue.SimpleQueue[bytes | None]", pipe: IO[bytes]) -> None:
    # A program that ended reads no more; whoever waits for its answer is told so.
    with suppress(OSError), pipe:
        while (lines := asked.get()) is not None:
            pipe.write(lines)
            pipe.flush()


def _read(pipe: IO[bytes], answers: "queue.SimpleQueue[bytes | None]") -> None:
    with pipe:
        for line in pipe:
            answers.put(line)
    answers.put(None)
