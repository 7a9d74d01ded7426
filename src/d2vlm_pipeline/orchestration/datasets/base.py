"""What every persisted dataset shares: nothing half-written is loaded, errors are one line with a mend."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from d2vlm_pipeline.artifacts import DiskError, UserError, is_complete, verify

WITHOUT_OPTIONAL = "without_optional"
"""Tag of nodes that run where an optional input is not there."""

FOLLOWS_CHAMPION = "follows_champion"
"""Tag of nodes that read or move the champion's alias, whose state is in no dataset."""


class DatasetUserError(UserError, DatasetError):
    """A UserError that Kedro passes on as it is, instead of wrapping it in a report of its own."""


class LeaveAsIs:
    """What a node returns in place of an output that this run does not make: what lies there stays."""


class NothingDone(LeaveAsIs):
    """The same of a node that only looked: it leaves no record either, so that it has still to be done."""


class PersistedDataset(AbstractDataset[Any, Any]):
    """A file or directory that is complete, with the digest it was written with, or does not exist.

    Subclasses write in `_write` through `artifacts.atomic_file` or `artifacts.atomic_directory` and read in
    `_read`, which is only called on what has been verified.
    """

    def __init__(
        self,
        *,
        filepath: str,
        raw: bool = False,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Remember the place.

        Args:
            filepath: Local path; Kedro makes it absolute.
            raw: People may bring or change this data: it is there as soon as its path is, no digest is asked
                for, its reader takes it for hostile, and what people brought is never written over.
            optional: Not every run makes it: where nothing lies, it loads as None. A node that can do without
                has the tag `WITHOUT_OPTIONAL`; any other is refused before the run starts.
            metadata: `made_by` names the pipeline that writes this dataset; other keys are for plugins.
        """
        self._path = Path(filepath)
        self._raw = raw
        self.optional = optional
        self.metadata = metadata or {}

    @property
    def path(self) -> Path:
        """The file or directory this dataset is."""
        return self._path

    @property
    def raw(self) -> bool:
        """Whether people may bring or change this data."""
        return self._raw

    @property
    def links(self) -> str | None:
        """Dotted path of what finds files elsewhere that belong to the data; None where all of it is here."""
        return None

    @property
    def made_by(self) -> str | None:
        """Pipeline that writes this dataset; None where nothing in the project does."""
        return self.metadata.get("made_by")

    def load(self) -> Any:
        """Verify the completion marker and the content's digest, then read.

        Raises:
            DatasetUserError: missing, incomplete, changed or malformed; names the path and the mend.
        """
        if self.optional and not self._path.exists():
            return None
        try:
            self._require_complete()
            return self._read()
        except UserError as error:
            raise _passed_on(error) from error

    def save(self, data: Any) -> None:
        """Write beside the place, then put in place; an interrupted save leaves the old content or none.

        Of `LeaveAsIs` nothing is written.

        Raises:
            DatasetUserError: what produced or wrote the data raised a UserError, the disk refused it, or
                other people's data is in the way.
        """
        if isinstance(data, LeaveAsIs):
            return
        try:
            if self._raw and self._path.exists():
                self._require_own()
            self._write(data)
        except DiskError as error:
            raise DatasetUserError(str(error).replace(str(self._path), short_path(self._path))) from error
        except UserError as error:
            raise _passed_on(error) from error

    def missing(self) -> dict[str, str]:
        """What is shown of it where there is nothing to show: what makes it."""
        return {"missing": run_command(self.made_by) if self.made_by else "no pipeline makes it"}

    def _exists(self) -> bool:
        return self._path.exists() if self._raw else is_complete(self._path)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path.as_posix(), "raw": self._raw, "made_by": self.made_by}

    def _require_complete(self) -> None:
        if not self._path.exists():
            mend = f"run {run_command(self.made_by)} first" if self.made_by else "provide it"
            raise UserError(f"{short_path(self._path)} is missing: {mend}")
        if self._raw:
            return
        try:
            verify(self._path)
        except UserError as error:
            mend = f": {run_command(self.made_by)}" if self.made_by else ""
            raise UserError(f"{error}{mend}".replace(str(self._path), short_path(self._path))) from error

    def _require_own(self) -> None:
        try:
            verify(self._path)
        except UserError as error:
            place = short_path(self._path)
            raise UserError(
                f"{place} was brought here or changed by hand and is not written over: "
                "move it away, or start the run after the node that makes it (`--from-nodes`)"
            ) from error

    @abstractmethod
    def _read(self) -> Any: ...

    @abstractmethod
    def _write(self, data: Any) -> None: ...


def run_command(*pipelines: str) -> str:
    """The command that makes what is missing, as a message quotes it."""
    return f"`kedro run --pipelines {','.join(pipelines)}`"


def short_path(path: Path) -> str:
    """`path` as seen from the working directory where it lies below it, else whole."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_posix()


def _passed_on(error: UserError) -> DatasetUserError:
    return error if isinstance(error, DatasetUserError) else DatasetUserError(str(error))
