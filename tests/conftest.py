"""What every run of the tests shares, and says at its end."""

from collections.abc import Iterator

import pytest

# Fixtures of a session that take tens of seconds: Ray, and a whole run.
_COSTLY = ("ray_here", "damaged_run")


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


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Where processes share the tests, those of a file stay together, and those that share a costly start."""
    for item in items:
        costly = [name for name in _COSTLY if name in item.fixturenames]
        shared = costly[0] if costly else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(shared))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many conformance tests ran: a green run that compared nothing must not look like one that did."""
    counts = {
        outcome: sum("/conformance/" in report.nodeid for report in terminalreporter.stats.get(outcome, []))
        for outcome in ("passed", "failed", "skipped")
    }
    if any(counts.values()):
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        terminalreporter.write_line(f"conformance with recorded numbers: {said}")
