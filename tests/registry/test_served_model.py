"""`mlflow models serve` answers what docs/registry.md shows, and refuses what is no question."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.registry.example import example_clip, example_row
from d2vlm_pipeline.registry.keys import KEY_VARIABLE, TRUST_VARIABLE, Keyring, signing_key
from d2vlm_pipeline.registry.versions import model_digest, register_model
from d2vlm_pipeline.timeline import Prediction
from d2vlm_pipeline.tracking import TrackingConfig, ensure_experiment, tracking_client
from registry.answering import answering_model
from registry.serving import free_port, served

pytestmark = [pytest.mark.slow, pytest.mark.ci_sample]

PAGE = Path(__file__).parents[2] / "docs/registry.md"


def shown(first: str) -> str:
    """The command of the page that starts so, with the lines that go on with it."""
    found = re.search(rf"^    {re.escape(first)}(?:.*\\\n)*.*$", PAGE.read_text(encoding="utf-8"), re.M)
    assert found, f"{PAGE} shows no {first}"
    return found.group()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a server over a champion in a store, and the folder that it runs in."""
    home = tmp_path_factory.mktemp("served")
    tracking = TrackingConfig(
        tracking_uri=f"sqlite:///{home}/mlflow.db", artifact_root=str(home / "artifacts")
    )
    key = signing_key(Keyring(key_file=home / "key.pem"), {})
    client = tracking_client(tracking)
    run_id = client.create_run(ensure_experiment(client, tracking)).info.run_id
    model = answering_model(home / "tiny")
    version = register_model(client, tracking, run_id, model, model_digest(model), key)
    client.set_registered_model_alias(version.name, "champion", str(version.version))
    (home / "clip.mp4").write_bytes(example_clip())
    port = free_port()
    command = shlex.split(shown("mlflow models serve").replace("5001", str(port)))
    environment = {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}
    environment |= {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_TRACKING_URI": tracking.tracking_uri,
        TRUST_VARIABLE: key.public,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    address = f"http://127.0.0.1:{port}"
    with served(command, f"{address}/ping", home, environment):
        yield address, home


def asked(address: str, row: dict[str, Any]) -> Prediction:
    body = json.dumps({"dataframe_records": [row]}).encode()
    request = urllib.request.Request(
        f"{address}/invocations", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60.0) as answer:
        (prediction,) = json.load(answer)["predictions"]
    return Prediction.model_validate(prediction)


def test_path_and_bytes_of_a_video_get_the_same_answer(server: tuple[str, Path]) -> None:
    address, home = server
    question = example_row()["question"]
    named = asked(address, {"video": str(home / "clip.mp4"), "question": question})
    data = base64.b64encode(example_clip()).decode()
    sent = asked(address, {"video_bytes": data, "question": question})
    assert named.video == str(home / "clip.mp4") and sent.video.startswith("sha256:")
    assert (named.raw, named.evidence, named.model) == (sent.raw, sent.evidence, sent.model)


@pytest.mark.parametrize("first", ["curl", "printf"])
def test_the_commands_that_the_page_shows_are_answered(server: tuple[str, Path], first: str) -> None:
    address, home = server
    command = shown(first).replace("http://127.0.0.1:5001", address)
    done = subprocess.run(["bash", "-c", command], cwd=home, capture_output=True, text=True, check=True)
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert Prediction.model_validate(prediction).model.digest == model_digest(home / "tiny")


def test_a_bad_request_gets_one_clear_sentence_and_the_server_goes_on(server: tuple[str, Path]) -> None:
    address, home = server
    bad = {"video_bytes": base64.b64encode(b"no video").decode(), "question": "When?"}
    for row, said in (
        (bad, "row 1: video_bytes: no video container"),
        ({"video": str(home / "none.mp4"), "question": "When?"}, "row 1: none.mp4: no such file"),
        ({"question": "When?"}, "row 1: give either video"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            asked(address, row)
        assert refused.value.code == 400
        answer = json.load(refused.value)
        assert said in answer["message"] and "Traceback" not in json.dumps(answer)
    assert asked(address, {"video": str(home / "clip.mp4"), "question": "When?"}).question == "When?"
