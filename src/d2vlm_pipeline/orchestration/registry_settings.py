"""The registry's settings of an environment, and where its keys lie."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from d2vlm_pipeline.artifacts import UserError, validation_reason

if TYPE_CHECKING:
    from d2vlm_pipeline.registry.config import RegistryConfig
    from d2vlm_pipeline.registry.keys import Keyring

_OWN = "conf/local/registry.yml"


def registry_config(
    root: Path, env: str | None = None, parameters: Mapping[str, Any] | None = None
) -> RegistryConfig:
    """Settings of an environment.

    Args:
        root: the project's folder.
        env: the environment.
        parameters: the environment's, where they were read already.

    Raises:
        UserError: a key is unknown, or a value refused.
    """
    from d2vlm_pipeline.orchestration.checks import typed_parameter
    from d2vlm_pipeline.registry.config import RegistryConfig

    if parameters is not None:
        with suppress(ValidationError):  # which file it is in is asked below
            return RegistryConfig.model_validate(parameters["registry"])
    return typed_parameter(root / "conf", env, "registry", RegistryConfig)


def keyring_of(config: RegistryConfig, root: Path) -> Keyring:
    """Where keys of a project are; whom conf/local trusts is trusted in every environment.

    Raises:
        UserError: conf/local/registry.yml is malformed.
    """
    from d2vlm_pipeline.registry.keys import Keyring

    trusted = dict.fromkeys((*config.trusted_keys, *_trusted_here(root)))
    return Keyring(key_file=root / config.signing_key, trusted=tuple(trusted))


def project_keyring(root: Path, env: str | None = None) -> Keyring:
    """Keys of an environment; errors of `registry_config` and `keyring_of`."""
    return keyring_of(registry_config(root, env), root)


def _trusted_here(root: Path) -> tuple[str, ...]:
    import yaml

    from d2vlm_pipeline.registry.config import RegistryConfig

    path = root / _OWN
    if not path.is_file():
        return ()
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return RegistryConfig.model_validate(record["registry"]).trusted_keys if record else ()
    except yaml.YAMLError as error:
        raise UserError(f"{_OWN}: not YAML ({' '.join(str(error).split())}); mend the file") from None
    except (KeyError, TypeError):
        raise UserError(f"{_OWN}: settings stand below `registry:`; mend the file") from None
    except ValidationError as error:
        raise UserError(f"{_OWN}: registry.{validation_reason(error)}; mend the value") from None
