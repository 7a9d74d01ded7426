"""The one error class that a person, not a developer, is meant to read."""

from collections.abc import Sequence

from pydantic import ValidationError


class UserError(Exception):
    """Something the user can mend: bad input, bad parameter, missing artefact.

    The message is one line that names file, row and mend; the command line prints it and exits with 2.
    """


class Interrupted(UserError):
    """A signal ended the work, and what was done is kept; the message says how to go on.

    A command ends with `exit_code`, as shells report signals.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[str, int]]:
        return type(self), (str(self), self.signal_number)

    @property
    def exit_code(self) -> int:
        return 128 + self.signal_number


def validation_reason(error: ValidationError, place: Sequence[str] | None = None) -> str:
    """First complaint of a Pydantic error as one line: `events.0.end_s: must be finite (got 'x')`.

    ``place`` is where it is, if the error's own word for that is not what people wrote.
    """
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in (first["loc"] if place is None else place))
    what = first["msg"].removeprefix("Value error, ").replace(" at line 1 column ", " at column ")
    # A model-level complaint holds the whole record as its input: too long to be of use in a message.
    is_scalar = isinstance(first["input"], str | int | float | bool)
    got = f" (got {_shortened(first['input'])})" if is_scalar and where else ""
    return " ".join(f"{where + ': ' if where else ''}{what}{got}".split())


def _shortened(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
