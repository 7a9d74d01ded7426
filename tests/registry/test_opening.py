"""A model directory is opened with the encoder that made its features, or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.features import build_encoder
from d2vlm_pipeline.model import save_model
from d2vlm_pipeline.registry import open_predictor
from d2vlm_pipeline.timeline import ModelRef
from model import tiny

REF = ModelRef(name="tiny", digest="d" * 64)


def saved(home: Path, encoder_digest: str) -> Path:
    bundle = tiny.bundle()
    contract = bundle.contract.model_copy(update={"encoder_digest": encoder_digest})
    with atomic_directory(home) as directory:
        save_model(replace(bundle, contract=contract), directory)
    return home


def test_an_encoder_that_is_what_it_was_opens(tmp_path: Path) -> None:
    digest = build_encoder(tiny.contract().encoder).digest
    predictor = open_predictor(saved(tmp_path / "model", digest), REF)
    assert predictor.bundle.contract.encoder_digest == digest and predictor.system == "tiny"


def test_an_encoder_that_changed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"another efficientnet_lite0 encoder .* train again"):
        open_predictor(saved(tmp_path / "model", "e" * 64), REF)
