"""A headless Chromium that opens one page and tells all that the page did: DevTools protocol over a pipe."""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

INSTALL = Path(__file__).with_name("install_chromium.sh")
_PATIENCE_S = 60.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)


def require_chromium() -> str:
    """Path of the browser, installed where that can be done; otherwise the test is skipped."""
    found = shutil.which("chromium")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([INSTALL], check=False, capture_output=True, timeout=300)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip(f"no chromium on PATH and none could be installed: run {INSTALL} as root")
    return found


class Chromium:
    """One page of one browser.

    Attributes:
        requests: URLs that the page asked for, `data:` left out.
        complaints: what the console showed: messages, uncaught exceptions, violated policies.
    """

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        flags = [*_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # The browser reads commands from descriptor 3 and writes answers to descriptor 4.
        script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *flags],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._count, self._session = b"", 0, ""
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        target = self._command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._command(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._write)
        os.close(self._read)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def requests(self) -> list[str]:
        urls = [
            e["params"]["request"]["url"] for e in self._events if e["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        telling = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self._events if event["method"] in telling]

    def open(self, path: Path, width: int = 1280, height: int = 900) -> None:
        """Load a file and wait until it has loaded."""
        self.resize(width, height)
        self.prefer("light")
        before = self._loads()
        self._command("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + _PATIENCE_S
        while self._loads() == before:
            self._events.append(self._message(deadline))

    def resize(self, width: int, height: int = 900) -> None:
        """Size of the window in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`, as the system of the reader would ask for; without gliding, which takes time."""
        wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wanted.items()]
        self._command("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str) -> None:
        """One key, such as ` ` or `Tab`, as a person presses it."""
        code = {" ": 32, "Tab": 9}[key]
        text = {"text": key} if key == " " else {}
        for kind in ("keyDown", "keyUp"):
            self._command("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def point(self, selector: str, click: bool = True) -> None:
        """Move the pointer to the middle of an element, and click there."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        x, y = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        self._command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self._command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression, awaited where it is a promise."""
        found = self._command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def _loads(self) -> int:
        return sum(event["method"] == "Page.loadEventFired" for event in self._events)

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        asked = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            message = self._message(deadline)
            if message.get("id") == self._count:
                assert "error" not in message, message
                return dict(message["result"])
            self._events.append(message)

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._read, 1 << 16)
            assert piece, "the browser has ended"
            self._buffer += piece
        raw, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(raw))
