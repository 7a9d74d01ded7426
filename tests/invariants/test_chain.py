"""The chain leaves the same bytes whoever calls it, from where, with how many workers and in what order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "src"
CALL = "from invariants.chain import main; main()"
"""Not as a file: workers would import it once more."""


def chain(folder: Path, cwd: Path, *arguments: str, **environment: str) -> dict[str, str]:
    """Digests of all that a run in a process of its own leaves in the folder."""
    cwd.mkdir(parents=True, exist_ok=True)
    given = os.environ | {"PYTHONPATH": f"{SOURCES}{os.pathsep}{TESTS}", "OMP_NUM_THREADS": "1"} | environment
    place = os.path.relpath(folder, cwd)
    done = subprocess.run(
        [sys.executable, "-c", CALL, place, *arguments],
        cwd=cwd,
        env=given,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("plain")
    settings = {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"}
    return chain(folder / "run", folder, "--workers", "1", **settings)


def assert_same(found: dict[str, str], expected: dict[str, str]) -> None:
    assert {name for name in expected if found.get(name) != expected[name]} == set()
    assert found.keys() == expected.keys()


@pytest.mark.slow
@pytest.mark.ci_sample
def test_neither_workers_nor_order_nor_surroundings_show(plain: dict[str, str], tmp_path: Path) -> None:
    wanted = {"clips", "videos", "samples", "pairs", "fpo predictions", "metrics", "sft curve"}
    assert wanted <= plain.keys()
    assert {"features/index.jsonl", "sft/model.safetensors", "fpo/model.safetensors"} <= plain.keys()
    settings = {"LC_ALL": "C.utf8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4711"}
    cwd = tmp_path / "some where" / "else"
    assert_same(chain(tmp_path / "run", cwd, "--workers", "2", "--shuffled", **settings), plain)


@pytest.mark.slow
def test_four_workers_under_another_sky_leave_the_same(plain: dict[str, str], tmp_path: Path) -> None:
    # A locale that is named, whether or not it is there, and hashes drawn anew.
    settings = {"LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns", "PYTHONHASHSEED": "random"}
    assert_same(chain(tmp_path / "run", tmp_path, "--workers", "4", **settings), plain)
