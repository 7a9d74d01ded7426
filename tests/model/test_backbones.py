"""Language models of several architectures behind one interface: tiny, random, never from a network."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.features import EfficientNetConfig
from d2vlm_pipeline.model import ModelBundle, load_model, save_model
from d2vlm_pipeline.model.backbones import pretrained
from d2vlm_pipeline.model.branches import ATTENTION
from d2vlm_pipeline.model.config import CausalLMConfig, ModelConfig
from d2vlm_pipeline.model.generate import PromptClip, PromptQuestion, generate, read_clips
from d2vlm_pipeline.model.packing import Branch, Clip, Response, pack
from d2vlm_pipeline.model.start import fresh_model
from d2vlm_pipeline.model.tokens import ASSISTANT, END, PAD, USER, PromptTokens
from d2vlm_pipeline.objectives import SFTConfig
from d2vlm_pipeline.timeline import EVI, EVI_END, SamplingPolicy
from d2vlm_pipeline.training.steps import sft_step
from model.pretrained import ARCHITECTURES, clip, fresh, outputs, write_pretrained


@pytest.fixture(scope="module", params=ARCHITECTURES)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    home = write_pretrained(tmp_path_factory.mktemp(request.param), request.param)
    return fresh(home)


def test_branches_behind_one_prefix_are_what_each_is_alone(bundle: ModelBundle) -> None:
    forms = ("tvg", "dvc", "tem")
    logits, similarity = outputs(bundle, pack([clip(bundle, 8, forms)], bundle.tokens.pad))
    alone = [outputs(bundle, pack([clip(bundle, 8, (form,))], bundle.tokens.pad)) for form in forms]
    torch.testing.assert_close(logits, torch.cat([one[0] for one in alone]), atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(similarity, torch.cat([one[1] for one in alone]), atol=2e-4, rtol=1e-4)


def test_padding_changes_nothing(bundle: ModelBundle) -> None:
    long, short = clip(bundle, 12, ("dvc",)), clip(bundle, 5, ("tvg",), seed=1)
    logits, similarity = outputs(bundle, pack([long, short], bundle.tokens.pad))
    alone = [outputs(bundle, pack([one], bundle.tokens.pad)) for one in (long, short)]
    torch.testing.assert_close(logits, torch.cat([one[0] for one in alone]), atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(similarity[-2:, :5], alone[1][1], atol=2e-4, rtol=1e-4)


def test_the_short_prefix_pass_gives_the_gradients_of_the_long_one(bundle: ModelBundle) -> None:
    model, batch = bundle.model, pack([clip(bundle, 8, ("tvg", "dvc"))], bundle.tokens.pad)
    found = []
    for complete in (False, True):
        model.complete_prefix = complete
        model.zero_grad(set_to_none=True)
        sft_step(model, batch, SFTConfig()).loss.backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    model.complete_prefix = False
    assert found[0].keys() == found[1].keys() == {name for name, _ in model.named_parameters()}
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], atol=1e-5, rtol=1e-4, msg=name)


def test_cached_decoding_says_what_one_pass_says(bundle: ModelBundle) -> None:
    tokens, branch = bundle.tokens, clip(bundle, 8, ("tem",)).branches[0]
    asked = clip(bundle, 8, ("tem",))

    def some_evidence(step: int, logits_QV: Tensor) -> Tensor:
        wanted = logits_QV.clone()
        wanted[:, tokens.evi] = 1e6 if step in (1, 3) else -1e6
        return wanted

    (answer,) = generate(
        bundle.model,
        read_clips(bundle.model, [PromptClip(asked.prefix, asked.features_TNC)]),
        [PromptQuestion(0, branch.question_ids, branch.question_evi_positions, branch.question_spans)],
        tokens.evi,
        -1,
        6,
        some_evidence,
    )
    spans = [(span.first, span.last) for span in answer.spans]
    said = Response(answer.token_ids, [True] * 6, [1, 3], spans, torch.zeros(2, 8), [])
    again = Branch(branch.question_ids, branch.question_evi_positions, branch.question_spans, [said])
    logits, _ = outputs(bundle, pack([Clip(asked.prefix, asked.features_TNC, [again])], tokens.pad))
    logits[:, tokens.evi] = -torch.inf
    free = [at for at in range(6) if at not in (1, 3)]
    assert [logits[at].argmax().item() for at in free] == [answer.token_ids[at] for at in free]


def test_a_saved_model_comes_back_without_the_pretrained_folder(
    bundle: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with atomic_directory(tmp_path / "model") as directory:
        save_model(bundle, directory)
    again = load_model(tmp_path / "model")
    assert again.model.config == bundle.model.config
    assert again.tokens == bundle.tokens
    batch = pack([clip(bundle, 8, ("tvg", "dvc"))], bundle.tokens.pad)
    for ours, theirs in zip(outputs(bundle, batch), outputs(again, batch), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.0, rtol=0.0)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(tmp_path_factory.mktemp("llama"), "llama")


def test_a_chat_template_gives_the_tokens_of_the_prompt(llama: Path) -> None:
    made = fresh(llama)
    decode = made.tokenizer.decode
    assert decode(made.tokens.before_frames) == "<|im_start|>user\n"
    assert decode(made.tokens.before_answer) == "<|im_end|>\n<|im_start|>assistant\n"
    assert decode([made.tokens.end]) == "<|im_end|>"
    assert made.tokenizer.tokenize(f"{EVI}{EVI_END}") == [EVI, EVI_END]


def test_without_a_template_the_prompt_has_tokens_of_its_own(tmp_path: Path) -> None:
    made = fresh(write_pretrained(tmp_path, "llama", template=None))
    assert made.tokenizer.decode(made.tokens.before_answer) == f"{END}{ASSISTANT}"
    assert {PAD, USER, ASSISTANT, END, EVI, EVI_END} <= made.tokenizer.get_vocab().keys()


def test_new_tokens_start_near_the_mean_and_apart_and_old_ones_stay(llama: Path) -> None:
    before = AutoModelForCausalLM.from_pretrained(llama).get_input_embeddings().weight.detach()
    model, tokenizer = pretrained(CausalLMConfig(path=str(llama)), seed=0)
    after = model.get_input_embeddings().weight.detach()
    assert torch.equal(after[: len(before)], before)
    new = [tokenizer.get_vocab()[name] for name in (EVI, EVI_END)]
    assert sorted(new) == [len(before), len(before) + 1]
    for table in (after, model.get_output_embeddings().weight.detach()):
        known = table[: len(before)]
        away = (table[new] - known.mean(0)).abs() / known.std(0)
        assert 0.0 < float(away.max()) < 1.0
        assert not torch.equal(table[new[0]], table[new[1]])


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content }}{{ messages[0].content }}{{ messages[-1].content }}",
        "{{ messages[0].content }}",
    ],
)
def test_a_template_that_does_not_hold_both_turns_once_is_refused(llama: Path, template: str) -> None:
    _, tokenizer = pretrained(CausalLMConfig(path=str(llama)), seed=0)
    tokenizer.chat_template = template
    with pytest.raises(UserError, match="each turn once"):
        PromptTokens.of(tokenizer)


def test_an_answer_that_no_special_token_closes_is_refused(llama: Path) -> None:
    _, tokenizer = pretrained(CausalLMConfig(path=str(llama)), seed=0)
    tokenizer.chat_template = "{% for turn in messages %}{{ turn.content }} over. {% endfor %}"
    with pytest.raises(UserError, match="no special token"):
        PromptTokens.of(tokenizer)


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be loaded .* name a folder") as caught:
        pretrained(CausalLMConfig(path=str(tmp_path)), seed=0)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    home = write_pretrained(tmp_path, "llama")
    weights = load_file(home / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if ".layers.1." not in name}
    save_file(kept, home / "model.safetensors", {"format": "pt"})
    lacking = len(weights) - len(kept)
    with pytest.raises(UserError, match=rf"{lacking} of its weights are missing .* first model\.layers\.1\."):
        pretrained(CausalLMConfig(path=str(home)), seed=0)


def test_weights_of_another_size_are_refused_in_one_line(tmp_path: Path) -> None:
    home = write_pretrained(tmp_path, "llama")
    config = json.loads((home / "config.json").read_text())
    (home / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    message = r"12 of its weights are .* of another size, first model\.layers\.0\.mlp\.down_proj\.weight"
    with pytest.raises(UserError, match=message) as caught:
        pretrained(CausalLMConfig(path=str(home)), seed=0)
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    home = write_pretrained(tmp_path, "llama")
    whole = (home / "model.safetensors").read_bytes()
    (home / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        pretrained(CausalLMConfig(path=str(home)), seed=0)
    assert "\n" not in str(caught.value)


def test_a_layer_that_does_not_exist_is_refused(llama: Path) -> None:
    config = ModelConfig(backbone=CausalLMConfig(path=str(llama)), semantic_layer=4)
    with pytest.raises(UserError, match="semantic_layer 4 must be below 4 layers"):
        fresh_model(config, [], SamplingPolicy(), EfficientNetConfig(), seed=0)


def test_logits_are_those_of_the_library_s_own_pass(bundle: ModelBundle) -> None:
    """Frames in causal order, one branch without evidence: a plain sequence of embeddings."""
    model, asked = bundle.model, clip(bundle, 8, ("absent",))
    model.config = model.config.model_copy(
        update={"backbone": model.config.backbone.model_copy(update={"frame_attention": "causal"})}
    )
    batch = pack([asked], bundle.tokens.pad)
    with torch.no_grad():
        logits, _ = outputs(bundle, batch)
        text = model.embed(torch.cat([batch.prefix_ids_BP[0], batch.suffix_ids_S]))
        slots = batch.frame_slot_BP[0].nonzero().squeeze(1)
        text[slots] = model.project(batch.features_BTNC)[0, :, 0]
        model.backbone.set_attn_implementation("eager")
        theirs = model.backbone(inputs_embeds=text[None]).logits[0, batch.prefix_ids_BP.shape[1] :]
    model.backbone.set_attn_implementation(ATTENTION)
    torch.testing.assert_close(logits, theirs[batch.token_row_N], atol=2e-4, rtol=1e-4)


def rewrite(home: Path, **changes: float | None) -> None:
    """Change settings of a stored model."""
    settings = home / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | changes))


def test_a_backbone_that_caps_its_attention_is_refused(tmp_path: Path) -> None:
    home = write_pretrained(tmp_path, "gemma2", head_dim=8)
    rewrite(home, final_logit_softcapping=None)
    with pytest.raises(UserError, match="caps its attention logits; choose one that does not"):
        fresh(home)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "backbone.json is missing"),
        ("unknown", "not a known causal language model"),
        ("text", "line 1"),
    ],
)
def test_a_damaged_architecture_is_named(llama: Path, tmp_path: Path, damage: str, message: str) -> None:
    with atomic_directory(tmp_path / "model") as directory:
        save_model(fresh(llama), directory)
    home, path = tmp_path / "damaged", tmp_path / "damaged" / "backbone.json"
    shutil.copytree(tmp_path / "model", home)
    if damage == "missing":
        path.unlink()
    elif damage == "unknown":
        path.write_text(json.dumps({"model_type": "abacus"}))
    else:
        path.write_text("{")
    with pytest.raises(UserError, match=message):
        load_model(home)


@pytest.mark.parametrize(
    ("architecture", "change"),
    [
        ("granite", {"logits_scaling": 8.0}),
        ("cohere", {"logit_scale": 0.0625}),
        ("gemma3_text", {"final_logit_softcapping": 30.0}),
    ],
)
def test_a_backbone_whose_logits_are_not_its_output_layers_is_refused(
    architecture: str, change: dict[str, float], tmp_path: Path
) -> None:
    home = write_pretrained(tmp_path, architecture)
    rewrite(home, **change)
    with pytest.raises(UserError, match=r"ForCausalLM scales or caps its logits.* choose a model"):
        fresh(home)
