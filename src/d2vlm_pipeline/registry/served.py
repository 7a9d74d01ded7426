"""Whom a process trusts that serves a registered model, inside the project or far from it."""

from __future__ import annotations

import shutil
from pathlib import Path

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry.evidence import verify_folder
from d2vlm_pipeline.registry.keys import Keyring, trusted_keys


def check_folder(folder: Path) -> str:
    """Digest of the model in a packed folder, after checking signature and files.

    Trusted are the keys of `D2VLM_TRUSTED_KEYS`, and of the project that the process was started in.

    Raises:
        UserError: nobody trusted signed it, or a file is missing, changed or one too many.
    """
    # Python has just compiled the folder's code, and left the result beside it.
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    digest = verify_folder(folder, trusted_keys(_keyring())).digest
    if digest is None:
        raise UserError(f"{folder}: holds no model; promote one of `kedro run`")
    return digest


def _keyring() -> Keyring:
    from d2vlm_pipeline.orchestration.project import find_project
    from d2vlm_pipeline.orchestration.registry_settings import project_keyring

    try:
        root = find_project()
    except UserError:  # a server of its own
        return Keyring()
    return project_keyring(root)
