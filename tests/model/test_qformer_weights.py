"""A pretrained Q-Former, alone in a folder or within a whole model; tiny, random, never from a network."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    InstructBlipConfig,
    InstructBlipModel,
    InstructBlipQFormerConfig,
    InstructBlipQFormerModel,
)

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.features import EfficientNetConfig
from d2vlm_pipeline.model import ModelBundle, load_model, save_model
from d2vlm_pipeline.model.config import QFormerConfig
from d2vlm_pipeline.model.qformer import as_pretrained, load_pretrained
from d2vlm_pipeline.model.start import fresh_model
from d2vlm_pipeline.timeline import SamplingPolicy
from model import tiny

CHANNELS = 471
READER = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "cross_attention_frequency": 2,
    "encoder_hidden_size": CHANNELS,
}
WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("alone")
    InstructBlipQFormerModel(InstructBlipQFormerConfig(**READER)).save_pretrained(home)
    return home


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the hub holds it: vision, Q-Former with its queries, language model, in several files."""
    torch.manual_seed(1)
    config = InstructBlipConfig(
        vision_config={
            "hidden_size": CHANNELS,
            "intermediate_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 3,
            "image_size": 16,
            "patch_size": 8,
        },
        qformer_config=READER,
        text_config={"model_type": "opt", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        | {"ffn_dim": 8, "word_embed_proj_dim": 8, "vocab_size": 50},
        num_query_tokens=7,
    )
    model = InstructBlipModel(config)
    torch.nn.init.normal_(model.query_tokens)
    home = tmp_path_factory.mktemp("whole")
    model.save_pretrained(home, max_shard_size="500KB")
    assert (home / "model.safetensors.index.json").is_file()
    return home


def config(path: Path, **changes: Any) -> QFormerConfig:
    return QFormerConfig(**{"path": str(path), "max_question_tokens": 32, "dropout": 0.0} | changes)


def fresh(projector: QFormerConfig) -> ModelBundle:
    samples = [tiny.sample(form) for form in tiny.EVERY_FORM]
    config, encoder = tiny.config(projector=projector), EfficientNetConfig()
    return fresh_model(config, samples, SamplingPolicy(), encoder, seed=0)


def test_sizes_and_weights_come_from_the_folder_but_for_the_words(alone: Path) -> None:
    found = fresh(config(alone))
    sizes = found.model.config.projector
    assert (sizes.layers, sizes.width, sizes.heads, sizes.inner, sizes.queries) == (3, 16, 2, 24, 32)
    expected = InstructBlipQFormerModel.from_pretrained(alone).state_dict()
    state = found.model.projector.qformer.state_dict()
    assert state.keys() == expected.keys()
    assert len(state.pop(WORDS)) == len(found.tokenizer) != len(expected.pop(WORDS))
    places = "embeddings.position_embeddings.weight"
    assert torch.equal(state.pop(places), expected.pop(places)[:32])
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    shown = found.model.project(torch.randn(1, 2, 9, CHANNELS), _question())
    assert shown.shape == (1, 2, 1, 32) and torch.isfinite(shown).all()


def _question() -> Any:
    from d2vlm_pipeline.model.packing import pad_questions

    return pad_questions([[20, 21]])


def test_a_whole_model_gives_its_q_former_with_its_queries(whole: Path) -> None:
    projector = fresh(config(whole)).model.projector
    expected = InstructBlipModel.from_pretrained(whole)
    assert torch.equal(projector.queries, expected.query_tokens[0])
    name = "encoder.layer.2.crossattention.attention.key.weight"
    assert torch.equal(projector.qformer.get_parameter(name), expected.qformer.get_parameter(name))


def test_what_is_saved_needs_the_folder_no_more(alone: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in alone.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    bundle = fresh(config(copy))
    with atomic_directory(tmp_path / "model") as directory:
        save_model(bundle, directory)
    for path in copy.iterdir():
        path.unlink()
    again = load_model(tmp_path / "model").model
    assert again.config == bundle.model.config
    expected = bundle.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def test_a_size_that_is_given_must_be_theirs(alone: Path, whole: Path) -> None:
    assert as_pretrained(config(alone, width=16, heads=2), CHANNELS).layers == 3
    for home, change, message in (
        (alone, {"layers": 6}, "projector.layers is 6, but .* has 3; leave it out"),
        (whole, {"queries": 32}, "projector.queries is 32, but .* has 7"),
        (alone, {"max_question_tokens": 64}, "reads 40 at most"),
    ):
        with pytest.raises(UserError, match=message):
            as_pretrained(config(home, **change), CHANNELS)


@pytest.mark.parametrize("home", ["alone", "whole"])
def test_another_encoder_s_width_is_refused(home: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(UserError, match="reads 471 channels, the encoder gives 768"):
        as_pretrained(config(request.getfixturevalue(home)), 768)


def test_what_is_no_q_former_is_refused_in_one_line(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    BertConfig().save_pretrained(other)
    for path, message in (
        (empty, r"config\.json is missing"),
        (other, "a bert model, not the Q-Former of InstructBLIP"),
        (tmp_path / "nowhere", "nowhere: no such folder; .* hub id"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            as_pretrained(config(path), CHANNELS)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("gone", "lacks model.safetensors"),
        ("cut", r"model\.safetensors: damaged"),
        ("smaller", "first difference: embeddings.layernorm.bias"),
    ],
)
def test_weights_that_do_not_fit_are_named(alone: Path, tmp_path: Path, damage: str, message: str) -> None:
    for path in alone.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "model.safetensors"
    given = config(tmp_path)
    if damage == "gone":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:20])
    else:
        record = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(record | {"hidden_size": 20}))
    sized = as_pretrained(given, CHANNELS)
    projector = tiny.model(projector=sized, frame_channels=CHANNELS).projector
    with pytest.raises(UserError, match=message):
        load_pretrained(projector, sized)
