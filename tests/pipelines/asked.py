"""What the nodes of evaluation are given in tests: a model of a few thousand weights, clips, samples."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.features import ClipFeatures, EfficientNetConfig, FeatureStore, build_encoder, write_store
from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.pipelines.evaluation.systems import ANSWERERS, AnswerConfig
from d2vlm_pipeline.timeline import Sample, SamplingPolicy, TimeBase
from d2vlm_pipeline.video import VideoRow
from model import tiny

SPLITS = ("calib", "test-iid")
TASKS = ("tvg", "tal", "gvq", "mcq")
ANSWERING = AnswerConfig(max_new_tokens=10)
EVALUATION = EvaluationConfig(tasks=TASKS, resamples=10, caption_similarity=False)
(FPO,) = (answerer for answerer in ANSWERERS if answerer.system == "fpo")


def model() -> ModelBundle:
    """A model that was trained on features of this encoder."""
    digest = build_encoder(EfficientNetConfig()).digest
    return replace(tiny.bundle(), contract=tiny.contract().model_copy(update={"encoder_digest": digest}))


def samples() -> list[Sample]:
    choice = {"options": ["red", "blue"], "answer_index": 1, "question": "Which colour is the star?"}
    grounded = {"task": "gvq", "answer": "(B) blue. The event happens in <evi>."} | choice
    forms: list[tuple[str, str, dict[str, Any]]] = [
        ("tvg", "tvg", {}),
        ("tal", "tal", {}),
        ("gvq", "tvg", grounded),
        ("mcq", "absent", {"task": "mcq", "answer": "(B) blue."} | choice),
        ("absent", "absent", {}),
    ]
    return [
        Sample.model_validate(
            tiny.sample(form).model_dump()
            | {"id": f"{split}-{k}/{name}", "video": f"{split}-{k}.mp4", "split": split}
            | changes
        )
        for split in SPLITS
        for k in range(3)
        for name, form, changes in forms
    ]


def made_clips(root: Path) -> list[Any]:
    """Samples, store, video table, sampling, encoder: what every node is given."""
    encoder, policy = EfficientNetConfig(), SamplingPolicy()
    digest = build_encoder(encoder).digest
    clock = TimeBase(**tiny.clock(8).model_dump() | {"policy_digest": policy.digest})
    names = sorted({sample.video for sample in samples()})
    made = [
        ClipFeatures(name, policy.digest, digest, tiny.features(8, k).numpy().astype(np.float16), clock)
        for k, name in enumerate(names)
    ]
    write_store(root, made)
    rows = [VideoRow(video=n, path=n, status="ok", digest=n, duration_s=4.0) for n in names]
    return [samples(), FeatureStore(root), rows, policy, encoder]
