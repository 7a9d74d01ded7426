"""docs/bring-your-own-data.md has every format, code and task that there is."""

from pathlib import Path

import pytest

from d2vlm_pipeline.annotations import FORMATS, REJECTION_CODES, DataConfig
from d2vlm_pipeline.annotations.export import EXPORT_FORMATS
from d2vlm_pipeline.annotations.formats import READERS

PAGE = (Path(__file__).parents[2] / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")


def test_every_format_has_a_reader() -> None:
    assert tuple(READERS) == FORMATS


@pytest.mark.parametrize("word", [*FORMATS, *EXPORT_FORMATS, *REJECTION_CODES])
def test_the_page_names_it(word: str) -> None:
    assert f"`{word}`" in PAGE or f"--format {word}`" in PAGE or f"--format {word}\n" in PAGE


@pytest.mark.parametrize("name", ["overrun_s", "duration_gap_s", "instant_s", "max_file_mb"])
def test_the_page_states_the_defaults(name: str) -> None:
    default = DataConfig.model_fields[name].default
    assert f"`{name}`" in PAGE
    assert name == "max_file_mb" or f"`{name}` ({default:g} s)" in PAGE
