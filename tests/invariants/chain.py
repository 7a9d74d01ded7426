"""The chain in miniature, from rendered clips to metrics, and a digest of everything that it leaves.

    python chain.py OUT --workers N [--shuffled]

What it leaves must not depend on how it was called: workers, order of inputs, working directory, locale, time
zone, hash seed. `--shuffled` puts the annotation's rows and the folder's names in another order.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from d2vlm_pipeline.annotations import DataConfig
from d2vlm_pipeline.artifacts import atomic_directory, canonical_json, digest_bytes
from d2vlm_pipeline.evaluation import EvaluationConfig
from d2vlm_pipeline.features import EfficientNetConfig, load_store, save_store
from d2vlm_pipeline.model import ModelConfig, save_model
from d2vlm_pipeline.model.config import BackboneConfig, PoolConfig, StartConfig
from d2vlm_pipeline.orchestration.ray_settings import RaySettings
from d2vlm_pipeline.pipelines.config import ComputeConfig
from d2vlm_pipeline.pipelines.evaluation import nodes as evaluation
from d2vlm_pipeline.pipelines.evaluation.systems import ANSWERERS, AnswerConfig
from d2vlm_pipeline.pipelines.features.nodes import stream_features
from d2vlm_pipeline.pipelines.ingestion import nodes as ingestion
from d2vlm_pipeline.pipelines.preferences import nodes as preferences
from d2vlm_pipeline.pipelines.sft.nodes import prepare_model
from d2vlm_pipeline.preferences import AuditConfig, PreferenceConfig, portions
from d2vlm_pipeline.timeline import Sample, SamplingPolicy, dump_jsonl, read_jsonl
from d2vlm_pipeline.training.config import TrainConfig
from d2vlm_pipeline.training.phases import train_fpo, train_sft
from d2vlm_pipeline.video import DecodeLimits, VideoRow
from d2vlm_pipeline.video.folder import ClipFolder, VideoFolder
from d2vlm_pipeline.video.world import WorldConfig, plan_world, render_world, world_samples

WORLD = WorldConfig.model_validate(
    {
        "splits": {"train": 3, "val": 1, "calib": 1, "test_iid": 2},
        "min_duration_s": 8.0,
        "max_duration_s": 10.0,
        "event_median_s": 2.0,
        "min_event_s": 1.0,
        "max_events": 3,
        "sizes": ((96, 72),),
        "rates": (4.0,),
    }
)
SAMPLING = SamplingPolicy(fps=2.0)
ENCODER = EfficientNetConfig(input_px=64, grid=2)
MODEL = ModelConfig(
    backbone=BackboneConfig(
        hidden_size=32, layers=4, heads=4, kv_heads=2, intermediate_size=48, vocab_size=400
    ),
    projector=PoolConfig(cell_size=8, dropout=0.1),
    semantic_layer=2,
    head_size=16,
)
TRAIN = TrainConfig.model_validate(
    {"steps": 3, "clips_per_step": 2, "branches_per_clip": 3, "threads": 1, "log_every": 1}
)
EVALUATION = EvaluationConfig(resamples=20, caption_similarity=False)
ANSWERING = AnswerConfig.model_validate(
    {"systems": ["chance", "prior", "fpo", "swapped_video"], "batch_questions": 12, "max_new_tokens": 8}
)


class Chain:
    """One run of it."""

    def __init__(self, workers: int, shuffled: bool) -> None:
        self._compute = ComputeConfig(workers=workers, threads=1)
        self._shuffled = shuffled
        self.digests: dict[str, str] = {}

    def run(self) -> None:
        rows, samples = self._ingest()
        store = self._features(rows)
        pairs = self._preferences(samples, rows)
        models = self._train(samples, pairs, rows, store)
        self._evaluate(samples, rows, store, models)

    def _ingest(self) -> tuple[list[VideoRow], list[Sample]]:
        root = Path("footage")
        root.mkdir()
        rendered = dict(render_world(plan_world(WORLD), self._compute.workers))
        self._note("clips", {name: digest_bytes(data) for name, data in rendered.items()})
        for name in self._order(rendered):
            (root / name).write_bytes(rendered[name])
        lines = self._order(dump_jsonl([each]) for each in world_samples(plan_world(WORLD), WORLD))
        Path("labels.jsonl").write_text("".join(lines), encoding="utf-8")
        data = DataConfig(source="folder", videos="footage", annotations="labels.jsonl")
        found = ingestion.provide_clips(data, WORLD, self._compute)
        assert isinstance(found, VideoFolder)
        # By its relative name, as a rendered world is seen: tables name files as they are opened.
        clips = ClipFolder(root, found.names)
        raw, imported = ingestion.provide_annotations(data, WORLD, clips)
        Path("raw.jsonl").write_text(dump_jsonl(raw), encoding="utf-8")
        rows = ingestion.probe_videos(clips, SAMPLING, DecodeLimits(), self._compute)
        samples, _ = ingestion.read_annotations(Path("raw.jsonl"), rows, imported, data)
        checks, samples = ingestion.gate_samples(samples, rows)
        self._note_lines({"videos": rows, "samples": samples, "samples gate": checks})
        return rows, samples

    def _features(self, rows: list[VideoRow]) -> Any:
        rays = RaySettings()
        stream = stream_features(
            self._order(rows), SAMPLING, ENCODER, DecodeLimits(), self._compute, rays
        )
        with atomic_directory(Path("store")) as directory:
            save_store(stream, directory, Path("cache"), Path("store"), shard_bytes=100_000)
        self._note_folder("features", Path("store"))
        return load_store(Path("store"))

    def _preferences(self, samples: list[Sample], rows: list[VideoRow]) -> list[Any]:
        machines = self._compute, RaySettings()
        config, audit = PreferenceConfig(pairs_per_sample=4), AuditConfig(least_pairs=10, resamples=5)
        pairs, statistics = preferences.synthesize(samples, rows, config, *machines)
        record, _ = preferences.audit_pairs(samples, rows, pairs, audit, *machines)
        checks, pairs = preferences.gate_pairs(pairs, samples, rows, record, audit, *machines)
        self._note_lines({"pairs": pairs, "pairs gate": checks})
        self._note("statistics", statistics)
        self._note("audit", record)
        return pairs

    def _train(self, samples: list[Sample], pairs: list[Any], rows: list[VideoRow], store: Any) -> Any:
        start = prepare_model(
            StartConfig(kind="scratch"), MODEL, samples, SAMPLING, ENCODER, TRAIN
        )
        clips = evaluation.stored_clips(store, rows, SAMPLING, ENCODER)
        sft = train_sft(start, samples, clips, TRAIN)
        fpo = train_fpo(sft.bundle, samples, pairs, clips, TRAIN)
        for name, trained in {"sft": sft, "fpo": fpo}.items():
            Path(name).mkdir()
            save_model(trained.bundle, Path(name))
            self._note_folder(name, Path(name))
            self._note(f"{name} curve", trained.curve.points)
        return {"sft": sft.bundle, "fpo": fpo.bundle}

    def _evaluate(self, samples: list[Sample], rows: list[VideoRow], store: Any, models: Any) -> None:
        machines = self._compute, RaySettings()
        given = self._order(samples)
        said = [list(each) for each in evaluation.guess_answers(given, rows, ANSWERING, EVALUATION)[:2]]
        for answerer in ANSWERERS:
            if answerer.system in ANSWERING.systems:
                stream, _ = evaluation.answer_questions(
                    models["fpo"], given, store, rows, SAMPLING, ENCODER, ANSWERING, EVALUATION, *machines,
                    answerer=answerer,
                )  # fmt: skip
                said.append(list(stream))
        self._note_lines({f"{each[0].system} predictions": each for each in said})
        metrics = evaluation.score_answers(samples, rows, store, ANSWERING, EVALUATION, *machines, *said)
        self._note("metrics", metrics)

    def _order(self, things: Iterable[Any]) -> list[Any]:
        listed = list(things)
        return random.Random(1).sample(listed, len(listed)) if self._shuffled else listed

    def _note(self, name: str, record: Any) -> None:
        self.digests[name] = digest_bytes(canonical_json(record).encode())

    def _note_lines(self, tables: dict[str, Iterable[BaseModel]]) -> None:
        for name, table in tables.items():
            path = Path(f"{name}.jsonl")
            path.write_text(dump_jsonl(table), encoding="utf-8")
            assert [record for _, record in read_jsonl(path, type(next(iter(table))))] == list(table)
            self.digests[name] = digest_bytes(path.read_bytes())

    def _note_folder(self, name: str, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            self.digests[f"{name}/{path.name}"] = digest_bytes(path.read_bytes())


def list_backwards() -> None:
    """Have folders listed in another order, as another file system would."""
    listdir, scandir = os.listdir, os.scandir

    class Backwards:
        def __init__(self, *given: Any) -> None:
            self._found = scandir(*given)
            self._entries = iter(list(self._found)[::-1])

        def __iter__(self) -> Any:
            return self._entries

        def __next__(self) -> Any:
            return next(self._entries)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            self._found.close()

    os.listdir = lambda *given: listdir(*given)[::-1]  # type: ignore[assignment]
    os.scandir = Backwards  # type: ignore[assignment, misc]


def main() -> None:
    """Run the chain below OUT and print digests of all that it left, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shuffled", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    os.chdir(asked.out)
    if asked.shuffled:
        list_backwards()
    portions.PORTION = 5
    chain = Chain(asked.workers, asked.shuffled)
    chain.run()
    print(json.dumps(chain.digests))


if __name__ == "__main__":
    main()
