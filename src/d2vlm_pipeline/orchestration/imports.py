"""Objects named by dotted path in the catalog, imported when they are needed and not before."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from kedro.io import DatasetError


def import_object(dotted_path: str) -> Any:
    """Import `package.module.name`.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such name.
    """
    module, _, name = dotted_path.rpartition(".")
    return getattr(import_module(module), name)


def require_module(dotted_path: str) -> None:
    """Check that the module of `package.module.name` is there, without paying for its import.

    Raises:
        DatasetError: it is not: said when the catalog is read, not after an hour of training.
    """
    module = dotted_path.rpartition(".")[0]
    try:
        found = module and find_spec(module)
    except ModuleNotFoundError:  # a package on the way is missing
        found = None
    if not found:
        raise DatasetError(f"no module for '{dotted_path}'; give the dotted path of an importable object")
