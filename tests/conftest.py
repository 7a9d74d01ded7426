"""What every run of the tests shares, and says at its end."""

from collections.abc import Iterator
from typing import Any

import pytest

_ONE_RUN = tuple(f"tests/e2e/test_{name}.py" for name in ("chain", "notebooks", "viz"))


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """Ray, started once for all tests: it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # or a token is written to the home folder
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        ray.init(
            num_cpus=4,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=128 << 20,
        )
        yield
        ray.shutdown()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where processes share the tests, those of a file stay together, and those that look at one whole run.

    Marks of xdist's own groups do nothing under pytest 9.2, which keeps node ids elsewhere.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "one whole run" if file in _ONE_RUN else file

    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many conformance tests ran: a green run that compared nothing must not look like one that did."""
    counts = {
        outcome: sum("/conformance/" in report.nodeid for report in terminalreporter.stats.get(outcome, []))
        for outcome in ("passed", "failed", "skipped")
    }
    if any(counts.values()):
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        terminalreporter.write_line(f"conformance with recorded numbers: {said}")
