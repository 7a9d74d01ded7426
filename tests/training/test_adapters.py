"""Tuned models through the catalog's dataset: whole or as an adapter, phase after phase."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from d2vlm_pipeline.artifacts import UserError, verify
from d2vlm_pipeline.features import ClipFeatures, FeatureStore, StoredClips, write_store
from d2vlm_pipeline.model import ModelBundle, load_model
from d2vlm_pipeline.model.tokens import evidence_token_ids
from d2vlm_pipeline.orchestration import DirectoryDataset
from d2vlm_pipeline.timeline import PreferencePair, Sample
from d2vlm_pipeline.training.config import FrozenTuning, LoraTuning, OptimConfig, TrainConfig
from d2vlm_pipeline.training.phases import train_fpo, train_sft
from model import tiny, vlm
from model.pretrained import ARCHITECTURES, features, fresh, write_pretrained

FRAMES = {"a.mp4": 8, "b.mp4": 6}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pretrained(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> StoredClips:
    directory = tmp_path_factory.mktemp("store")
    found = [
        ClipFeatures(video, "p", "e", features(frames, seed).half().numpy(), tiny.clock(frames))
        for seed, (video, frames) in enumerate(sorted(FRAMES.items()))
    ]
    write_store(directory, found)
    return StoredClips(FeatureStore(directory), {video: video for video in FRAMES}, "p", "e")


def samples() -> list[Sample]:
    forms = ("tvg", "dvc", "rar", "absent")
    return [tiny.sample(form, id=f"{video}-{form}", video=video) for video in FRAMES for form in forms]


def pairs() -> list[PreferencePair]:
    return [tiny.pair(sample) for sample in samples() if sample.events]


def config(tuning: LoraTuning | FrozenTuning, steps: int = 3, **changes: object) -> TrainConfig:
    given = {"steps": steps, "clips_per_step": 2, "threads": 1, "optim": OptimConfig(learning_rate=2e-2)}
    return TrainConfig.model_validate(given | {"tuning": tuning} | changes)


def dataset(path: Path, **load_args: str) -> DirectoryDataset:
    """The catalog's entry of a model."""
    return DirectoryDataset(
        filepath=str(path),
        save="d2vlm_pipeline.model.save_model",
        load="d2vlm_pipeline.model.load_model",
        load_args=load_args,
    )


def through_disk(bundle: ModelBundle, path: Path) -> ModelBundle:
    dataset(path).save(bundle)
    verify(path)
    found: ModelBundle = dataset(path).load()
    return found


def assert_same(one: ModelBundle, other: ModelBundle) -> None:
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name
    assert one.tokens == other.tokens


@pytest.mark.parametrize("save", ["merged", "adapter"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_preferences_continue_from_a_tuned_model_that_was_saved(
    home: Path, clips: StoredClips, tmp_path: Path, save: str, precision: str
) -> None:
    tuning = LoraTuning.model_validate({"rank": 2, "dropout": 0.0, "save": save})
    settings = config(tuning, precision=precision)
    sft = train_sft(fresh(home), samples(), clips, settings).bundle
    begun = through_disk(sft, tmp_path / "sft")
    assert_same(sft, begun)
    fpo = train_fpo(begun, samples(), pairs(), clips, settings).bundle
    assert not torch.equal(
        fpo.model.layers[0].self_attn.o_proj.weight, sft.model.layers[0].self_attn.o_proj.weight
    )
    assert_same(fpo, through_disk(fpo, tmp_path / "fpo"))
    files = {path.name for path in (tmp_path / "fpo").iterdir()}
    assert ("adapter.safetensors" in files) == (save == "adapter")
    assert ("model.safetensors" in files) == (save == "merged")


@pytest.mark.parametrize("architecture", vlm.ARCHITECTURES)
def test_a_video_language_model_is_tuned_and_stored_alike(architecture: str, tmp_path: Path) -> None:
    home = vlm.write_vlm(tmp_path, architecture)
    clips = vlm.store(tmp_path / "store", vlm.tower_config(home), FRAMES)
    tuning = LoraTuning(rank=2, targets="linear", save="adapter")
    trained = train_sft(vlm.fresh(home), samples(), clips, config(tuning, precision="bfloat16"))
    assert all(math.isfinite(point["loss"]) for point in trained.curve.points)
    assert_same(trained.bundle, through_disk(trained.bundle, tmp_path / "sft"))


def test_a_merged_model_needs_no_base(llama: Path, clips: StoredClips, tmp_path: Path) -> None:
    home = shutil.copytree(llama, tmp_path / "llama")
    trained = train_sft(fresh(home), samples(), clips, config(LoraTuning(rank=2))).bundle
    dataset(tmp_path / "sft").save(trained)
    shutil.rmtree(home)
    assert_same(trained, load_model(tmp_path / "sft"))


def test_an_adapter_holds_what_training_changed_and_no_more(
    home: Path, clips: StoredClips, tmp_path: Path
) -> None:
    trained = train_sft(fresh(home), samples(), clips, config(LoraTuning(rank=2, save="adapter"))).bundle
    through_disk(trained, tmp_path / "sft")
    tensors = load_file(tmp_path / "sft" / "adapter.safetensors")
    of_backbone = [name for name in tensors if "backbone." in name and not name.startswith("stage")]
    assert {name.split(".")[0] for name in of_backbone} == {"rows", "ids"}
    for name in of_backbone:
        assert len(tensors[name]) == len(evidence_token_ids(trained.tokenizer))
    assert {name.split(".")[1] for name in tensors if name.startswith("whole.")} == {
        "projector",
        "query_head",
        "key_head",
    }
    backbone = sum(parameter.numel() for parameter in trained.model.backbone.parameters())
    stored = sum(tensor.numel() for name, tensor in tensors.items() if not name.startswith("whole."))
    assert stored < 0.15 * backbone


def test_around_a_frozen_backbone_only_rows_of_it_are_stored(
    llama: Path, clips: StoredClips, tmp_path: Path
) -> None:
    tuning = FrozenTuning(embeddings="none", save="adapter")
    trained = train_sft(fresh(llama), samples(), clips, config(tuning)).bundle
    assert_same(trained, through_disk(trained, tmp_path / "sft"))


def test_what_adapters_do_not_explain_is_stored_whole(
    llama: Path, clips: StoredClips, tmp_path: Path
) -> None:
    """A phase that began with merged weights: its adapter alone would not lead back to them."""
    merged = train_sft(fresh(llama), samples(), clips, config(LoraTuning(rank=2))).bundle
    trained = train_fpo(merged, samples(), pairs(), clips, config(LoraTuning(rank=2, save="adapter"))).bundle
    assert_same(trained, through_disk(trained, tmp_path / "fpo"))


def test_all_embeddings_may_train_in_an_adapter(llama: Path, clips: StoredClips, tmp_path: Path) -> None:
    tuning = LoraTuning(rank=2, embeddings="all", save="adapter")
    trained = train_sft(fresh(llama), samples(), clips, config(tuning, precision="bfloat16")).bundle
    assert_same(trained, through_disk(trained, tmp_path / "sft"))


@pytest.fixture
def adapter(llama: Path, clips: StoredClips, tmp_path: Path) -> Path:
    """An adapter whose base lies in `tmp_path / "llama"`."""
    home = shutil.copytree(llama, tmp_path / "llama")
    trained = train_sft(fresh(home), samples(), clips, config(LoraTuning(rank=2, save="adapter"))).bundle
    dataset(tmp_path / "sft").save(trained)
    return tmp_path / "sft"


def test_a_base_that_has_moved_is_given(adapter: Path, tmp_path: Path) -> None:
    expected: ModelBundle = dataset(adapter).load()
    (tmp_path / "llama").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"is an adapter and needs its base: backbone .* cannot be loaded"):
        dataset(adapter).load()
    assert_same(expected, dataset(adapter, base=str(tmp_path / "elsewhere")).load())


def change_base(tmp_path: Path) -> None:
    path = tmp_path / "llama" / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.0.mlp.up_proj.weight"][0, 0] += 1e-3
    save_file(tensors, path, metadata={"format": "pt"})


def change_row(tmp_path: Path) -> None:
    path = tmp_path / "sft" / "adapter.safetensors"
    tensors = load_file(path)
    tensors["whole.query_head.1.weight"] = tensors["whole.query_head.1.weight"][:3].clone()
    save_file(tensors, path)


def change_record(tmp_path: Path) -> None:
    path = tmp_path / "sft" / "adapter.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spam": 1}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_base, r"made for other weights than those of .*llama \(sha256 .*tuning\.save: merged"),
        (change_row, r"does not fit config\.json \(first difference: query_head\.1\.weight\)"),
        (change_record, r"adapter\.json: spam"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(
    adapter: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        load_model(adapter)
    assert "\n" not in str(caught.value)


def test_a_model_without_a_base_is_saved_whole_only(clips: StoredClips) -> None:
    with pytest.raises(UserError, match=r"sft\.tuning\.save adapter: a tiny_llama has no base"):
        train_sft(tiny.bundle(), samples(), clips, config(LoraTuning(save="adapter")))
