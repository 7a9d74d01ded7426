"""Where training starts, and why it sometimes refuses to."""

from pathlib import Path

import pytest
import torch

from d2vlm_pipeline.artifacts import UserError, atomic_directory
from d2vlm_pipeline.features import EfficientNetConfig, build_encoder
from d2vlm_pipeline.model import Contract, ModelBundle, save_model
from d2vlm_pipeline.model.config import CausalLMConfig, ModelConfig, QFormerConfig, StartConfig
from d2vlm_pipeline.model.start import start_model
from d2vlm_pipeline.timeline import Sample, SamplingPolicy
from model import tiny

ENCODER, SAMPLING = EfficientNetConfig(), SamplingPolicy()


def samples(split: str = "train") -> list[Sample]:
    return [tiny.sample(form, split=split) for form in tiny.EVERY_FORM]


def start(
    config: StartConfig, of: list[Sample], sampling: SamplingPolicy = SAMPLING, seed: int = 0
) -> ModelBundle:
    return start_model(config, tiny.config(), of, sampling, ENCODER, seed)


SCRATCH = StartConfig(kind="scratch")


def test_from_scratch_everything_fits_the_data_and_the_encoder() -> None:
    bundle = start(SCRATCH, samples())
    config, (tokens, channels) = bundle.model.config, build_encoder(ENCODER).shape_NC
    assert (config.frame_tokens, config.frame_channels) == (tokens, channels)
    assert config.backbone.vocab_size == len(bundle.tokenizer)
    assert bundle.contract.encoder_digest == build_encoder(ENCODER).digest
    assert bundle.model.project(torch.zeros(1, 2, tokens, channels)).shape == (
        1,
        2,
        1,
        config.backbone.hidden_size,
    )


def test_the_tokenizer_learns_from_the_training_split_alone() -> None:
    alone = start(SCRATCH, samples()).tokenizer.get_vocab()
    strange = tiny.sample("tvg", split="val", question="Zyzzyva zyzzyva zyzzyva zyzzyva?")
    assert start(SCRATCH, [*samples(), strange]).tokenizer.get_vocab() == alone
    with pytest.raises(UserError, match="no training sample"):
        start(SCRATCH, samples("val"))


def test_the_seed_decides_the_weights() -> None:
    def weights(seed: int) -> list[float]:
        return start(SCRATCH, samples(), seed=seed).model.projector.mix.weight.flatten().tolist()

    assert weights(1) == weights(1) != weights(2)


@pytest.fixture
def aligned(tmp_path: Path) -> Path:
    contract = Contract(sampling=SAMPLING, encoder=ENCODER, encoder_digest=build_encoder(ENCODER).digest)
    with atomic_directory(tmp_path / "aligned") as directory:
        save_model(ModelBundle(tiny.model(), tiny.tokenizer(), contract), directory)
    return tmp_path / "aligned"


def test_an_aligned_model_is_taken_as_it_is(aligned: Path) -> None:
    found = start(StartConfig(directory=str(aligned)), samples())
    expected = tiny.model().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.model.state_dict().items())


def test_an_aligned_model_of_other_sampling_is_refused(aligned: Path) -> None:
    with pytest.raises(UserError, match="aligned with another sampling"):
        start(StartConfig(directory=str(aligned)), samples(), SamplingPolicy(fps=1.0))


def test_an_aligned_model_of_another_encoder_is_refused(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "aligned") as directory:
        save_model(tiny.bundle(), directory)
    with pytest.raises(UserError, match="aligned with another encoder"):
        start(StartConfig(directory=str(tmp_path / "aligned")), samples())


def test_an_aligned_model_with_another_projector_is_refused(aligned: Path) -> None:
    config = tiny.config(projector=QFormerConfig(layers=1, width=8, heads=2, inner=8, queries=2))
    with pytest.raises(UserError, match=r"projector\.kind is qformer.* aligned with pool.*scratch"):
        start_model(StartConfig(directory=str(aligned)), config, samples(), SAMPLING, ENCODER, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (CausalLMConfig(path="some/model"), r"backbone\.kind is causal_lm, but .* aligned with tiny_llama"),
        ({"frame_attention": "causal"}, "frame_attention is causal, but .* aligned with bidirectional"),
    ],
)
def test_an_aligned_model_around_another_backbone_is_refused(
    aligned: Path, change: CausalLMConfig | dict[str, str], message: str
) -> None:
    given = tiny.config()
    backbone = given.backbone.model_copy(update=change) if isinstance(change, dict) else change
    config = given.model_copy(update={"backbone": backbone})
    with pytest.raises(UserError, match=message):
        start_model(StartConfig(directory=str(aligned)), config, samples(), SAMPLING, ENCODER, 0)


def test_a_damaged_aligned_model_is_refused(aligned: Path) -> None:
    config = aligned / "config.json"
    config.write_text(config.read_text().replace("0.6", "0.5"))
    with pytest.raises(UserError, match=r"config\.json: content does not match"):
        start(StartConfig(directory=str(aligned)), samples())


def test_an_aligned_model_that_was_not_made_yet_is_one_line_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no aligned backbone is there; run `kedro run --pipelines"):
        start(StartConfig(directory=str(tmp_path / "nowhere")), samples())


def test_the_shipped_backbone_is_not_taken_for_another_one() -> None:
    config = ModelConfig(backbone=CausalLMConfig(path="some/model"))
    with pytest.raises(UserError, match=r"some/model, but the aligned backbone that ships is another"):
        start_model(StartConfig(), config, samples(), SAMPLING, ENCODER, 0)
