"""A model without its weights, on the meta device: what there is to count, whatever the machine can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from d2vlm_pipeline.artifacts import UserError
from d2vlm_pipeline.model.architectures import find_architecture
from d2vlm_pipeline.model.backbones import tiny_llama
from d2vlm_pipeline.model.build import build_model
from d2vlm_pipeline.model.config import BackboneConfig, CausalLMConfig, ModelConfig, VLMConfig
from d2vlm_pipeline.model.d2vlm import D2VLM
from d2vlm_pipeline.model.gguf import gguf_architecture
from d2vlm_pipeline.model.vlm import LanguageHalf, check_known, text_config
from d2vlm_pipeline.training.activations import Decoder
from d2vlm_pipeline.training.config import FrozenTuning, FullTuning, LoraTuning
from d2vlm_pipeline.training.forecast import Parameters
from d2vlm_pipeline.training.tuning import is_adapter, tuned

_NEW_TOKENS = (0, 1)  # `<evi>` and `</evi>`; which rows they are makes no difference here


@dataclass(frozen=True)
class PartCount:
    """Parameters of a part of the model."""

    total: int
    trained: int


@dataclass(frozen=True)
class Blueprint:
    """What a phase trains, counted: parameters by part, all together, and the sizes of the decoder."""

    parts: dict[str, PartCount]
    parameters: Parameters
    decoder: Decoder

    @property
    def total(self) -> PartCount:
        """Of the whole model."""
        parts = self.parts.values()
        return PartCount(sum(part.total for part in parts), sum(part.trained for part in parts))


def draw_blueprint(config: ModelConfig, tuning: FullTuning | FrozenTuning | LoraTuning) -> Blueprint:
    """Build a model as it trains, without weights, and count.

    Raises:
        UserError: the backbone's architecture is not on this machine, or has too few layers.
    """
    with _meta_model(config, tuning) as model:
        return Blueprint(count_parts(model), count_parameters(model), decoder_of(model, tuning))


@contextmanager
def _meta_model(config: ModelConfig, tuning: FullTuning | FrozenTuning | LoraTuning) -> Iterator[D2VLM]:
    with torch.device("meta"):
        try:
            model = build_model(config, 0, _backbone(config.backbone))
        except ValueError as error:
            raise UserError(f"model: {error}") from None
        with tuned(model, tuning, _NEW_TOKENS, 0):
            yield model


def _backbone(config: BackboneConfig | CausalLMConfig | VLMConfig) -> PreTrainedModel:
    """The backbone's architecture, on the default device."""
    if isinstance(config, BackboneConfig):
        return tiny_llama(config)
    if isinstance(config, VLMConfig):
        whole = find_architecture(config.path, config.revision, config.architecture)
        check_known(config.path, whole)
        return LanguageHalf(text_config(whole))
    if config.gguf:
        return AutoModelForCausalLM.from_config(gguf_architecture(config.gguf))
    found = find_architecture(config.name, config.revision, config.architecture)
    return AutoModelForCausalLM.from_config(found)


def count_parts(model: D2VLM) -> dict[str, PartCount]:
    """Parameters by part; a tensor that is used twice counts once."""
    found: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        found.setdefault(_part(name), []).append(parameter)
    return {
        part: PartCount(_size(parameters), _size([p for p in parameters if p.requires_grad]))
        for part, parameters in found.items()
    }


def count_parameters(model: D2VLM) -> Parameters:
    """Parameters of the whole model as a forecast wants them."""
    everything = list(model.parameters())
    trained = [parameter for parameter in everything if parameter.requires_grad]
    tables = (model.backbone.get_input_embeddings(), model.backbone.get_output_embeddings())
    whole = [_size(list(module.parameters())) for module in (*model.layers, *tables)]
    return Parameters(
        frozen=_size(everything) - _size(trained),
        trained=_size(trained),
        largest=max(whole),
    )


def decoder_of(model: D2VLM, tuning: FullTuning | FrozenTuning | LoraTuning) -> Decoder:
    """Sizes of the backbone, and what of its layers learns."""
    config = model.backbone.config
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    head = config.to_dict().get("head_dim") or config.hidden_size // heads
    norms = 0
    for name, module in model.layers[0].named_modules():
        if type(module).__name__.endswith("Norm"):
            width = sum(parameter.numel() for parameter in module.parameters())
            of_heads = heads if name.rpartition(".")[2].startswith("q") else key_heads
            norms += width if width == config.hidden_size else width * of_heads
    reads, ranks = _adapters(model.layers[0], tuning)
    return Decoder(
        layers=len(model.layers),
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        query=heads * head,
        key_value=key_heads * head,
        heads=heads,
        vocabulary=config.vocab_size,
        norms=norms,
        learns_maps=isinstance(tuning, FullTuning),
        adapter_reads=reads,
        adapter_ranks=ranks,
        adapter_mask=1 if isinstance(tuning, LoraTuning) and tuning.dropout > 0 else 0,
    )


def _adapters(layer: nn.Module, tuning: FullTuning | FrozenTuning | LoraTuning) -> tuple[int, int]:
    """What the adapters of a layer read and keep, and their ranks together."""
    if not isinstance(tuning, LoraTuning):
        return 0, 0
    from peft.tuners.lora import LoraLayer

    adapted = [module.get_base_layer() for module in layer.modules() if isinstance(module, LoraLayer)]
    widths = [base.get_parameter("weight").shape[1] for base in adapted]
    # Without dropout, maps that read the same keep it once: the widths there are, each of them once or twice.
    reads = sum(widths) if tuning.dropout > 0 else sum(set(widths))
    return reads, tuning.rank * len(adapted)


def _part(name: str) -> str:
    if is_adapter(name):
        return "adapters"
    if not name.startswith("backbone."):
        return "heads" if name.split(".")[0].endswith("_head") else name.split(".")[0]
    return "decoder layers" if ".layers." in name else "embeddings and last norm"


def _size(parameters: list[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
