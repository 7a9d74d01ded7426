"""A server is asked once, and what is wrong with it is said in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.tracking.server import require_server


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """A server that always answers so; its address, and what it was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization', 'nobody')}")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_answers_is_asked_once_by_whoever_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "word")
    with answering(200) as (address, asked):
        require_server(address)
    assert len(asked) == 1 and asked[0].startswith("/api/2.0/mlflow/experiments/search?max_results=1 Basic ")


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "asks who you are; set MLFLOW_TRACKING_USERNAME"), (403, "does not let you in; ask")],
)
def test_a_refusal_says_what_to_do(status: int, said: str) -> None:
    with answering(status) as (address, asked), pytest.raises(UserError, match=said) as refused:
        require_server(address)
    assert len(asked) == 1 and str(refused.value).startswith(f"{address}: ")


def test_a_server_that_is_not_there_is_not_waited_for() -> None:
    with answering(200) as (address, _):
        pass
    with pytest.raises(UserError, match="does not answer; start it") as refused:
        require_server(address)
    assert "\n" not in str(refused.value)
