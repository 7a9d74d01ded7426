"""Two that move the alias at the same time: on one machine, on two, and by hand."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.registry import moving, promote_version, read_audit, resolve_champion, rollback
from d2vlm_pipeline.registry.following import Aliases, aliases_after
from d2vlm_pipeline.registry.steps import Step
from d2vlm_pipeline.timeline import ModelRef, Prediction
from d2vlm_pipeline.tracking import TrackingConfig, tracking_client
from registry.moves import Killed, aliases, answered, go_back, history, killed_at, offer
from registry.records import policy

pytestmark = pytest.mark.usefixtures("light_packing")


def elsewhere(tracking: TrackingConfig, folder: Path) -> TrackingConfig:
    """The same store as another machine sees it: with a lock of its own."""
    return tracking.model_copy(update={"state_dir": str(folder)})


def at_once(*moves: Callable[[], Any]) -> list[Any]:
    """What each returned, or the error that it ended with."""
    results: list[Any] = [None] * len(moves)

    def run(index: int, move: Callable[[], Any]) -> None:
        try:
            results[index] = move()
        except UserError as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(moves)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def together(step: Step, number: int = 2) -> Callable[[Step], None]:
    """All come to a step before any of them takes it."""
    barrier = threading.Barrier(number)

    def watch(now: Step) -> None:
        if now == step:
            barrier.wait(timeout=60)

    return watch


def test_of_two_machines_one_wins_and_the_other_is_told_who(tracking, model_dir, tmp_path):
    offer(tracking, model_dir("first"))
    directories = model_dir("second"), model_dir("third")
    watch = together(Step.APPEND)
    results = at_once(
        lambda: offer(elsewhere(tracking, tmp_path / "a"), directories[0], 55.0, watch),
        lambda: offer(elsewhere(tracking, tmp_path / "b"), directories[1], 56.0, watch),
    )
    lost = [result for result in results if isinstance(result, UserError)]
    (won,) = [result for result in results if not isinstance(result, UserError)]
    assert won.moved and resolve_champion(tracking).version == won.version
    entry = read_audit(tracking)[-1]
    assert [str(error) for error in lost] == [
        f"another was faster: {entry.who} promoted version {won.version} at {entry.at} (entry 2 of the audit "
        "log); start again to be held against that"
    ]
    assert aliases(tracking) == {"champion": won.version, "previous_champion": "1"}


def test_two_machines_that_begin_the_log_at_once(tracking, model_dir, tmp_path):
    directories = model_dir("first"), model_dir("second")
    watch = together(Step.APPEND)
    results = at_once(
        lambda: offer(elsewhere(tracking, tmp_path / "a"), directories[0], 55.0, watch),
        lambda: offer(elsewhere(tracking, tmp_path / "b"), directories[1], 56.0, watch),
    )
    winners = [result for result in results if not isinstance(result, UserError)]
    assert len(winners) <= 1
    # Whoever lost starts again; with both told to, both do.
    for directory, tvg in zip(directories, (55.0, 56.0), strict=True):
        offer(tracking, directory, tvg)
    assert history(tracking)[-1][0] in ("promote", "keep")
    promoted = [version for action, version in history(tracking) if action == "promote"]
    assert aliases(tracking)["champion"] == promoted[-1]
    assert (resolve_champion(tracking).path / "model.safetensors").read_text() == "second"


@pytest.mark.slow
def test_on_one_machine_the_second_waits_and_is_held_against_the_first(tracking, model_dir):
    offer(tracking, model_dir("first"))
    directories = [model_dir(f"next-{number}") for number in range(3)]
    at_once(
        *(
            lambda d=d, t=t: offer(tracking, d, t)
            for d, t in zip(directories, (55.0, 56.0, 57.0), strict=True)
        )
    )
    assert (resolve_champion(tracking).path / "model.safetensors").read_text() == "next-2"
    assert len(history(tracking)) == 4
    champion = [version for action, version in history(tracking) if action == "promote"][-1]
    assert aliases(tracking)["champion"] == champion


def test_a_rollback_that_was_slower_than_a_promotion_is_told(tracking, model_dir, tmp_path):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0)

    def promote_meanwhile(step: Step) -> None:
        if step is Step.APPEND:
            offer(elsewhere(tracking, tmp_path / "b"), model_dir("third"), 60.0)

    with pytest.raises(UserError, match=r"another was faster: .* promoted version 3 .*entry 3"):
        go_back(tracking, watch=promote_meanwhile)
    assert aliases(tracking) == {"champion": "3", "previous_champion": "2"}


@pytest.mark.parametrize("step", [Step.CHAMPION, Step.CLOSE])
def test_a_slow_promotion_does_not_undo_a_later_one(tracking, model_dir, tmp_path, step):
    """Its entry is the older one when its alias is set: it follows the log as it is by then."""
    offer(tracking, model_dir("first"))

    def overtaken(now: Step) -> None:
        if now == step:
            offer(elsewhere(tracking, tmp_path / "b"), model_dir("third"), 60.0)

    offer(tracking, model_dir("second"), 55.0, overtaken)
    assert history(tracking) == [("promote", "1"), ("promote", "2"), ("promote", "3")]
    assert aliases(tracking) == {"champion": "3", "previous_champion": "2"}


def test_a_move_of_another_machine_is_not_taken_for_a_change_by_hand(
    tracking, model_dir, tmp_path, monkeypatch
):
    """It comes between the reading of the log and the reading of the alias."""
    offer(tracking, model_dir("first"))
    read = moving.version_at

    def read_late(*args):
        monkeypatch.setattr(moving, "version_at", read)
        offer(elsewhere(tracking, tmp_path / "b"), model_dir("second"), 55.0)
        return read(*args)

    monkeypatch.setattr(moving, "version_at", read_late)
    outcome = offer(tracking, model_dir("third"), 60.0)
    assert outcome.moved and "60.00 against the champion's 55.00" in outcome.reason


def test_where_the_alias_was_put_by_hand_a_rollback_puts_on_record_or_undoes(tracking, model_dir):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0)
    client = tracking_client(tracking)
    client.set_registered_model_alias("d2vlm", "champion", "1")
    with pytest.raises(UserError, match="is at version 1, and by the audit log at version 2"):
        go_back(tracking)
    go_back(tracking, "1")
    assert history(tracking)[-1] == ("rollback", "1") and aliases(tracking)["champion"] == "1"
    client.set_registered_model_alias("d2vlm", "champion", "2")
    go_back(tracking, "1")
    assert aliases(tracking) == {"champion": "1", "previous_champion": "2"}


# --- what the log says of aliases ---


def test_the_way_back_is_a_way_forth(tracking, model_dir):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0)
    back = go_back(tracking, reason="answers in French")
    assert (back.version, back.previous_version, back.reason) == ("1", "2", "answers in French")
    assert back.answer.answer == "From 1.0 to 2.0."
    assert aliases(tracking) == {"champion": "1", "previous_champion": "2"}
    assert go_back(tracking).version == "2"
    entry = read_audit(tracking)[2]
    assert (entry.action, entry.version, entry.previous_version) == ("rollback", "1", "2")
    assert entry.reason == "answers in French"


def test_a_run_that_comes_along_does_not_undo_a_rollback_but_a_person_can(tracking, model_dir):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0)
    go_back(tracking, reason="answers in French")
    again = offer(tracking, model_dir("second"), 55.0)
    assert again.decision.promote and not again.moved
    assert again.reason.startswith("alias champion stays: ") and "(answers in French)" in again.reason
    assert "`d2vlm models promote 2` gives it back" in again.reason
    assert aliases(tracking)["champion"] == "1" and history(tracking)[-1] == ("keep", "2")
    assert promote_version("2", policy(), tracking).moved
    assert aliases(tracking) == {"champion": "2", "previous_champion": "1"}
    assert offer(tracking, model_dir("third"), 60.0).moved  # others were never meant


def test_the_newest_candidate_that_did_not_win_is_the_challenger(tracking, model_dir):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 40.0)
    offer(tracking, model_dir("third"), 45.0)
    assert aliases(tracking) == {"champion": "1", "challenger": "3"}
    offer(tracking, model_dir("third"), 60.0)
    assert aliases(tracking) == {"champion": "3", "previous_champion": "1"}
    assert aliases_after(read_audit(tracking), "champion") == Aliases("3", "1", None)
    assert aliases_after(read_audit(tracking), "other") == Aliases()


def test_a_rollback_to_nowhere_is_refused(tracking, model_dir):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 40.0)
    before = aliases(tracking), history(tracking)
    for version, said in (
        (None, "version 1 is the first that has it, there is none to go back to"),
        ("1", "version 1 has it already"),
        ("2", "version 2 never had the alias champion; `d2vlm models promote 2` decides"),
        ("9", "no version 9 in the registry; it has 1, 2"),
    ):
        with pytest.raises(UserError, match=said):
            go_back(tracking, version)
        assert (aliases(tracking), history(tracking)) == before


def test_before_there_is_a_champion_there_is_nothing_to_roll_back(tracking):
    with pytest.raises(UserError, match=r"no champion in sqlite:.*: run `kedro run` first"):
        go_back(tracking)
    assert history(tracking) == []


@pytest.mark.parametrize("damage", ["file", "evidence", "answer"])
def test_a_target_that_is_not_as_it_was_or_does_not_answer_gets_no_alias(tracking, model_dir, damage):
    offer(tracking, model_dir("first"))
    path = resolve_champion(tracking).path
    offer(tracking, model_dir("second"), 55.0)
    if damage == "file":
        (path / "config.json").write_text("{ }")
        said = r"config\.json is changed"
    elif damage == "evidence":
        bundle = next(path.parents[2].glob("evidence-*/bundle.json"))
        bundle.write_bytes(bundle.read_bytes().replace(b"50.0", b"59.0", 1))
        said = "version 1, evidence: changed after key"
    else:
        said = "does not answer"

    def ask(path: Path, ref: ModelRef, question: str) -> Prediction:
        if damage == "answer":
            raise UserError("d2vlm version 1: does not answer")
        return answered(path, ref, question)

    with pytest.raises(UserError, match=said):
        rollback(tracking, ask=ask)
    assert aliases(tracking) == {"champion": "2", "previous_champion": "1"}
    assert len(history(tracking)) == 2


def test_a_rollback_that_was_broken_off_is_finished_even_when_the_next_is_refused(tracking, model_dir):
    offer(tracking, model_dir("first"))
    offer(tracking, model_dir("second"), 55.0)
    with pytest.raises(Killed):
        go_back(tracking, watch=killed_at(Step.CHAMPION))
    with pytest.raises(UserError, match="no version 9"):
        go_back(tracking, "9")
    assert aliases(tracking) == {"champion": "1", "previous_champion": "2"}
