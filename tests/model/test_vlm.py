"""Ready video-language models compute what transformers does of the same clip; sharing changes nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.features import EfficientNetConfig
from d2vlm_pipeline.model import ModelBundle, ModelConfig, load_model, save_model
from d2vlm_pipeline.model.config import PoolConfig, StartConfig, TokensConfig, VLMConfig
from d2vlm_pipeline.model.generate import PromptClip, PromptQuestion, generate, read_clips
from d2vlm_pipeline.model.packing import FRAME_SLOT, Branch, Clip, PackedBatch, Response, pack
from d2vlm_pipeline.model.start import fresh_model, start_model
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.timeline import SamplingPolicy
from d2vlm_pipeline.training.steps import sft_step
from model.pretrained import outputs, write_pretrained
from model.vlm import ARCHITECTURES, MERGE, SIDE, VIDEO, clip, frames, fresh, tower_config, write_vlm

SAME = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vlm(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def bundle(home: Path) -> ModelBundle:
    return fresh(home)


class Theirs:
    """The whole model of transformers, with the language half of a bundle, given a clip as a video."""

    def __init__(self, home: Path, bundle: ModelBundle) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(home).eval()
        self.model.model.language_model = bundle.model.backbone.model
        self.model.lm_head = bundle.model.backbone.lm_head
        self.video = bundle.tokenizer.get_vocab()[VIDEO]
        self._is_timed = self.model.config.model_type == "qwen2_5_vl"

    def features(self, pixels: Tensor, count: int) -> Tensor:
        """All levels side by side, [T, N, C], unrounded."""
        with torch.no_grad():
            found = self.model.get_video_features(pixels, self._grid(count))
        levels = [found.pooler_output, *([] if self._is_timed else found.deepstack_features)]
        return torch.cat([torch.cat(list(level)) for level in levels], dim=-1).unflatten(0, (count, -1))

    def logits(self, pixels: Tensor, count: int, ids: list[int], positions: Tensor | None) -> Tensor:
        """[L, V] of a prompt with a response; positions are the model's own unless given."""
        tokens = torch.tensor([[self.video if token == FRAME_SLOT else token for token in ids]])
        timing: dict[str, Any] = {"second_per_grid_ts": torch.tensor([0.5])} if self._is_timed else {}
        with torch.no_grad():
            return self.model(
                input_ids=tokens,
                pixel_values_videos=pixels,
                video_grid_thw=self._grid(count),
                mm_token_type_ids=2 * (tokens == self.video).int(),
                position_ids=positions,
                **timing,
            ).logits[0]

    @staticmethod
    def _grid(count: int) -> Tensor:
        return torch.tensor([[count, SIDE * MERGE, SIDE * MERGE]])


def pixels_of(home: Path, count: int) -> Tensor:
    from d2vlm_pipeline.features.vlm_tower import VLMTower, normalised, patches_of

    tower = VLMTower(tower_config(home))
    return patches_of(normalised(torch.from_numpy(frames(count)), *tower._mean_and_std), tower._settings)


@pytest.mark.parametrize(("count", "own_positions"), [(4, True), (9, False)])
@pytest.mark.parametrize("rounded", [False, True])
def test_logits_are_those_of_the_whole_model_on_the_video(
    home: Path, count: int, own_positions: bool, rounded: bool
) -> None:
    """Without pooling: prefix, question and response in two passes against one pass of transformers."""
    bundle = fresh(home, grid=SIDE)
    theirs, pixels = Theirs(home, bundle), pixels_of(home, count)
    given = clip(bundle, count, ("absent",))
    if not rounded:
        given = replace(given, features_TNC=theirs.features(pixels, count))
    (branch,) = given.branches
    said = branch.responses[0].token_ids
    ids = [*given.prefix.ids, *branch.question_ids, *said]
    rest = range(given.prefix.next_position, given.prefix.next_position + len(ids) - len(given.prefix.ids))
    ours = torch.tensor([[*row, *rest] for row in given.prefix.positions])[:, None]
    expected = theirs.logits(pixels, count, ids, None if own_positions else ours)
    logits, _ = outputs(bundle, pack([given], bundle.tokens.pad))
    tolerance = {"atol": 5e-2, "rtol": 1e-2} if rounded else SAME
    torch.testing.assert_close(logits, expected[len(ids) - len(said) - 1 : -1], **tolerance)


def test_branches_behind_one_prefix_are_what_each_is_alone(bundle: ModelBundle) -> None:
    whole = clip(bundle, 8, ("tvg", "dvc", "tem"))
    logits, similarity = outputs(bundle, pack([whole], bundle.tokens.pad))
    alone = [
        outputs(bundle, pack([replace(whole, branches=[branch])], bundle.tokens.pad))
        for branch in whole.branches
    ]
    torch.testing.assert_close(logits, torch.cat([one[0] for one in alone]), **SAME)
    torch.testing.assert_close(similarity, torch.cat([one[1] for one in alone]), **SAME)


def test_padding_changes_nothing(bundle: ModelBundle) -> None:
    long, short = clip(bundle, 12, ("dvc",)), clip(bundle, 5, ("tvg", "rar"), seed=1)
    logits, similarity = outputs(bundle, pack([long, short], bundle.tokens.pad))
    alone = [outputs(bundle, pack([one], bundle.tokens.pad)) for one in (long, short)]
    torch.testing.assert_close(logits, torch.cat([one[0] for one in alone]), **SAME)
    torch.testing.assert_close(similarity[-2:, :5], alone[1][1], **SAME)


def gradients(bundle: ModelBundle, batches: list[list[Clip]]) -> dict[str, Tensor]:
    """Of the sum of all token losses; features are leaves, too."""
    model = bundle.model
    model.zero_grad(set_to_none=True)
    leaf = batches[0][0].features_TNC.clone().requires_grad_()
    for batch in batches:
        packed = pack([replace(one, features_TNC=leaf) for one in batch], bundle.tokens.pad)
        output, _ = model(packed)
        loss = torch.nn.functional.cross_entropy(output.token_logits_NV, packed.token_id_N, reduction="sum")
        (loss + torch.sigmoid(output.similarity_MT).sum()).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return found | {"features": leaf.grad}


def assert_same_gradients(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        scale = other[name].abs().max()
        assert scale > 0, name
        assert ((gradient - other[name]).abs().max() / scale).item() < 1e-4, name


def test_shared_gradients_are_the_sum_of_separate_ones_and_reach_every_weight(bundle: ModelBundle) -> None:
    whole = clip(bundle, 6, ("tvg", "dvc"))
    shared = gradients(bundle, [[whole]])
    apart = gradients(bundle, [[replace(whole, branches=[branch])] for branch in whole.branches])
    assert_same_gradients(shared, apart)
    assert shared.keys() == {name for name, _ in bundle.model.named_parameters()} | {"features"}
    assert (shared["features"].abs().sum(dim=(1, 2)) > 0).all()


def test_the_short_prefix_pass_gives_the_gradients_of_the_long_one(bundle: ModelBundle) -> None:
    whole = clip(bundle, 6, ("tvg", "dvc"))
    short = gradients(bundle, [[whole]])
    bundle.model.complete_prefix = True
    long = gradients(bundle, [[whole]])
    bundle.model.complete_prefix = False
    assert_same_gradients(short, long)


def test_cached_decoding_says_what_one_pass_says(bundle: ModelBundle) -> None:
    asked, tokens = clip(bundle, 7, ("tem",)), bundle.tokens
    (branch,) = asked.branches
    questions = [PromptQuestion(0, branch.question_ids, branch.question_evi_positions, branch.question_spans)]
    evi = {1, 3}  # where `<evi>` is said, whatever the model would say

    def adjust(step: int, logits: Tensor) -> Tensor:
        forced = logits.clone()
        forced[:, tokens.end] = -torch.inf
        forced[:, tokens.evi] = torch.inf if step in evi else -torch.inf
        return forced

    read = read_clips(bundle.model, [PromptClip(asked.prefix, asked.features_TNC)])
    (answer,) = generate(bundle.model, read, questions, tokens.evi, tokens.end, 6, adjust)
    places = [at for at, token in enumerate(answer.token_ids) if token == tokens.evi]
    spans = [(span.first, span.last) for span in answer.spans]
    said = Response(answer.token_ids, [True] * 6, places, spans, torch.zeros(len(places), 7), [])
    again = Branch(branch.question_ids, branch.question_evi_positions, branch.question_spans, [said])
    logits, _ = outputs(bundle, pack([Clip(asked.prefix, asked.features_TNC, [again])], tokens.pad))
    logits[:, tokens.evi] = logits[:, tokens.end] = -torch.inf
    free = [at for at in range(6) if at not in evi]
    assert [logits[at].argmax().item() for at in free] == [answer.token_ids[at] for at in free]


def test_a_second_question_decodes_as_it_would_alone(bundle: ModelBundle) -> None:
    asked, tokens = clip(bundle, 7, ("tvg", "tem", "rar")), bundle.tokens
    questions = [
        PromptQuestion(0, one.question_ids, one.question_evi_positions, one.question_spans)
        for one in asked.branches
    ]
    read = read_clips(bundle.model, [PromptClip(asked.prefix, asked.features_TNC)])
    together = generate(bundle.model, read, questions, tokens.evi, tokens.end, 8)
    alone = [generate(bundle.model, read, [one], tokens.evi, tokens.end, 8)[0] for one in questions]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]


def test_frames_see_one_another_only_where_asked_for(home: Path) -> None:
    """A later frame changes what an earlier one is made of under two-way attention alone."""
    for attention, is_moved in (("causal", False), ("bidirectional", True)):
        bundle = fresh(home, frame_attention=attention)
        given = clip(bundle, 5, ("tvg",))
        moved = replace(given, features_TNC=given.features_TNC.clone())
        moved.features_TNC[-1] += 1.0
        first, second = (
            bundle.model(pack([one], bundle.tokens.pad))[1].frames_match_BTD[0, 0] for one in (given, moved)
        )
        assert bool((first - second).abs().max() > 1e-4) is is_moved


def test_a_frame_s_state_is_the_mean_of_its_tokens(bundle: ModelBundle) -> None:
    given = clip(bundle, 3, ("tvg",))
    _, state = bundle.model(pack([given], bundle.tokens.pad))
    width = state.frames_in_BTD.shape[-1]
    torch.testing.assert_close(state.frames_in_BTD[0], given.features_TNC[..., :width].mean(1))


def test_every_level_of_features_counts(bundle: ModelBundle) -> None:
    given = clip(bundle, 4, ("tvg",))
    width = bundle.model.backbone.config.hidden_size
    seen, _ = outputs(bundle, pack([given], bundle.tokens.pad))
    for level in range(given.features_TNC.shape[-1] // width):
        blind = replace(given, features_TNC=given.features_TNC.clone())
        blind.features_TNC[..., level * width : (level + 1) * width] = 0.0
        changed, _ = outputs(bundle, pack([blind], bundle.tokens.pad))
        assert ((seen - changed).abs().amax(-1) > 1e-4).all()


def batch(bundle: ModelBundle) -> PackedBatch:
    return pack([clip(bundle, 8, ("tvg", "dvc"))], bundle.tokens.pad)


def test_a_saved_model_comes_back_without_checkpoint_and_tower(
    bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with atomic_directory(tmp_path / "model") as directory:
        save_model(bundle, directory)
    again = load_model(tmp_path / "model")
    assert again.model.config == bundle.model.config
    assert again.contract == bundle.contract
    assert again.tokens == bundle.tokens and again.layout == bundle.layout
    given = batch(bundle)
    for ours, theirs in zip(outputs(bundle, given), outputs(again, given), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.0, rtol=0.0)
    assert not [name for name in again.model.state_dict() if "visual" in name]


def test_a_step_lowers_the_loss(home: Path) -> None:
    bundle = fresh(home)
    optimiser = torch.optim.SGD(bundle.model.parameters(), lr=0.02)
    losses = []
    for _ in range(5):
        loss = sft_step(bundle.model, batch(bundle), SFTConfig()).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_features_of_another_tower_are_refused(home: Path, tmp_path: Path) -> None:
    config = ModelConfig(backbone=VLMConfig(path=str(home)), projector=TokensConfig())
    for other in (EfficientNetConfig(), tower_config(tmp_path)):
        with pytest.raises(UserError, match=r"reads features of its own tower; set encoder\.kind"):
            fresh_model(config, [], SamplingPolicy(), other, seed=0)


def test_a_language_model_is_no_video_language_model(tmp_path: Path) -> None:
    other = write_pretrained(tmp_path, "llama")
    config = ModelConfig(backbone=VLMConfig(path=str(other)), projector=TokensConfig())
    with pytest.raises(UserError, match="llama is no video-language model of a known type"):
        fresh_model(config, [], SamplingPolicy(), tower_config(other), seed=0)


def test_projector_and_backbone_go_together(home: Path) -> None:
    with pytest.raises(ValueError, match="backbone vlm does not go with projector pool"):
        ModelConfig(backbone=VLMConfig(path=str(home)), projector=PoolConfig())
    with pytest.raises(ValueError, match="backbone tiny_llama does not go with projector tokens"):
        ModelConfig(projector=TokensConfig())


def test_the_aligned_backbone_that_ships_is_another(home: Path) -> None:
    config = ModelConfig(backbone=VLMConfig(path=str(home)), projector=TokensConfig())
    with pytest.raises(UserError, match=r"set start\.kind to scratch"):
        start_model(StartConfig(), config, [], SamplingPolicy(), tower_config(home), seed=0)
