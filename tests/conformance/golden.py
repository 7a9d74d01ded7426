"""Cases of the official code's numbers, and the model and branches that they are about.

A folder of cases holds `model/` and one folder per case; its format is described beside it, in README.md.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from d2vlm_pipeline.model.backbones import tiny_llama
from d2vlm_pipeline.model.config import BackboneConfig, ModelConfig, SpanConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.packing import FRAME_SLOT, Branch, Clip, Prefix, Response
from d2vlm_pipeline.objectives import official_labels, official_spans

SHARED = Path(__file__).parents[3] / "shared"
UNSUPERVISED = -100


def golden_folder() -> Path | None:
    """The folder of cases; None where no variable names one and no `../shared` lies beside the checkout."""
    if "D2VLM_GOLDEN_DIR" in os.environ:
        return Path(os.environ["D2VLM_GOLDEN_DIR"])
    if "D2VLM_CONFORMANCE_DIR" in os.environ:
        return Path(os.environ["D2VLM_CONFORMANCE_DIR"]) / "golden" / "dev"
    return SHARED / "conformance" / "golden" / "dev" if SHARED.exists() else None


@dataclass(frozen=True)
class Case:
    """One folder of a case."""

    folder: Path

    @cached_property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "case.json").read_text(encoding="utf-8"))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.folder / "tensors.safetensors")

    def of_sample(self, index: int, name: str) -> Tensor:
        """Tensor of one sample of the batch; empty where the case has none."""
        return self.tensors.get(f"s{index}.{name}", torch.zeros(0))

    @property
    def samples(self) -> list[dict[str, Any]]:
        return self.record["samples"]


def find_cases(kind: str) -> list[Case]:
    """All cases of a kind: sft, fpo, generation or span_selection."""
    folder = golden_folder()
    if folder is None:
        return []
    cases = [Case(path.parent) for path in sorted(folder.glob("*/case.json"))]
    return [case for case in cases if case.record["kind"] == kind]


def model_record(folder: Path) -> dict[str, Any]:
    """Sizes, token ids and constants of the cases' model."""
    return json.loads((folder / "model" / "config.json").read_text(encoding="utf-8"))


class OneTokenPerFrame(nn.Module):
    """Stands in for encoder and projector: the stored features are the frame embeddings."""

    def forward(self, features_BTNC: Tensor) -> Tensor:
        return features_BTNC.squeeze(2)


def official_model(folder: Path, changed: dict[str, Tensor] | None = None) -> D2VLM:
    """The cases' model, some of its weights replaced."""
    record = model_record(folder)
    weights = load_file(folder / "model" / "weights.safetensors") | (changed or {})
    config = ModelConfig(
        backbone=BackboneConfig(
            hidden_size=record["hidden_size"],
            layers=record["num_hidden_layers"],
            heads=record["num_attention_heads"],
            kv_heads=record["num_key_value_heads"],
            intermediate_size=record["intermediate_size"],
            vocab_size=record["vocab_size"],
            rope_theta=record["rope_theta"],
            rms_norm_eps=record["rms_norm_eps"],
            tie_embeddings=record["tie_word_embeddings"],
        ),
        span=SpanConfig(method="best_run", threshold=0.6, decline=False),
        frame_tokens=1,
        frame_channels=record["hidden_size"],
        semantic_layer=record["h_semantic_layer"],
        match_layer=record["h_match_layer"],
        head_size=len(weights["evi_head.1.weight"]),
        compat="official",
    )
    model = D2VLM(config, tiny_llama(config.backbone), OneTokenPerFrame())
    model.load_state_dict({our_name(name): tensor for name, tensor in weights.items()})
    return model.eval()


def our_name(official: str) -> str:
    """Name of an official parameter in our module."""
    head, _, rest = official.partition(".")
    module = {"frm_head": "key_head", "evi_head": "query_head"}.get(head, f"backbone.{head}")
    return f"{module}.{rest}"


def pairs_of(flat: Sequence[float] | None) -> list[tuple[float, float]]:
    """Flat interval list → pairs; a single time stands for nothing in training."""
    return list(zip((flat or [])[::2], (flat or [])[1::2], strict=False))


def places(ids: Sequence[int], token: int) -> list[int]:
    return [place for place, found in enumerate(ids) if found == token]


@dataclass(frozen=True)
class CaseEncoder:
    """Turns samples of a case into our clips; `rounded` says which of the two official labels they carry."""

    record: dict[str, Any]
    rounded: bool = True

    def sft_clip(self, sample: dict[str, Any], frame_embeds_TD: Tensor) -> Clip:
        ids, labels = sample["input_ids_part2"], sample["labels_part2"]
        start = next(place for place, label in enumerate(labels) if label != UNSUPERVISED)
        supervised = [label != UNSUPERVISED for label in labels[start:]]
        response = self._response(ids[start:], supervised, sample["tgt"], len(frame_embeds_TD))
        return self._clip(sample, ids[:start], [response], frame_embeds_TD)

    def fpo_clip(self, sample: dict[str, Any], frame_embeds_TD: Tensor) -> Clip:
        """Both responses behind the question, whichever way the case shares their tokens."""
        start = sample["relative_offset"] - sample["prefix_len"] - sample["T"]
        responses = [
            self._response(ids, [True] * len(ids), sample[intervals], len(frame_embeds_TD))
            for ids, intervals in zip(response_tokens(sample), ("tgt", "tgt_reject"), strict=True)
        ]
        return self._clip(sample, sample["input_ids_part2"][:start], responses, frame_embeds_TD)

    def _clip(
        self, sample: dict[str, Any], asked: list[int], responses: list[Response], frame_embeds_TD: Tensor
    ) -> Clip:
        frames = len(frame_embeds_TD)
        spans = official_spans(pairs_of(sample["src"]), frames)
        branch = Branch(
            asked, places(asked, self.record["evidence_token_id"])[: len(spans)], spans, responses
        )
        prefix = Prefix([*sample["input_ids_part1"][:-1], *[FRAME_SLOT] * frames])
        return Clip(prefix, frame_embeds_TD[:, None], [branch])

    def _response(
        self, ids: list[int], supervised: list[bool], intervals: list[float] | None, frames: int
    ) -> Response:
        pairs = pairs_of(intervals)
        return Response(
            token_ids=ids,
            supervised=supervised,
            evi_positions=places(ids, self.record["evidence_token_id"]),
            evidence=official_spans(pairs, frames) * 2,
            labels_KT=official_labels(pairs, frames, self.record["alpha"], self.rounded).repeat(2, 1),
            pairs=[(k, k + len(pairs)) for k in range(len(pairs))],
        )


def response_tokens(sample: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Chosen and rejected token ids of a preference case.

    Where both share their first token it is no part of the likelihood, but still stands before the rest.
    """
    shared = sample["packed_token_ids"][:1] if shares_first_token(sample) else []
    chosen, rejected = (
        [*shared, *sample["events"][side]["text"]["logit_token_id"]] for side in ("chosen", "reject")
    )
    return chosen, rejected


def shares_first_token(sample: dict[str, Any]) -> bool:
    return sample["events"]["chosen"]["text"]["input_index"][0] == 0


@dataclass
class BackboneCall:
    """What went into the backbone and what came out, [B, S, …] each."""

    visible: Tensor
    positions: Tensor
    hidden: tuple[Tensor, ...]


@contextmanager
def recorded_calls(model: D2VLM) -> Iterator[list[BackboneCall]]:
    """Collects every call of the backbone inside the block, the prefix run to its end."""
    calls: list[BackboneCall] = []

    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        visible = kwargs["attention_mask"][:, 0] == 0
        calls.append(BackboneCall(visible, kwargs["position_ids"], output.hidden_states))

    handle = model.backbone.base_model.register_forward_hook(record, with_kwargs=True)
    model.complete_prefix = True
    try:
        yield calls
    finally:
        handle.remove()
        model.complete_prefix = False


SAME_STATES = {"atol": 2e-4, "rtol": 0.0}


def close(ours: Tensor | float, official: Tensor | float, atol: float, rtol: float) -> None:
    """Both within the tolerance, and of one size."""
    ours, official = torch.as_tensor(ours).detach().float(), torch.as_tensor(official).float()
    torch.testing.assert_close(ours, official.reshape(ours.shape), atol=atol, rtol=rtol)


def each(cases: list[Case]) -> pytest.MarkDecorator:
    """Run a test once per case."""
    return pytest.mark.parametrize("case", cases, ids=[case.folder.name for case in cases])
