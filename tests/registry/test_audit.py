"""The audit log: one chain, whoever appends, and nothing in it changes unnoticed."""

import json
import os
import subprocess
import sys
import threading

import pytest

from d2vlm_pipeline.artifacts import UserError, canonical_json
from d2vlm_pipeline.registry.audit import (
    LONGEST_REASON,
    AuditEntry,
    AuditLog,
    append_entry,
    chained,
    close_entries,
    next_place,
    read_audit,
    read_log,
    shortened,
)
from d2vlm_pipeline.registry.keys import KEY_VARIABLE, Keyring, SigningKey, signing_key
from d2vlm_pipeline.registry.ledger import FIRST_CELL, Ledger, experiment_name, find_ledger, open_ledger
from d2vlm_pipeline.registry.lock import promotion_lock
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client


@pytest.fixture
def key() -> SigningKey:
    return signing_key(Keyring())


@pytest.fixture
def ledger(tracking) -> Ledger:
    return open_ledger(tracking_client(tracking), tracking)


def entry(log: AuditLog, version: str = "1", **changes) -> AuditEntry:
    number, previous = next_place(log)
    record = {
        "number": number,
        "previous": previous,
        "at": "2026-01-01T00:00:00+00:00",
        "who": "me@here",
        "action": "promote",
        "model": "d2vlm",
        "alias": "champion",
        "version": version,
        "previous_version": None,
        "digest": "d" * 64,
        "system": "fpo",
        "run_id": "0" * 32,
        "evidence": "e" * 64,
        "reason": "all gates passed",
    }
    return AuditEntry.model_validate(record | changes)


def filled(ledger: Ledger, key: SigningKey, versions: int) -> AuditLog:
    log = AuditLog()
    for version in range(1, versions + 1):
        log = append_entry(ledger, log, entry(log, str(version)), key) or pytest.fail("nobody else appends")
    return log


def test_what_was_appended_is_read_again(tracking, ledger, key):
    log = filled(ledger, key, 3)
    assert read_log(ledger, {key.public}) == log
    assert [found.version for found in read_audit(tracking)] == ["1", "2", "3"]
    assert log.unfinished == (1, 2, 3)
    assert read_log(ledger, {key.public}).head == log.head
    close_entries(ledger, log)
    assert read_log(ledger, {key.public}).unfinished == ()


def test_of_two_that_have_read_the_same_log_one_appends(ledger, key):
    log = filled(ledger, key, 1)
    assert append_entry(ledger, log, entry(log, "2"), key) is not None
    assert append_entry(ledger, log, entry(log, "3"), key) is None
    assert [found.version for found in read_log(ledger, {key.public}).entries] == ["1", "2"]


def test_of_many_that_append_at_once_one_wins_each_place(tracking, ledger, key):
    """Every thread appends at the place it read last until it has appended once."""
    turns = threading.Barrier(3)
    lost: list[str] = []

    def appended(version: str) -> None:
        turns.wait()
        own = Ledger(tracking_client(tracking), ledger.run_id)
        while append_entry(own, log := read_log(own, {key.public}), entry(log, version), key) is None:
            lost.append(version)

    threads = [threading.Thread(target=appended, args=[str(version)]) for version in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_log(ledger, {key.public}).entries
    assert sorted(one.version for one in found) == ["1", "2", "3"]
    assert [one.number for one in found] == [1, 2, 3]


def test_mlflow_itself_refuses_another_value(ledger, key):
    filled(ledger, key, 1)
    assert not ledger.write("entry-000001", "other")
    assert ledger.write("entry-000001", ledger.cells()["entry-000001"])


def test_a_reason_of_any_length_fits_on_one_line_into_a_cell(ledger, key):
    reason = shortened('a "long"\nreason, ' * 500)
    assert len(reason) == LONGEST_REASON and "\n" not in reason and reason.endswith("…")
    log = AuditLog()
    assert append_entry(ledger, log, entry(log, reason=reason), key) is not None
    assert read_log(ledger, {key.public}).entries[0].reason == reason


def altered(cells: dict[str, str], name: str, **changes) -> dict[str, str]:
    record = json.loads(cells[name])
    record["entry"] |= changes
    return {**cells, name: canonical_json(record)}


def test_a_changed_entry_is_named(ledger, key):
    filled(ledger, key, 3)
    cells = ledger.cells()
    assert len(chained(cells, {key.public}).entries) == 3
    with pytest.raises(UserError, match=r"audit log, entry 2: changed after key \w{16} had signed it"):
        chained(altered(cells, "entry-000002", version="9"), {key.public})
    with pytest.raises(UserError, match=r"entry 2: does not follow"):
        chained({**cells, "entry-000002": cells["entry-000002"] + " "}, {key.public})
    with pytest.raises(UserError, match=r"entry 1: .*bring the tracking store back"):
        chained({**cells, "entry-000001": "{"}, {key.public})


def test_a_missing_entry_is_named(ledger, key):
    filled(ledger, key, 3)
    cells = ledger.cells()
    del cells["entry-000002"]
    with pytest.raises(UserError, match="entry 2: missing; bring the tracking store back from a backup"):
        chained(cells, {key.public})


def test_entries_cannot_change_places_or_be_taken_out_of_the_middle(ledger, key):
    filled(ledger, key, 3)
    cells = ledger.cells()
    swapped = {**cells, "entry-000001": cells["entry-000002"], "entry-000002": cells["entry-000001"]}
    with pytest.raises(UserError, match="entry 1: does not follow"):
        chained(swapped, {key.public})
    with pytest.raises(UserError, match="entry 2: does not follow"):
        chained(
            {name: cells[name] for name in ("entry-000001",)} | {"entry-000002": cells["entry-000003"]},
            {key.public},
        )


def test_an_entry_by_a_foreign_key_is_refused(ledger, key, tmp_path):
    log = filled(ledger, key, 1)
    foreign = signing_key(Keyring(key_file=tmp_path / "foreign.pem"), {})
    append_entry(ledger, log, entry(log, "2"), foreign)
    with pytest.raises(UserError, match="audit log, entry 2: signed by the foreign key"):
        read_log(ledger, {key.public})
    assert len(read_log(ledger, {key.public, foreign.public}).entries) == 2


def test_reading_a_log_that_is_not_there_makes_nothing(tracking, tmp_path):
    assert read_audit(tracking) == []
    assert tracking_client(tracking).get_experiment_by_name(experiment_name(tracking)) is None
    absent = TrackingConfig(tracking_uri=f"sqlite:///{tmp_path}/none/mlflow.db", artifact_root=str(tmp_path))
    assert read_audit(absent) == []
    assert not (tmp_path / "none").exists()


def test_a_deleted_log_is_missed(tracking, ledger, key):
    filled(ledger, key, 1)
    tracking_client(tracking).delete_run(ledger.run_id)
    with pytest.raises(
        UserError, match=f"the audit log was deleted; `mlflow runs restore --run-id {ledger.run_id}`"
    ):
        read_audit(tracking)


# --- which run is the log ---


def test_the_log_is_made_once(tracking, key):
    client = tracking_client(tracking)
    assert find_ledger(client, tracking) is None
    first = open_ledger(client, tracking)
    assert open_ledger(client, tracking) == first
    filled(first, key, 1)
    assert find_ledger(client, tracking) == first


def test_machines_that_make_a_log_at_once_agree_on_one(tracking, ledger, key):
    """A second run appears between the first one's making and its first entry, as another machine would."""
    client = tracking_client(tracking)
    experiment = client.get_run(ledger.run_id).info.experiment_id
    others = [client.create_run(experiment).info.run_id for _ in range(3)]
    chosen = open_ledger(client, tracking)
    assert chosen.run_id == min([ledger.run_id, *others])
    for run_id in {ledger.run_id, *others} - {chosen.run_id}:
        late = Ledger(client, run_id)
        assert append_entry(late, AuditLog(), entry(AuditLog()), key) is None
    filled(chosen, key, 1)
    assert find_ledger(client, tracking) == chosen == open_ledger(client, tracking)


def test_an_entry_that_was_quicker_makes_its_run_the_log(tracking, ledger, key):
    client = tracking_client(tracking)
    experiment = client.get_run(ledger.run_id).info.experiment_id
    filled(ledger, key, 1)
    for _ in range(3):
        client.create_run(experiment)
    assert open_ledger(client, tracking).run_id == ledger.run_id


def test_two_logs_are_refused(tracking, ledger, key):
    client = tracking_client(tracking)
    other = Ledger(client, client.create_run(client.get_run(ledger.run_id).info.experiment_id).info.run_id)
    filled(ledger, key, 1)
    assert other.write(FIRST_CELL, ledger.cells()[FIRST_CELL])
    with pytest.raises(UserError, match="2 runs hold an audit log"):
        read_audit(tracking)


# --- the lock ---


def test_a_second_promotion_waits_and_then_gives_up(tracking):
    with (
        promotion_lock(tracking),
        pytest.raises(UserError, match=f"held by process {os.getpid()}"),
        promotion_lock(tracking, wait_s=0.05),
    ):
        pytest.fail("two promotions at once")
    with promotion_lock(tracking, wait_s=0.05):
        pass


TAKE_LOCK_AND_DIE = """
import os, sys
from d2vlm_pipeline.registry.lock import promotion_lock
from d2vlm_pipeline.tracking import TrackingConfig
with promotion_lock(TrackingConfig(tracking_uri=sys.argv[1], artifact_root="unused")):
    os._exit(9)
"""


def test_a_killed_promotion_does_not_block_the_next(tracking):
    command = [sys.executable, "-c", TAKE_LOCK_AND_DIE, tracking.tracking_uri]
    assert subprocess.run(command, check=False).returncode == 9
    with promotion_lock(tracking, wait_s=0.05):
        pass


def test_the_key_of_these_tests_is_no_file_of_the_project(key):
    assert "conf/local" not in os.environ[KEY_VARIABLE]
