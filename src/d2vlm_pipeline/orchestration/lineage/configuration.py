"""The configuration of a run as one file: resolved, without passwords, by paths that other machines know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from d2vlm_pipeline.tracking.redact import redacted

KINDS = ("globals", "parameters", "catalog", "mlflow")
"""What configuration.yaml holds beside the environment's name; credentials are none of it, and never read."""


def configuration_text(config: Mapping[str, Mapping[str, Any]], env: str, root: Path) -> str:
    """YAML of all that the run was configured with, as it was resolved.

    Args:
        config: of the run by kind, with what `--params` gave.
        env: the environment's name.
        root: the project's folder, below which paths are relative.
    """
    import yaml

    kinds = {kind: below(redacted(config[kind]), root) for kind in KINDS}
    # libyaml's own writer, where PyYAML has it: Python's takes ten times as long.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump({"env": env, **kinds}, Dumper=dumper, sort_keys=True, allow_unicode=True)


def below(value: Any, root: Path) -> Any:
    """The same with texts that name a path below the root naming it from there; plain mappings and lists."""
    if isinstance(value, Mapping):
        return {str(name): below(inner, root) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [below(inner, root) for inner in value]
    return value.replace(f"{root.as_posix()}/", "") if isinstance(value, str) else value


def hidden_keys(value: Any, key: str = "") -> list[str]:
    """Dotted keys of values that were logged without their passwords."""
    from d2vlm_pipeline.tracking.redact import HIDDEN

    if isinstance(value, Mapping):
        keys = {name: f"{key}.{name}" if key else str(name) for name in value}
        return [found for name, inner in value.items() for found in hidden_keys(inner, keys[name])]
    if isinstance(value, list):
        return [found for inner in value for found in hidden_keys(inner, key)]
    return [key] if isinstance(value, str) and HIDDEN in value else []
