"""What was interrupted goes on to the same weights, to the bit; nothing else is taken for it."""

import itertools
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from d2vlm_pipeline.artifacts import Interrupted, UserError, verify
from d2vlm_pipeline.features import StoredClips
from d2vlm_pipeline.model.packing import PackedBatch, pack
from d2vlm_pipeline.training import loop
from d2vlm_pipeline.training.checkpoints import FolderPlace, Job, read_record
from d2vlm_pipeline.training.loop import run_phase
from d2vlm_pipeline.training.progress import Progress
from d2vlm_pipeline.training.signals import request_stop, stoppable
from d2vlm_pipeline.training.steps import sft_counts, sft_step
from model import tiny
from training.gang import Gang, GangEngine
from training.tiny_phases import FORMS, PHASES, STEPS, config, outcome, store


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    return store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def undisturbed(clips: StoredClips) -> Callable[[str], str]:
    """By phase, what comes of it without a checkpoint."""
    return cache(lambda phase: outcome(PHASES[phase](clips, None)))


class Killed(BaseException):
    """Nothing handles it."""


def killed_behind(step: int, monkeypatch: pytest.MonkeyPatch, train: Callable[[], object]) -> None:
    """Train until so many steps were taken, their checkpoints written."""
    keep = loop._Loop._keep

    def dying(self: Any, at: int, log: Any) -> None:
        keep(self, at, log)
        if at == step:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop._Loop, "_keep", dying)
        train()


def checkpoints(folder: Path, phase: str = "sft") -> list[int]:
    """Steps of those that are there."""
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / phase).glob("step-*"))


@pytest.mark.parametrize("phase", PHASES)
def test_what_goes_on_ends_as_what_was_never_stopped(
    phase: str,
    clips: StoredClips,
    undisturbed: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed behind every step in turn, each time going on where the last run left off, up to the end."""
    given = {"folder": str(tmp_path), "every_steps": 1}
    for step in range(1, STEPS + 1):
        killed_behind(step, monkeypatch, lambda: PHASES[phase](clips, given))
        torch.rand(step)  # another process would draw otherwise
    assert outcome(PHASES[phase](clips, given)) == undisturbed(phase)


@pytest.mark.parametrize("phase", ["accumulating"])
@pytest.mark.parametrize("step", [1, 3, 6])
def test_steps_behind_the_last_checkpoint_are_taken_again(
    phase: str,
    step: int,
    clips: StoredClips,
    undisturbed: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"folder": str(tmp_path), "every_steps": 2}
    killed_behind(step, monkeypatch, lambda: PHASES[phase](clips, given))
    assert checkpoints(tmp_path, "fpo") == list(range(2, step + 1, 2))[-2:]
    assert outcome(PHASES[phase](clips, given)) == undisturbed(phase)


def test_a_phase_that_is_over_is_not_trained_again(
    clips: StoredClips, undisturbed: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed before its model was saved."""
    given, expected = {"folder": str(tmp_path), "every_steps": 100}, undisturbed("sft")
    PHASES["sft"](clips, given)
    assert checkpoints(tmp_path) == [STEPS]
    monkeypatch.setattr(loop, "descend", None)
    assert outcome(PHASES["sft"](clips, given)) == expected


def test_the_last_ones_are_kept_and_the_best(clips: StoredClips, tmp_path: Path) -> None:
    best = {"figure": "lr", "goal": "highest"}  # of the points behind steps 3, 6 and 7 the first
    given = {"folder": str(tmp_path), "every_steps": 1}

    def left(**how: Any) -> list[int]:
        PHASES["naming"](clips, given | how)
        found = checkpoints(tmp_path, "naming")
        shutil.rmtree(tmp_path / "naming")
        return found

    assert left(keep_last=3) == [5, 6, 7]
    assert left(keep_last=1, keep_best=best) == [3, 7]
    assert left(keep_last=1, keep_best=best | {"goal": "lowest"}) == [7]
    with pytest.raises(UserError, match=r"keep_best\.figure xyz: the curve has none .* one of grad_norm, "):
        left(keep_best={"figure": "xyz"})


def test_a_damaged_one_is_named_and_the_one_before_taken(
    clips: StoredClips,
    undisturbed: Callable[[str], str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"folder": str(tmp_path), "every_steps": 1}
    killed_behind(5, monkeypatch, lambda: PHASES["sft"](clips, given))
    weights = tmp_path / "sft/step-00000005/engine/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.INFO):
        assert outcome(PHASES["sft"](clips, given)) == undisturbed("sft")
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith("sft: checkpoint step-00000005 is damaged and skipped: ")
    assert "weights.safetensors: content does not match" in warning
    assert f"sft: goes on behind step 4 of {STEPS}" in caplog.text
    assert checkpoints(tmp_path) == [STEPS - 1, STEPS]


@pytest.mark.parametrize("change", [{"seed": 1}, {"log_every": 2}])
def test_another_jobs_are_not_taken_and_go_with_the_first_of_this_one(
    change: dict[str, Any],
    clips: StoredClips,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    PHASES["sft"](clips, {"folder": str(tmp_path), "every_steps": 4})
    expected = outcome(PHASES["sft"](clips, None, **change))
    with caplog.at_level(logging.INFO):
        found = outcome(PHASES["sft"](clips, {"folder": str(tmp_path), "every_steps": 100}, **change))
    assert found == expected
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith(f"sft: step-00000004, step-00000007 in {tmp_path / 'sft'}: of another job ")
    assert " (other configuration), not gone on from" in warning
    assert "sft: removed checkpoints that are damaged or of another job: step-00000004" in caplog.text
    assert checkpoints(tmp_path) == [STEPS]


def test_threads_and_folders_are_no_reason_to_start_over(
    clips: StoredClips, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"folder": str(tmp_path), "every_steps": 100}
    PHASES["sft"](clips, given)
    with caplog.at_level(logging.INFO):
        PHASES["sft"](clips, given | {"every_steps": 3}, replay_dir=str(tmp_path / "replay"), threads=2)
    assert f"goes on behind step {STEPS}" in caplog.text


def test_the_model_and_the_examples_tell_jobs_apart(
    clips: StoredClips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []
    monkeypatch.setattr(FolderPlace, "latest", lambda self, engine: jobs.append(self.job))
    given = {"folder": str(tmp_path), "every_steps": 100}
    PHASES["sft"](clips, given, steps=1)
    monkeypatch.setattr("training.tiny_phases.FORMS", FORMS[1:])
    PHASES["sft"](clips, given, steps=1)
    monkeypatch.undo()
    monkeypatch.setattr(FolderPlace, "latest", lambda self, engine: jobs.append(self.job))
    begin = PHASES["sft"].__globals__["start"]()
    with torch.no_grad():
        next(begin.model.parameters()).flatten()[0] += 1e-3
    monkeypatch.setattr("training.tiny_phases.start", lambda: begin)
    PHASES["sft"](clips, given, steps=1)
    first, fewer, moved = jobs
    assert first.differences(fewer) == ["examples"]
    assert first.differences(moved) == ["start model"]
    assert first.differences(first.model_copy(update={"workers": 2})) == ["workers"]


def test_checkpoints_hold_what_trains_alone(clips: StoredClips, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    PHASES["lora"](clips, {"folder": str(tmp_path), "every_steps": 100})
    place = tmp_path / "sft" / f"step-{STEPS:08d}"
    verify(place)
    names = set(load_file(place / "engine/weights.safetensors"))
    assert any(".lora_A." in name for name in names)
    assert not any("base_layer" in name or ".mlp." in name for name in names)
    kinds = {path.suffix for path in place.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}


def test_what_dead_processes_left_is_swept(clips: StoredClips, tmp_path: Path) -> None:
    from d2vlm_pipeline.artifacts import new_temporary

    given = {"folder": str(tmp_path), "every_steps": 100}
    PHASES["sft"](clips, given)
    own = new_temporary(tmp_path / "sft" / "step-00000003")
    host = own.name.split("-")[1]
    left = own.with_name(f".tmp-{host}-999999999-00000000.step-00000003")
    left.mkdir()
    PHASES["sft"](clips, given)
    assert not left.exists()


def test_a_request_to_stop_waits_for_the_step_and_says_how_to_go_on(
    clips: StoredClips, undisturbed: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"folder": str(tmp_path), "every_steps": 100}
    descend = loop.descend
    calls = []

    def asking(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            request_stop()
        return descend(*args)

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:
        patch.setattr(loop, "descend", asking)
        PHASES["sft"](clips, given)
    place = tmp_path / "sft" / "step-00000003"
    assert str(caught.value) == (
        f"sft: stopped by SIGTERM behind step 3 of {STEPS}; {place} holds it: the same command goes on from "
        "there"
    )
    assert caught.value.exit_code == 143
    assert outcome(PHASES["sft"](clips, given)) == undisturbed("sft")


def test_without_a_place_a_request_to_stop_says_that_all_is_lost(
    clips: StoredClips, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend = loop.descend

    def asking(*args: Any) -> Any:
        request_stop()
        return descend(*args)

    monkeypatch.setattr(loop, "descend", asking)
    with pytest.raises(Interrupted, match=r"step 1 of 7; without sft\.checkpoints nothing of it was kept"):
        PHASES["sft"](clips, None)


def trained_by(
    workers: int, folder: Path, steps: int, stop_behind: int | None = None
) -> list[dict[str, torch.Tensor] | str]:
    """Weights as every worker has them; or what it says where it was asked to stop."""
    gang, given = Gang(workers), config({"folder": str(folder), "every_steps": 2}, steps=steps, micro_batch=1)
    parts = [pack([tiny.clip(frames, ("tvg", "dvc"))], 0) for frames in (8, 5, 11)]
    job = Job(configuration="c", start_model="m", examples="e", code="d", workers=workers)
    assert given.checkpoints is not None
    progress = Progress(FolderPlace("sft", job, given.checkpoints), 2, steps)

    def work(rank: int) -> dict[str, torch.Tensor] | str:
        model = tiny.model()
        step, count = partial(sft_step, model, config=given.sft), partial(sft_counts, config=given.sft)
        engine = GangEngine(gang, rank, model, step, given)

        def data(taken: int) -> Iterator[Sequence[PackedBatch]]:
            for number in itertools.count(taken + 1):
                if rank == 1 and number == stop_behind:
                    request_stop()
                yield parts[number % 3 :] + parts[: number % 3]

        try:
            run_phase("sft", model, engine, data, given, count=count, progress=progress)
        except Interrupted as error:
            return str(error)
        return model.state_dict()

    with stoppable():
        return gang.run(work)


def test_workers_stop_together_and_go_on_together(tmp_path: Path) -> None:
    """Each with random states of its own; not with another number of workers."""
    first, second = trained_by(2, tmp_path / "through", 5)
    told = trained_by(2, tmp_path / "stopped", 5, stop_behind=3)
    place = tmp_path / "stopped/sft/step-00000003"
    assert told == [told[0]] * 2
    assert str(told[0]).startswith(f"sft: stopped by SIGTERM behind step 3 of 5; {place} holds it")
    assert {path.name for path in place.glob("worker-*")} == {"worker-0.safetensors", "worker-1.safetensors"}
    for found in trained_by(2, tmp_path / "stopped", 5):
        assert isinstance(found, dict) and isinstance(first, dict) and isinstance(second, dict)
        assert all(torch.equal(found[name], weight) for name, weight in first.items())
    record = read_record(tmp_path / "stopped/sft/step-00000005")
    assert record.job.differences(record.job.model_copy(update={"workers": 1})) == ["workers"]
