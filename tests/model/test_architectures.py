"""What is written down of published checkpoints, held against their published sizes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.architectures import (
    PUBLISHED,
    Architecture,
    check_as_written,
    find_architecture,
    published_architectures,
    read_architecture,
)
from model.pretrained import write_pretrained

KNOWN = {found.hub_id: found for found in published_architectures()}
BUILDERS = {
    "phi3": AutoModelForCausalLM,
    "qwen2_5_vl": AutoModelForImageTextToText,
    "siglip": AutoModel,
}


@pytest.mark.parametrize("hub_id", KNOWN)
def test_the_architecture_has_the_published_number_of_parameters(hub_id: str) -> None:
    """Exactly: `safetensors.total` of the hub's record of the repository."""
    known = KNOWN[hub_id]
    config = known.build()
    with torch.device("meta"):
        model = BUILDERS[config.model_type].from_config(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == known.parameters


def test_the_totals_are_the_hub_s() -> None:
    assert {hub_id: known.parameters for hub_id, known in KNOWN.items()} == {
        "microsoft/Phi-3-mini-4k-instruct": 3_821_079_552,
        "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
        "google/siglip2-base-patch16-224": 375_187_970,
    }


def test_a_revision_is_a_commit() -> None:
    for known in KNOWN.values():
        assert len(known.revision) == 40 and int(known.revision, 16)


def test_a_folder_speaks_for_itself(tmp_path: Path) -> None:
    home = write_pretrained(tmp_path, "qwen3")
    assert find_architecture(str(home), None).num_hidden_layers == 4


def test_a_known_checkpoint_is_found_without_its_weights() -> None:
    assert find_architecture("microsoft/Phi-3-mini-4k-instruct", None).hidden_size == 3072


def test_what_is_nowhere_is_one_line_with_the_mend() -> None:
    with pytest.raises(UserError, match=r"^no/such: its architecture is not on this machine; name") as found:
        find_architecture("no/such", None)
    assert "\n" not in str(found.value)


def written(path: Path, **changes: object) -> str:
    """A file for Phi-3-mini with other sizes."""
    record = json.loads((PUBLISHED / "phi-3-mini-4k-instruct.json").read_text(encoding="utf-8"))
    record["config"] |= changes
    path.write_text(json.dumps(record), encoding="utf-8")
    return str(path)


def test_a_file_stands_in_for_a_checkpoint_of_one_s_own(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.json", num_hidden_layers=40)
    assert find_architecture("me/mine", None, file).num_hidden_layers == 40


def test_what_was_fetched_must_be_what_is_written(tmp_path: Path) -> None:
    home = write_pretrained(tmp_path, "phi3")
    file = written(tmp_path / "mine.json")
    with pytest.raises(UserError, match=r"hidden_size is 32, but .* says 3072; mend the revision"):
        find_architecture(str(home), None, file)


def test_a_loaded_model_must_be_what_is_written() -> None:
    known = KNOWN["Qwen/Qwen2.5-VL-3B-Instruct"]
    text: PretrainedConfig = known.build().get_text_config()
    check_as_written(known.hub_id, None, text)
    check_as_written("unknown/model", None, text)
    text.num_hidden_layers = 28
    with pytest.raises(UserError, match=r"num_hidden_layers is 28, but .* says 36"):
        check_as_written(known.hub_id, None, text)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "is missing; mend the path"), ("{}", "hub_id: Field required"), ("[", "Invalid JSON")],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "bad.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=reason) as found:
        read_architecture(file)
    assert str(file) in str(found.value) and "\n" not in str(found.value)


def test_unknown_keys_of_a_file_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "extra.json"
    shutil.copy(PUBLISHED / "phi-3-mini-4k-instruct.json", file)
    record = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(record | {"layers": 3}), encoding="utf-8")
    with pytest.raises(UserError, match=r"layers: Extra inputs are not permitted"):
        read_architecture(file)
    assert isinstance(Architecture.model_validate(record), Architecture)


def test_a_folder_without_a_configuration_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no configuration that can be read \(.*\); name a folder") as found:
        find_architecture(str(tmp_path), None)
    assert "\n" not in str(found.value)
