"""What a run ran on: processor, memory, GPUs, Python and every installed package."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from d2vlm_pipeline.artifacts import StrictModel

_CPUINFO = Path("/proc/cpuinfo")
_SUFFIX = ".dist-info"
_PATIENCE_S = 5.0


class Gpu(StrictModel):
    """One GPU.

    Attributes:
        memory_mb: of the GPU, in MiB.
    """

    name: str
    memory_mb: int
    driver: str


class Machine(StrictModel):
    """Hardware and system of the process that a run is started in.

    Attributes:
        cores: that this process may use.
        memory_mb: of the machine, in MiB.
    """

    system: str
    cpu: str
    cores: int
    memory_mb: int
    gpus: list[Gpu]
    python: str


def this_machine() -> Machine:
    """What this process runs on."""
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        gpus=list(_gpus()),
        python=platform.python_version(),
    )


def installed_packages(folders: Sequence[Path] | None = None) -> dict[str, str]:
    """Version of every installed distribution by its normalised name.

    Names of folders say it; asking each one's metadata would cost a run half a second.

    Args:
        folders: where packages are installed; by default those of this Python.
    """
    paths = sysconfig.get_paths()
    places = folders or [Path(paths[kind]) for kind in ("purelib", "platlib")]
    entries = [entry.name for place in places for entry in sorted(place.iterdir())]
    names = [name for name in entries if name.endswith(_SUFFIX)]
    pairs = [name.removesuffix(_SUFFIX).rpartition("-") for name in sorted(names)]
    return {normalised(name): version for name, _, version in pairs}


def normalised(name: str) -> str:
    """A distribution's name as packages are compared by: `Flask_WTF` is `flask-wtf`."""
    return name.lower().replace("_", "-").replace(".", "-")


def package_differences(wanted: Mapping[str, str], installed: Mapping[str, str]) -> list[str]:
    """Packages that are not installed as wanted, in words; what is installed besides makes no difference."""
    return [
        f"{name} {version} (installed: {installed.get(name, 'not at all')})"
        for name, version in sorted(wanted.items())
        if installed.get(name) != version
    ]


def _cpu_model() -> str:
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


@cache
def _gpus() -> tuple[Gpu, ...]:
    """GPUs as the driver's own tool lists them: torch would take seconds and memory of each."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            [tool, *query], capture_output=True, encoding="utf-8", timeout=_PATIENCE_S, check=True
        )
    except (subprocess.SubprocessError, OSError):  # a driver without a GPU, or one that hangs
        return ()
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    return tuple(
        Gpu(name=name, memory_mb=int(memory), driver=driver)
        for name, memory, driver in rows
        if memory.isdigit()
    )
