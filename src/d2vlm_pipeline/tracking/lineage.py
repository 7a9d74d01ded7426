"""The lineage of a run: all that it was made from, as one record that is logged with it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from d2vlm_pipeline.artifacts import StrictModel, UserError, canonical_json, validation_reason
from d2vlm_pipeline.tracking.client import tracking_client
from d2vlm_pipeline.tracking.config import TrackingConfig
from d2vlm_pipeline.tracking.git_state import GitState
from d2vlm_pipeline.tracking.machine import Machine
from d2vlm_pipeline.tracking.redact import redacted_text

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FOLDER = "lineage"
RECORD = f"{FOLDER}/lineage.json"
PATCH = f"{FOLDER}/tree.patch"
CONFIGURATION = f"{FOLDER}/configuration.yaml"
TAG = "lineage."

_SHOWN_DIGITS = 16


class Identity(StrictModel):
    """Of a part that computes: which one is configured, and which weights were found.

    Attributes:
        configuration: digest of its settings.
        content: digest of its weights; None where the run has not had them in its hands.
    """

    configuration: str | None = None
    content: str | None = None


class DataDigest(StrictModel):
    """A dataset, or a file that a parameter names.

    Attributes:
        path: below the project where it lies there, else whole.
        digest: of names and content; None where nothing whole lies there.
        node: that made it; None of what the run has not made.
    """

    path: str
    digest: str | None
    node: str | None = None


class NodesRun(StrictModel):
    """Nodes by what became of them, in the order of the pipeline.

    Attributes:
        run: those that have ended.
        not_run: those that were to run and have not ended, in a run that has.
        skipped: those that were asked for and were up to date.
        outside: those of `run` that read or move the champion's alias, which lies in no dataset.
    """

    run: list[str] = Field(default_factory=list)
    not_run: list[str] = Field(default_factory=list)
    skipped: list[str] = Field(default_factory=list)
    outside: list[str] = Field(default_factory=list)


class Lineage(StrictModel):
    """What a run was made from, and what it has made. Digests are SHA-256 in hex.

    Attributes:
        outcome: of the run; `running` until its end has been logged.
        lock: of requirements.lock; None where there is none.
        configuration: of the file configuration.yaml that is logged beside this record.
        metric_code: of the code that scores.
        world: of the demo world's settings; None where the run reads other footage.
        encoder: of frames.
        backbone: what the language model starts from.
        packages: version of every installed package.
        inputs: what the run has read and no node of it makes, by name, as it was when the run began.
        files: what parameters name, by key.
        outputs: what the run has saved, by name.
    """

    form: Literal[1] = Field(default=1, alias="schema")
    outcome: Literal["running", "finished", "failed"] = "running"
    git: GitState
    lock: str | None
    configuration: str
    env: str
    pipelines: list[str]
    runner: str
    seed: int | None
    metric_code: str
    world: str | None
    encoder: Identity
    backbone: Identity
    machine: Machine
    packages: dict[str, str]
    nodes: NodesRun
    inputs: dict[str, DataDigest] = Field(default_factory=dict)
    files: dict[str, DataDigest] = Field(default_factory=dict)
    outputs: dict[str, DataDigest] = Field(default_factory=dict)

    def text(self) -> str:
        """Canonical JSON, a line."""
        return canonical_json(self.model_dump(mode="json", by_alias=True)) + "\n"

    def tags(self) -> dict[str, str]:
        """What runs are searched by; digests are shortened, and what is not known is left out."""
        git = self.git
        patch = "clean" if git.is_clean else git.patch
        said = {
            "outcome": self.outcome,
            "commit": git.commit,
            "branch": git.branch,
            "patch": _short(patch),
            "lock": _short(self.lock),
            "configuration": _short(self.configuration),
            "env": self.env,
            "pipelines": ",".join(self.pipelines),
            "seed": None if self.seed is None else str(self.seed),
            "metric_code": _short(self.metric_code),
            "world": _short(self.world),
            "encoder": _short(self.encoder.content or self.encoder.configuration),
            "backbone": _short(self.backbone.content or self.backbone.configuration),
        }
        return {f"{TAG}{name}": value for name, value in said.items() if value is not None}


def log_lineage(tracking: TrackingConfig, run_id: str, lineage: Lineage) -> None:
    """Log the record and its tags to a run; what was logged of it before is replaced."""
    from mlflow.entities import RunTag

    client = tracking_client(tracking)
    client.log_text(run_id, lineage.text(), RECORD)
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in lineage.tags().items()])


def log_begun(
    tracking: TrackingConfig, run_id: str, lineage: Lineage, configuration: str, patch: bytes
) -> None:
    """Log a run that starts: the record, its configuration, and the patch where there is one."""
    log_lineage(tracking, run_id, lineage)
    client = tracking_client(tracking)
    client.log_text(run_id, configuration, CONFIGURATION)
    if patch:
        with TemporaryDirectory() as aside:  # bytes: a patch of binary files is no text
            file = Path(aside) / PATCH.rpartition("/")[2]
            file.write_bytes(patch)
            client.log_artifact(run_id, str(file), FOLDER)


def read_lineage(tracking: TrackingConfig, run_id: str) -> dict[str, Any] | None:
    """The record of a run as it was logged; None where the run carries none.

    Raises:
        UserError: the store has no such run, or the record is no JSON.
    """
    text = read_logged(tracking, run_id, RECORD)
    if text is None:
        return None
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise UserError(f"run {run_id}: {RECORD} is damaged ({error}); bring the artifact back") from None
    return found


def find_lineage(tracking: TrackingConfig, run_id: str) -> Lineage | None:
    """The same, typed.

    Raises:
        UserError: as `read_lineage`, or the record is of another version.
    """
    found = read_lineage(tracking, run_id)
    try:
        return None if found is None else Lineage.model_validate(found)
    except ValidationError as error:
        reason = validation_reason(error)
        raise UserError(f"run {run_id}: {RECORD} is of another version ({reason})") from None


def read_logged(tracking: TrackingConfig, run_id: str, artifact: str) -> bytes | None:
    """An artifact of a run; None where the run has none of that path.

    Raises:
        UserError: the store has no such run.
    """
    client = tracking_client(tracking)
    _require_run(client, tracking, run_id)
    folder = artifact.rpartition("/")[0]
    if all(found.path != artifact for found in client.list_artifacts(run_id, folder or None)):
        return None
    with TemporaryDirectory() as scratch:
        return Path(client.download_artifacts(run_id, artifact, scratch)).read_bytes()


def _require_run(client: MlflowClient, tracking: TrackingConfig, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        store = redacted_text(tracking.tracking_uri)
        raise UserError(f"{store}: no run {run_id}; `mlflow ui` lists the runs") from None


def _short(digest: str | None) -> str | None:
    return None if digest is None else digest[:_SHOWN_DIGITS]
