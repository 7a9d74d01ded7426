"""A journal after a kill: whole entries are found, nothing else is."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.artifacts import UserError, canonical_json, open_journal

ENTRIES = {"a": [{"x": 1.5}, {"x": "ä\n"}], "b": [{"x": None}], "c": [{"x": 3}, {"x": 4}, {"x": 5}]}


def written(path: Path) -> bytes:
    with open_journal(path) as journal:
        for key, records in ENTRIES.items():
            journal.append(key, records)
    return path.read_bytes()


def found(path: Path) -> dict[str, list[str]]:
    with open_journal(path) as journal:
        return {key: journal.read(key) for key in ENTRIES if key in journal}


def as_json(*keys: str) -> dict[str, list[str]]:
    return {key: [canonical_json(record) for record in ENTRIES[key]] for key in keys}


def test_what_was_appended_is_found_by_another_process(tmp_path: Path) -> None:
    written(tmp_path / "deep" / "j.jsonl")
    assert found(tmp_path / "deep" / "j.jsonl") == as_json("a", "b", "c")


@settings(max_examples=25)
@given(share=st.floats(0, 1))
def test_wherever_a_kill_cuts_it_whole_entries_are_found_and_writing_goes_on(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = tmp_path_factory.mktemp("cut") / "j.jsonl"
    whole = written(path)
    path.write_bytes(whole[: int(share * len(whole))])
    kept = found(path)
    assert kept == as_json(*list(ENTRIES)[: len(kept)])
    with open_journal(path) as journal:
        for key in ENTRIES:
            if key not in journal:
                journal.append(key, ENTRIES[key])
    assert found(path) == as_json("a", "b", "c")


@pytest.mark.parametrize(
    "change", [(b"1.5", b"2.5"), (b"{", b"["), (b'"sum":"', b'"sum":"0'), (b"1.5", b"NaN")]
)
def test_a_line_that_was_changed_costs_its_entry_and_is_counted(
    tmp_path: Path, change: tuple[bytes, bytes]
) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(written(path).replace(*change, 1))
    with open_journal(path) as journal:
        assert journal.damaged == 1
        journal.append("a", ENTRIES["a"])
        assert journal.read("a") == as_json("a")["a"]
    assert found(path) == as_json("a", "b", "c")


def test_what_is_no_longer_wanted_goes(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    with open_journal(path) as journal:
        journal.keep(["c", "a", "unknown"])
        assert journal.read("c") == as_json("c")["c"] and "b" not in journal
        journal.append("b", ENTRIES["b"])
        assert journal.read("b") == as_json("b")["b"]
    assert found(path) == as_json("a", "b", "c")
    assert [entry.name for entry in tmp_path.iterdir() if ".tmp" in entry.name] == []


def test_two_runs_do_not_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    taken = r"j\.jsonl: another run is writing here; wait"
    with open_journal(path), pytest.raises(UserError, match=taken), open_journal(path):
        pass
    with open_journal(path):
        pass
