"""Whether training on grounding costs what the model could choose without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from d2vlm_pipeline.evaluation.pairs import Pair
from d2vlm_pipeline.evaluation.studies.estimates import Drawing, mean_figure
from d2vlm_pipeline.evaluation.studies.records import Study

_WORDS = {"start": "before SFT", "sft": "after SFT", "fpo": "after FPO"}


def study_forgetting(by_system: Mapping[str, Sequence[Pair]], drawing: Drawing) -> Study:
    """Accuracy of each system on the same choices, in the order of training, and paired differences."""
    (samples, *others) = ([pair.sample for pair in pairs] for pairs in by_system.values())
    assert all(other == samples for other in others), "systems must be asked the same"
    clips = [sample.video for sample in samples]
    right = {
        system: np.array([pair.is_right_option for pair in pairs], dtype=np.float64)
        for system, pairs in by_system.items()
    }
    figures = {
        system: mean_figure(f"accuracy {_WORDS.get(system, system)}", clips, right_R, drawing)
        for system, right_R in right.items()
    }
    for earlier, later in combinations(right, 2):
        figures[f"{later}_less_{earlier}"] = mean_figure(
            f"{_WORDS.get(later, later)} less {_WORDS.get(earlier, earlier)}",
            clips,
            right[later] - right[earlier],
            drawing,
            "points",
        )
    first, last = next(iter(right)), list(right)[-1]
    return Study(
        title="Forgetting",
        definition=(
            "Accuracy on ungrounded multiple choice (mcq) of the model that training starts from, after SFT "
            "and after FPO, and paired differences. An answer that names no option is wrong."
        ),
        headline=last if last == first else f"{last}_less_{first}",
        clips=len(set(clips)),
        figures=figures,
    )
