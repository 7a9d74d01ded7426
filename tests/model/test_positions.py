"""Prompts and positions of ready video-language models: what transformers makes of the same clip."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from d2vlm_pipeline.model import ModelBundle
from d2vlm_pipeline.model.packing import FRAME_SLOT, Prefix
from d2vlm_pipeline.model.positions import TimedLayout, VideoLayout
from d2vlm_pipeline.model.tokens import encode, question_ids
from d2vlm_pipeline.timeline import Question
from model import tiny
from model.vlm import ARCHITECTURES, END, MERGE, SIDE, START, VIDEO, fresh, write_vlm


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vlm(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def bundle(home: Path) -> ModelBundle:
    return fresh(home, grid=SIDE)


def asked(bundle: ModelBundle) -> list[int]:
    return question_ids(Question.of_sample(tiny.sample("tvg")), bundle.tokenizer, bundle.tokens)


def their_ids(bundle: ModelBundle, count: int) -> list[int]:
    """The chat template's prompt, its placeholder written out as the processor of transformers 4.57 does."""
    content = [{"type": "video"}, {"type": "text", "text": tiny.sample("tvg").question}]
    text = bundle.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    frame = VIDEO * SIDE**2
    shown = f"{START}{frame * count}{END}"
    if bundle.model.backbone.config.model_type == "qwen3_vl_text":
        shown = "".join(f"<{at:.1f} seconds>{START}{frame}{END}" for at in tiny.clock(count).times_s)
    assert text.count(f"{START}{VIDEO}{END}") == 1
    return encode(text.replace(f"{START}{VIDEO}{END}", shown), bundle.tokenizer)


def their_positions(home: Path, ids: list[int], count: int, video: int) -> Tensor:
    """[3, L] by `get_rope_index`; frames half a second apart."""
    model = AutoModelForImageTextToText.from_pretrained(home).model
    tokens = torch.tensor([ids])
    timing: dict[str, Any] = {}
    if model.config.model_type == "qwen2_5_vl":
        timing["second_per_grid_ts"] = torch.tensor([0.5])
    found, _ = model.get_rope_index(
        tokens,
        mm_token_type_ids=2 * (tokens == video).int(),
        video_grid_thw=torch.tensor([[count, SIDE * MERGE, SIDE * MERGE]]),
        **timing,
    )
    return found[:, 0]


def test_the_prompt_is_the_chat_template_s(bundle: ModelBundle) -> None:
    video = bundle.tokenizer.get_vocab()[VIDEO]
    prefix = bundle.layout.prefix(tiny.clock(3).times_s)
    ours = [video if token == FRAME_SLOT else token for token in prefix.ids]
    assert [*ours, *asked(bundle)] == their_ids(bundle, 3)


@pytest.mark.parametrize("count", [1, 4])
def test_positions_are_those_of_transformers(home: Path, bundle: ModelBundle, count: int) -> None:
    prefix = bundle.layout.prefix(tiny.clock(count).times_s)
    behind = range(prefix.next_position, prefix.next_position + len(asked(bundle)))
    ours = torch.tensor([[*row, *behind] for row in prefix.positions])
    ids = their_ids(bundle, count)
    assert torch.equal(ours, their_positions(home, ids, count, bundle.tokenizer.get_vocab()[VIDEO]))


def test_frames_of_a_long_clip_have_their_positions_and_text_comes_after_all_of_them(
    home: Path, bundle: ModelBundle
) -> None:
    prefix = bundle.layout.prefix(tiny.clock(9).times_s)
    theirs = their_positions(home, their_ids(bundle, 9), 9, bundle.tokenizer.get_vocab()[VIDEO])
    ours = torch.tensor(prefix.positions)
    is_frame = torch.tensor(prefix.ids) == FRAME_SLOT
    assert torch.equal(ours[:, is_frame], theirs[:, : ours.shape[1]][:, is_frame])
    assert prefix.next_position == 1 + int(ours.max())
    assert ours[:, -1].tolist() == [int(ours[:, is_frame].max()) + 1] * 3


def laid_out(layout: VideoLayout | TimedLayout, times_s: list[float]) -> Prefix:
    return layout.prefix(times_s)


def test_time_counts_in_positions_a_second_rows_and_columns_from_the_start() -> None:
    layout = VideoLayout(before=[7, 8], start=3, end=4, grid=2, positions_per_s=2)
    prefix = laid_out(layout, [0.0, 0.5, 1.5])
    assert prefix.ids == [7, 8, 3, *[FRAME_SLOT] * 12, 4]
    time, row, column = prefix.positions
    assert list(time) == [0, 1, 2, *[3] * 4, *[4] * 4, *[6] * 4, 7]
    assert list(row) == [0, 1, 2, *[3, 3, 4, 4] * 3, 7]
    assert list(column) == [0, 1, 2, *[3, 4, 3, 4] * 3, 7]
    assert prefix.next_position == 8


def test_a_frame_shown_a_little_early_is_not_put_a_position_back() -> None:
    layout = VideoLayout(before=[], start=3, end=4, grid=1, positions_per_s=2)
    exact, early = laid_out(layout, [0.0, 0.5, 1.0]), laid_out(layout, [0.0, 0.4995, 0.967])
    assert exact == early


def test_a_frame_stands_behind_its_time() -> None:
    layout = TimedLayout(before=[7], start=3, end=4, grid=2, encode=lambda text: [ord(text[1])])
    prefix = laid_out(layout, [1.0, 2.5])
    assert prefix.ids == [7, ord("1"), 3, *[FRAME_SLOT] * 4, 4, ord("2"), 3, *[FRAME_SLOT] * 4, 4]
    time, row, _ = prefix.positions
    assert list(time) == [0, 1, 2, 3, 3, 3, 3, 5, 6, 7, 8, 8, 8, 8, 10]
    assert list(row) == [0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 8, 9, 9, 10]
