"""Where runs, models and the records of promotion live."""

import re
from pathlib import Path

from pydantic import Field

from d2vlm_pipeline.artifacts import StrictModel, UserError

_SQLITE = "sqlite:///"
_URI = re.compile(r"[a-z][a-z0-9+.\-]+:")


class TrackingConfig(StrictModel):
    """One MLflow store: its database, its artifact root, the names used in it.

    Attributes:
        tracking_uri: `sqlite:///RELATIVE.db`, `sqlite:////ABSOLUTE.db` or the address of a server.
        artifact_root: directory or URI under which the experiment keeps its artifacts; None leaves it to a
            server, which then knows whose they are.
        model_name: the registered model.
        experiment: the experiment that holds the runs.
        state_dir: directory of the promotion lock, the audit log and downloaded models; beside the SQLite
            file where not given, and to be given where `tracking_uri` is a server.
    """

    tracking_uri: str = Field(min_length=1)
    artifact_root: str | None = Field(min_length=1)
    model_name: str = Field(default="d2vlm", min_length=1)
    experiment: str = Field(default="d2vlm", min_length=1)
    state_dir: str | None = None

    @property
    def database(self) -> Path | None:
        """The SQLite file; None where the store is a server."""
        if not self.tracking_uri.startswith(_SQLITE):
            return None
        return Path(self.tracking_uri.removeprefix(_SQLITE))

    @property
    def state_directory(self) -> Path:
        """Directory of lock, audit log and downloaded models.

        Raises:
            UserError: the store is a server and no directory was named.
        """
        if self.state_dir is not None:
            return Path(self.state_dir)
        if self.database is None:
            raise UserError(f"tracking: a server ({self.tracking_uri}) needs a state_dir; name a directory")
        return self.database.parent

    @property
    def artifact_location(self) -> str | None:
        """The artifact root as a URI: MLflow reads a relative path against whoever opens it."""
        if self.artifact_root is None or _URI.match(self.artifact_root):
            return self.artifact_root
        return Path(self.artifact_root).absolute().as_uri()
