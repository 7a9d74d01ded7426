"""The projector that reads the question: a Q-Former per frame, then one token of its answers.

As published (method.md §1.1). The queries Q of a frame attend to one another, to the question and, in every
other layer, to the frame's tokens V (normed). Then, with C channels,

    a = softmax(q(Q) k(V)ᵀ / √C)    token = mean over the queries of (a V + Q)    out = Linear(LN(token))
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import InstructBlipConfig, InstructBlipQFormerConfig, InstructBlipQFormerModel

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.features.pretrained import (
    pretrained_folder,
    read_settings,
    stored_tensors,
    weight_files,
)
from d2vlm_pipeline.model.config import QFormerConfig
from d2vlm_pipeline.model.packing import PaddedQuestions
from d2vlm_pipeline.model.projectors import time_code, time_map

_WORDS, _PLACES = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"


class QFormerProjector(nn.Module):
    """Spatial tokens of one frame and the question → one embedding; frames do not see one another."""

    def __init__(self, config: QFormerConfig, channels: int, hidden_size: int, words: int) -> None:
        super().__init__()
        self._most = config.max_question_tokens
        self.norm = nn.LayerNorm(channels)
        self.qformer = InstructBlipQFormerModel(
            InstructBlipQFormerConfig(
                vocab_size=words,
                hidden_size=config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.inner,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                max_position_embeddings=config.max_question_tokens,
                pad_token_id=None,
                cross_attention_frequency=config.cross_every,
                encoder_hidden_size=channels,
            )
        )
        # Equal queries would stay equal.
        self.queries = nn.Parameter(
            torch.randn(config.queries, config.width) * self.qformer.config.initializer_range
        )
        self.widen = nn.Linear(config.width, channels)
        self.query = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels))
        # What is added to all keys alike changes no softmax: biases here would never learn.
        self.key = nn.Sequential(
            nn.LayerNorm(channels, bias=False), nn.Linear(channels, channels, bias=False)
        )
        self.out = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, hidden_size))
        self.time = time_map(hidden_size)
        # Nobody reads what the last layer makes of the question.
        last = self.qformer.encoder.layer[-1]
        for unread in (last.intermediate, last.output):
            unread.requires_grad_(False)

    def forward(self, features_BTNC: Tensor, questions: PaddedQuestions) -> Tensor:
        """float [B, T, N, C] and one question per clip → [B, T, D]."""
        clips, frames = features_BTNC.shape[:2]
        tokens_FNC = features_BTNC.flatten(0, 1)
        queries_FRC = self.widen(self._read(tokens_FNC, self._ends(questions), frames))
        scores_FRN = self.query(queries_FRC) @ self.key(tokens_FNC).mT / math.sqrt(tokens_FNC.shape[-1])
        found_FC = (scores_FRN.softmax(-1) @ tokens_FNC + queries_FRC).mean(1)
        shown_BTD = self.out(found_FC).unflatten(0, (clips, frames))
        code_TD = self.time(time_code(frames, features_BTNC.device).to(features_BTNC.dtype))
        return shown_BTD + code_TD

    def _read(self, tokens_FNC: Tensor, questions: PaddedQuestions, frames: int) -> Tensor:
        """What the queries of every frame have found, [F, R, width]."""
        ids_FL, valid_FL = (part.repeat_interleave(frames, 0) for part in questions)
        queries_FRW = self.queries.expand(len(ids_FL), -1, -1)
        is_query = valid_FL.new_ones(queries_FRW.shape[:2])
        read = self.qformer(
            input_ids=ids_FL,
            attention_mask=torch.cat([is_query, valid_FL], dim=1).long(),
            query_embeds=queries_FRW,
            encoder_hidden_states=self.norm(tokens_FNC),
        )
        found: Tensor = read.last_hidden_state[:, : queries_FRW.shape[1]]
        return found

    def _ends(self, questions: PaddedQuestions) -> PaddedQuestions:
        """The last tokens of questions that are too long."""
        length_B = questions.valid_BL.sum(-1)
        if int(length_B.max()) <= self._most:
            return questions
        start_B1 = (length_B - self._most).clamp(min=0)[:, None]
        place_BL = start_B1 + torch.arange(self._most, device=length_B.device)
        inside_BL = place_BL < length_B[:, None]
        ids_BL = questions.ids_BL.gather(1, place_BL.where(inside_BL, 0))
        return PaddedQuestions(ids_BL, inside_BL)


def as_pretrained(config: QFormerConfig, channels: int) -> QFormerConfig:
    """The configuration with the sizes of the weights it names.

    Raises:
        UserError: they are not those of a Q-Former that reads text, were made for other frame features, or
            have another size than was asked for.
    """
    if config.path is None:
        return config
    theirs, queries = _architecture(_folder(config))
    if theirs.encoder_hidden_size != channels:
        raise UserError(
            f"projector {config.path} reads {theirs.encoder_hidden_size} channels, the encoder gives "
            f"{channels}; choose an encoder of that width, or leave projector.path out"
        )
    sizes = {
        "layers": theirs.num_hidden_layers,
        "width": theirs.hidden_size,
        "heads": theirs.num_attention_heads,
        "inner": theirs.intermediate_size,
        "cross_every": theirs.cross_attention_frequency,
        **({} if queries is None else {"queries": queries}),
    }
    for name in sorted(config.model_fields_set & sizes.keys()):
        if getattr(config, name) != sizes[name]:
            raise UserError(
                f"projector.{name} is {getattr(config, name)}, but {config.path} has {sizes[name]}; "
                "leave it out"
            )
    if config.max_question_tokens > theirs.max_position_embeddings:
        raise UserError(
            f"projector.max_question_tokens is {config.max_question_tokens}, but {config.path} reads "
            f"{theirs.max_position_embeddings} at most; lower it"
        )
    return config.model_copy(update=sizes)


@torch.no_grad()
def load_pretrained(projector: nn.Module, config: QFormerConfig) -> None:
    """Fill in the weights that the configuration names; words, and the aggregator behind them, stay fresh.

    Raises:
        UserError: the weights do not fit.
    """
    if config.path is None:
        return
    folder = _folder(config)
    found = _weights(folder)
    queries = found.pop("query_tokens", None)
    if queries is not None:
        projector.get_parameter("queries").copy_(queries.squeeze(0))
    found.pop(_WORDS, None)
    if _PLACES in found:
        found[_PLACES] = found[_PLACES][: config.max_question_tokens]
    qformer = projector.get_submodule("qformer")
    expected = qformer.state_dict()
    del expected[_WORDS]
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected or found[name].shape != expected[name].shape:
            raise UserError(
                f"projector {folder}: not the weights of its config.json (first difference: {name})"
            )
    qformer.load_state_dict(found, strict=False)


def _folder(config: QFormerConfig) -> Path:
    return pretrained_folder(str(config.path), config.revision, "projector")


def _architecture(folder: Path) -> tuple[InstructBlipQFormerConfig, int | None]:
    """Sizes of a Q-Former, and how many queries belong to it, where that is known."""
    kind = read_settings(folder / "config.json").get("model_type")
    if kind == "instructblip":
        whole = InstructBlipConfig.from_pretrained(folder)
        return InstructBlipQFormerConfig(**whole.to_dict()["qformer_config"]), whole.num_query_tokens
    if kind == "instructblip_qformer":
        return InstructBlipQFormerConfig.from_pretrained(folder), None
    raise UserError(
        f"projector {folder}: a {kind} model, not the Q-Former of InstructBLIP, which reads text; "
        "name another folder"
    )


def _weights(folder: Path) -> dict[str, Tensor]:
    """The Q-Former's tensors by their own names, whether alone in the files or within a whole model."""
    is_whole = read_settings(folder / "config.json")["model_type"] == "instructblip"

    def name_in_qformer(stored: str) -> str | None:
        if is_whole and not stored.startswith(("qformer.", "query_tokens")):
            return None
        return stored.removeprefix("qformer.")

    found = stored_tensors(weight_files(folder), name_in_qformer)
    return {name: tensor.float() for name, tensor in found}
