"""What a run carries, checked: whole, of one piece, and enough to make the run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from d2vlm_pipeline.artifacts import UserError, digest_bytes
from d2vlm_pipeline.orchestration.lineage.configuration import hidden_keys
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from d2vlm_pipeline.tracking.lineage import CONFIGURATION, PATCH, Lineage, find_lineage, read_logged
from d2vlm_pipeline.tracking.machine import package_differences

_SHOWN = 5


@dataclass(frozen=True)
class Recorded:
    """A run that can be made again.

    Attributes:
        configuration: by kind, resolved.
        patch: of the dirty tree; empty where it was clean.
        scores: last value of every metric of the run.
    """

    run_id: str
    lineage: Lineage
    configuration: Mapping[str, Any]
    patch: bytes
    scores: Mapping[str, float]

    @property
    def nodes(self) -> list[str]:
        """Nodes to run again: what moves the champion's alias is no part of a result."""
        return [name for name in self.lineage.nodes.run if name not in self.lineage.nodes.outside]


def read_recorded(tracking: TrackingConfig, run_id: str) -> Recorded:
    """All that a run carries.

    Raises:
        UserError: the store has no such run, or what it carries is not enough, or not of one piece.
    """
    lineage = find_lineage(tracking, run_id)
    if lineage is None:
        raise UserError(f"run {run_id} carries no lineage; runs of `kedro run` do since it is logged")
    _require_code(run_id, lineage)
    text = _artifact(tracking, run_id, CONFIGURATION, lineage.configuration)
    patch = b"" if lineage.git.patch is None else _artifact(tracking, run_id, PATCH, lineage.git.patch)
    recorded = Recorded(run_id, lineage, yaml.safe_load(text), patch, scores_of(tracking, run_id))
    if hidden := hidden_keys(recorded.configuration["parameters"]):
        raise UserError(
            f"run {run_id}: parameter {hidden[0]} was logged without its password; it cannot be had back"
        )
    if not recorded.nodes:
        raise UserError(_nothing(run_id, lineage))
    return recorded


def scores_of(tracking: TrackingConfig, run_id: str) -> dict[str, float]:
    """Last value of every metric of a run."""
    return dict(tracking_client(tracking).get_run(run_id).data.metrics)


def require_packages(lineage: Lineage, installed: Mapping[str, str], own: str, is_despite: bool) -> list[str]:
    """Packages that are not installed as the run had them, in words.

    Args:
        lineage: of the run.
        installed: version by name.
        own: the project's own package, whose code comes with the commit.
        is_despite: whether to go on all the same.

    Raises:
        UserError: there are some, and nobody has said that they do not matter.
    """
    wanted = {name: version for name, version in lineage.packages.items() if name != own}
    differences = package_differences(wanted, installed)
    if differences and not is_despite:
        shown = ", ".join(differences[:_SHOWN])
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        raise UserError(
            f"the run had other packages: {shown}{more}; install its requirements.lock, or go on with "
            "--despite-lock"
        )
    return differences


def _require_code(run_id: str, lineage: Lineage) -> None:
    git = lineage.git
    if git.commit is None:
        raise UserError(f"run {run_id} names no commit ({git.note}); it cannot be checked out")
    if git.left_out:
        left = git.left_out[0]
        more = f" and {len(git.left_out) - 1} more" if len(git.left_out) > 1 else ""
        raise UserError(
            f"run {run_id}: its patch is without {left.path}{more} ({left.reason}); it cannot be rebuilt"
        )


def _artifact(tracking: TrackingConfig, run_id: str, name: str, digest: str) -> bytes:
    content = read_logged(tracking, run_id, name)
    if content is None:
        raise UserError(f"run {run_id}: its artifact {name} is missing; bring it back")
    if digest_bytes(content) != digest:
        raise UserError(f"run {run_id}: its artifact {name} is not what was logged; bring that back")
    return content


def _nothing(run_id: str, lineage: Lineage) -> str:
    if lineage.nodes.outside:
        return f"run {run_id} has decided on the champion alone; `d2vlm models history` says more of that"
    return f"run {run_id} finished no node ({lineage.outcome}); there is nothing to compare"
