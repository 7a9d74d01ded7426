"""The projector that reads the question: each question sees the clip in its own way, and alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from d2vlm_pipeline.artifacts import atomic_directory
from d2vlm_pipeline.model import D2VLM, ModelBundle, load_model, save_model
from d2vlm_pipeline.model.config import QFormerConfig
from d2vlm_pipeline.model.generate import PromptClip
from d2vlm_pipeline.model.packing import Clip, pack, pad_questions
from d2vlm_pipeline.model.qformer import QFormerProjector
from d2vlm_pipeline.objectives import FPOConfig, SFTConfig
from d2vlm_pipeline.training.steps import fpo_step, sft_step
from model import tiny
from model.test_generation import ALL, EVI_STEPS, STEPS, Asked, assert_same_spans, decode, teacher_forced
from model.test_shared_prefix import assert_same, assert_same_gradient, compute

SAME = {"atol": 1e-5, "rtol": 1e-5}
SIZES = {"layers": 3, "width": 16, "heads": 2, "inner": 24, "queries": 5, "max_question_tokens": 64}
QFORMER = QFormerConfig(**SIZES, dropout=0.0)


def model(seed: int = 0, projector: QFormerConfig = QFORMER) -> D2VLM:
    return tiny.model(seed, projector=projector)


def projected(of: D2VLM, features_TNC: Tensor, *questions: list[int]) -> Tensor:
    """Frames of one clip as each of the questions sees them, [questions, T, D]."""
    shown = features_TNC.expand(len(questions), *features_TNC.shape)
    with torch.no_grad():
        return of.project(shown, pad_questions(questions)).squeeze(2)


def apart(clip: Clip) -> list[Clip]:
    return [replace(clip, branches=[branch]) for branch in clip.branches]


def test_every_frame_is_seen_with_the_question_in_mind() -> None:
    one, other = projected(model(), tiny.features(8), [20, 21, 22], [20, 21, 23])
    assert one.shape == (8, 32)
    assert ((one - other).abs().amax(-1) > 1e-3).all()


def test_frames_do_not_see_one_another() -> None:
    features = tiny.features(8)
    moved = features.clone()
    moved[3] = tiny.features(8, seed=1)[3]
    (seen,), (again,) = (projected(model(), frames, [20, 21]) for frames in (features, moved))
    changed = (seen - again).abs().amax(-1) > 1e-4
    assert changed.tolist() == [frame == 3 for frame in range(8)]
    # Only the time code tells equal frames apart.
    made = model()
    torch.nn.init.zeros_(made.projector.time.weight)
    (still,) = projected(made, features[:1].expand(4, -1, -1), [20, 21])
    torch.testing.assert_close(still, still[:1].expand_as(still), **SAME)
    (coded,) = projected(model(), features[:1].expand(4, -1, -1), [20, 21])
    assert not torch.allclose(coded[0], coded[1], atol=1e-3)


def test_a_token_is_what_the_formula_says() -> None:
    """method.md §1.1, row "aggregator", with the Q-Former's own output taken for granted."""
    made, features = model(), tiny.features(3)
    projector, question = made.projector, pad_questions([[20, 21, 22]])
    with torch.no_grad():
        queries = projector.widen(projector._read(features, question, 3))
        expected = []
        for frame, tokens_NC in enumerate(features):
            q, k = projector.query(queries[frame]), projector.key(tokens_NC)
            weights = torch.softmax(q @ k.T / tokens_NC.shape[-1] ** 0.5, dim=-1)
            expected.append(projector.out((weights @ tokens_NC + queries[frame]).mean(0)))
        torch.nn.init.zeros_(projector.time.weight)
    torch.testing.assert_close(projected(made, features, [20, 21, 22])[0], torch.stack(expected), **SAME)


def test_one_layer_in_two_looks_at_the_frame() -> None:
    layers = model(projector=QFormerConfig(**SIZES | {"layers": 4})).projector.qformer.encoder.layer
    assert [layer.has_cross_attention for layer in layers] == [True, False, True, False]


def test_padding_of_a_question_changes_nothing() -> None:
    short, long = [20, 21], [22, 23, 24, 25, 26, 27]
    together = projected(model(), tiny.features(5), short, long)
    for row, question in enumerate((short, long)):
        torch.testing.assert_close(together[row], projected(model(), tiny.features(5), question)[0], **SAME)


def test_of_a_long_question_the_end_is_read() -> None:
    made = model(projector=QFORMER.model_copy(update={"max_question_tokens": 4}))
    long, short = [30, 31, 20, 21, 22, 23], [25, 26]
    together = projected(made, tiny.features(5), long, short, [33])
    for row, question in enumerate(([20, 21, 22, 23], short, [33])):
        torch.testing.assert_close(together[row], projected(made, tiny.features(5), question)[0], **SAME)


def test_questions_in_one_batch_equal_questions_alone() -> None:
    made = model()
    clips = [*apart(tiny.clip(8)), *apart(tiny.clip(3, ("tem", "rar"), 1)), tiny.clip(12, ("dvc",), 2)]
    assert len({len(clip.branches[0].question_ids) for clip in clips}) > 2
    frozen = [name for name, parameter in made.named_parameters() if not parameter.requires_grad]
    together, alone = compute(made, [clips]), compute(made, [[clip] for clip in clips])
    for computed in (together, alone):
        for name in frozen:
            assert computed.gradients.pop(name) is None
    # What is added to all keys alike changes no softmax.
    for name in [name for name in together.gradients if name.endswith("attention.key.bias")]:
        assert together.gradients.pop(name).abs().max() < 1e-5
    assert_same(together, alone)
    for one, other in zip(together.features, alone.features, strict=True):
        assert_same_gradient(one.grad, other.grad)


def test_a_pair_shares_its_question_and_so_the_prefix() -> None:
    made, features = model(), tiny.features(8)
    both = tiny.pair_branch("tem", 8)
    sides = [replace(both, responses=[response]) for response in both.responses]
    shared = made(pack([tiny.clip_of(features, [both])], 0))[0]
    parts = [made(pack([tiny.clip_of(features, [side])], 0))[0] for side in sides]
    torch.testing.assert_close(
        shared.token_logits_NV, torch.cat([part.token_logits_NV for part in parts]), **SAME
    )
    step = fpo_step(made, pack([tiny.clip_of(features, [both])], 0), SFTConfig(), FPOConfig())
    assert torch.isfinite(step.loss)


def test_questions_that_share_a_clip_are_refused_with_the_mend() -> None:
    batch = pack([tiny.clip(8, ("tvg",)), tiny.clip(8, ("tvg", "dvc"))], 0)
    with pytest.raises(ValueError, match=r"clip 1 .* several questions.* clip of its own"):
        model()(batch)
    tiny.model()(batch)


def test_a_clip_may_say_what_is_asked_of_all_its_branches() -> None:
    made, clip = model(), replace(tiny.clip(8, ("tvg", "dvc")), asked=[20, 21])
    shared = made(pack([clip], 0))[0].token_logits_NV
    parts = [made(pack([part], 0))[0].token_logits_NV for part in apart(clip)]
    torch.testing.assert_close(shared, torch.cat(parts), **SAME)
    other = made(pack([replace(clip, asked=[20, 22])], 0))[0].token_logits_NV
    assert not torch.allclose(shared, other, atol=1e-4)


def test_everything_that_trains_learns_and_nothing_else_does() -> None:
    made = model()
    clips = [*apart(tiny.clip(8)), tiny.clip(5, ("tvg",))]
    leaves = [clip.features_TNC.requires_grad_() for clip in clips]
    sft_step(made, pack(clips, 0), SFTConfig()).loss.backward()
    moved = {name for name, p in made.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    trained = {name for name, p in made.named_parameters() if p.requires_grad}
    # What is added to all keys alike changes no softmax: of such a bias only rounding moves.
    assert trained >= moved >= {name for name in trained if not name.endswith("attention.key.bias")}
    unread = {name for name, _ in made.named_parameters()} - trained
    last = f"projector.qformer.encoder.layer.{SIZES['layers'] - 1}"
    assert {name.split(".dense")[0].split(".LayerNorm")[0] for name in unread} == {
        f"{last}.intermediate",
        f"{last}.output",
    }
    assert all((leaf.grad.abs().sum(dim=(1, 2)) > 0).all() for leaf in leaves)


@pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.form)
def test_cached_decoding_is_what_one_pass_over_the_answer_gives(asked: Asked) -> None:
    made = model()
    decoded = decode(made, [read_with(asked)], [asked.question(0)])
    (answer,) = decoded.answers
    logits, _ = teacher_forced(made, asked, answer)
    torch.testing.assert_close(torch.cat(decoded.logits), logits, **SAME)
    logits[:, tiny.tokens().evi] = -1e6
    greedy = logits.argmax(-1).tolist()
    assert all(answer.token_ids[step] == greedy[step] for step in range(STEPS) if step not in EVI_STEPS)


def read_with(asked: Asked) -> PromptClip:
    return replace(asked.clip, asked=asked.branch.question_ids)


def test_a_batch_of_answers_equals_batches_of_one() -> None:
    made = model()
    every = [*ALL, Asked(8, "dvc"), Asked(8, "rar")]
    together = decode(
        made, [read_with(asked) for asked in every], [asked.question(at) for at, asked in enumerate(every)]
    )
    for row, asked in enumerate(every):
        alone = decode(made, [read_with(asked)], [asked.question(0)])
        assert together.answers[row].token_ids == alone.answers[0].token_ids
        assert_same_spans(together.answers[row], alone.answers[0])
        torch.testing.assert_close(
            torch.stack([logits[row] for logits in together.logits]), torch.cat(alone.logits), **SAME
        )


def test_a_clip_is_not_read_without_its_question() -> None:
    with pytest.raises(ValueError, match="every clip to read needs what is asked"):
        decode(model(), [read_with(ALL[0]), ALL[1].clip], [ALL[0].question(0)])


def test_a_saved_model_comes_back(tmp_path: Path) -> None:
    bundle = ModelBundle(model(), tiny.tokenizer(), tiny.contract())
    with atomic_directory(tmp_path / "model") as directory:
        save_model(bundle, directory)
    again = load_model(tmp_path / "model")
    assert again.model.config == bundle.model.config and again.model.reads_question
    assert isinstance(again.model.projector, QFormerProjector)
    for (name, one), (_, other) in zip(
        again.model.named_parameters(), bundle.model.named_parameters(), strict=True
    ):
        assert one.requires_grad == other.requires_grad, name
    batch = pack([tiny.clip(8, ("tvg",))], 0)
    with torch.inference_mode():
        assert torch.equal(again.model(batch)[0].token_logits_NV, bundle.model(batch)[0].token_logits_NV)
