"""Memory of partitioned training foretold beside what two workers really held."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from d2vlm_pipeline.training.activations import activations
from d2vlm_pipeline.training.blueprint import draw_blueprint
from d2vlm_pipeline.training.config import FullTuning, LoraTuning, TrainConfig
from d2vlm_pipeline.training.forecast import FLOAT32, forecast, partitioned
from d2vlm_pipeline.training.sharding import Spread
from training.engine_cases import in_processes
from training.test_forecast import LORA, Case, llama, shape_of
from training.zero_memory import Measurements

WORKERS, WITHIN = 2, 0.15
SMALL = {"bucket_parameters": 40_000, "live_parameters": 200_000, "persistent_parameters": 200}


def phase(stage: int, tuning: FullTuning | LoraTuning) -> dict[str, Any]:
    return {
        "precision": "float32",
        "clips_per_step": 4,
        "micro_batch": 1,
        "tuning": tuning.model_dump(),
        "sharding": {**SMALL, "zero_stage": stage, "overlap_communication": False},
    }


CASES = {
    f"{name}, ZeRO-{stage}": (case, phase(stage, case.tuning))
    for name, case in {"full": Case(frames=24), "adapters": Case(LORA, frames=24)}.items()
    for stage in (2, 3)
}


def foretold(case: Case, config: TrainConfig) -> float:
    drawn = draw_blueprint(llama(case), case.tuning)
    # Where this runs, what is dropped is kept as numbers, not as one byte each.
    decoder = replace(drawn.decoder, adapter_mask=4 * drawn.decoder.adapter_mask)
    kept = activations(decoder, shape_of(case), FLOAT32.compute)
    spread = Spread(WORKERS, config.sharding)
    memory = forecast(drawn.parameters, kept, spread, partitioned(FLOAT32), config.accumulation(WORKERS))
    return memory.total - memory.margin


@pytest.mark.slow
def test_a_worker_holds_what_was_foretold(tmp_path: Path) -> None:
    found = in_processes(Measurements(CASES), WORKERS, tmp_path / "workers")
    ratios = {
        name: foretold(case, TrainConfig.model_validate(config)) / found[0][name].peak
        for name, (case, config) in CASES.items()
    }
    assert ratios == {name: pytest.approx(1.0, abs=WITHIN) for name in CASES}
