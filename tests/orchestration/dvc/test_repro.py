"""DVC itself on the project in miniature: reproduce, experiment, share, and again in a fresh clone."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.conftest import project_files
from orchestration.dvc.repository import ROOT, Repository

pytestmark = pytest.mark.slow

NOTHING = "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path) -> Repository:
    """The project in miniature with its code, run by DVC and committed."""
    root = tmp_path_factory.mktemp("repository")
    project_files(root, _empty_store)
    tests = ROOT / "tests" / "orchestration"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(tests / "tiny", root / "src" / "orchestration" / "tiny", ignore=ignored)
    shutil.copy(tests / "things.py", root / "src" / "orchestration")
    repository = Repository(root, (root / "src",))
    repository.begin()
    repository.kedro("dvc", "sync")
    repository.dvc("repro")
    repository.commit()
    return repository


def model(repository: Repository, name: str = "sft") -> set[str]:
    folder = repository.root / "data" / "06_models" / name
    return {path.read_text().strip() for path in folder.glob("*.txt")}


@pytest.mark.ci_sample
def test_a_second_time_there_is_nothing_to_do(made: Repository) -> None:
    assert model(made) == {"10*0", "10*1", "10*2"}
    done = made.dvc("repro")
    assert NOTHING in done and "Running stage" not in done
    assert made.git("status", "--short") == "", "no data, no .gitignore of DVC's own"
    assert {path.name for path in made.root.iterdir()} == {
        *(".git", ".dvc", ".dvcignore", ".gitignore", "pyproject.toml", "conf", "src", "data", "mlruns"),
        *("dvc.yaml", "dvc.lock", "params.yaml"),
    }


def test_code_makes_its_stages_stale_and_what_conf_local_says_is_refused(made: Repository) -> None:
    assert json.loads(made.dvc("status", "--json")) == {}
    own = made.root / "conf/local/parameters.yml"
    own.write_text("sft: {steps: 12}\n")
    try:
        assert list(json.loads(made.dvc("status", "--json"))) == ["conf"]
        with pytest.raises(AssertionError, match=r"sft\.steps: 10 here, 12 by conf/ and code"):
            made.dvc("repro")
    finally:
        own.unlink()
    nodes = made.root / "src/orchestration/tiny/nodes.py"
    text = nodes.read_text()
    nodes.write_text(f"{text}\n# a word\n")
    try:
        changed = json.loads(made.dvc("status", "--json"))
        assert set(changed) == {"ingestion", "sft", "fpo", "evaluation"}
    finally:
        nodes.write_text(text)


def test_an_experiment_changes_what_it_says_and_what_follows_from_it(made: Repository) -> None:
    clone = made.clone(made.root.parent / "experiments")
    shutil.copytree(made.root / ".dvc" / "cache", clone.root / ".dvc" / "cache")
    clone.dvc("checkout")
    done = clone.dvc("exp", "run", "-n", "shorter", "-S", "sft.steps=3", "-S", "sft.optimiser.rate=1e-05")
    assert "Running stage 'sft'" in done and "Running stage 'ingestion'" not in done
    assert model(clone) == {"3*0", "3*1", "3*2"}
    (table,) = json.loads(clone.dvc("exp", "show", "--json"))[1:]
    (experiment,) = table["experiments"]
    (revision,) = experiment["revs"]
    assert revision["name"] == "shorter"
    assert revision["data"]["params"]["params.yaml"]["data"]["sft"] == {
        "steps": 3,
        "optimiser": {"rate": 1e-05},
    }
    clone.git("checkout", "--quiet", ".")
    clone.dvc("checkout")
    assert model(clone) == {"10*0", "10*1", "10*2"}
    assert NOTHING in clone.dvc("repro")


def test_a_fresh_clone_pulls_and_has_nothing_left_to_do(made: Repository, tmp_path: Path) -> None:
    made.dvc("remote", "add", "--default", "--local", "store", str(tmp_path / "store"))
    made.dvc("push")
    fresh = made.clone(tmp_path / "fresh")
    fresh.dvc("remote", "add", "--default", "--local", "store", str(tmp_path / "store"))
    fresh.dvc("pull")
    assert same_data(fresh, made)
    done = fresh.dvc("repro")
    assert NOTHING in done and "Running stage" not in done
    assert fresh.git("status", "--short") == ""


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an S3 of one's own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="d2vlm")
    yield address
    server.stop()


def test_s3_holds_it_as_well(made: Repository, tmp_path: Path, s3: str) -> None:
    fresh = made.clone(tmp_path / "fresh")
    for repository in (made, fresh):
        repository.dvc("remote", "add", "--local", "cloud", "s3://d2vlm/data")
        repository.dvc("remote", "modify", "--local", "cloud", "endpointurl", s3)
    made.dvc("push", "--remote", "cloud")
    fresh.dvc("pull", "--remote", "cloud")
    assert same_data(fresh, made)
    assert NOTHING in fresh.dvc("status")


def same_data(one: Repository, other: Repository) -> bool:
    """Whether what the stages write is the same, file by file."""
    contents = [
        {
            path.relative_to(repository.root): path.read_bytes()
            for path in (repository.root / "data").rglob("*")
            if path.is_file() and "read.json" not in path.name  # which files were read when: this machine's
        }
        for repository in (one, other)
    ]
    assert contents[0]
    return contents[0] == contents[1]
