"""One class of configuration for every encoder: a value becomes the class that its kind names."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from d2vlm_pipeline.artifacts import validation_reason
from d2vlm_pipeline.features import EfficientNetConfig, EncoderConfig, VLMTowerConfig
from d2vlm_pipeline.model import Contract
from d2vlm_pipeline.timeline import SamplingPolicy

KINDS = [EfficientNetConfig(grid=4), VLMTowerConfig(path="a/b", revision="c", device="cuda")]


@pytest.mark.parametrize("config", KINDS)
def test_the_kind_says_which_it_is(config: EncoderConfig) -> None:
    assert EncoderConfig.model_validate(config.model_dump()) == config
    assert EncoderConfig.model_validate(config) is config


@pytest.mark.parametrize("config", KINDS)
def test_a_contract_keeps_all_of_it(config: EncoderConfig) -> None:
    contract = Contract(sampling=SamplingPolicy(), encoder=config, encoder_digest="e" * 64)
    assert Contract.model_validate_json(contract.model_dump_json()).encoder == config


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "eficientnet"}, "no encoder of kind 'eficientnet'; use one of efficientnet_lite0, .*vlm_"),
        ({}, "no encoder of kind None"),
        ({"kind": "vlm_tower"}, "path: Field required"),
        ({"kind": "vlm_tower", "path": "a", "grid": 1}, r"grid: .* \(got 1\)"),
        ({"kind": "efficientnet_lite0", "gird": 3}, "gird: Extra inputs"),
    ],
)
def test_what_is_wrong_is_named(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EncoderConfig.model_validate(value)
    assert re.search(message, validation_reason(caught.value))
