"""A tiny random Llama as a GGUF file, written as llama.cpp's converter writes one."""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from transformers import AutoModelForCausalLM, AutoTokenizer

from model.pretrained import CHATML, COMMON, write_pretrained

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_NORMAL, _CONTROL = 1, 3


def write_gguf(
    directory: Path, kind: GGMLQuantizationType = GGMLQuantizationType.F32, intermediate_size: int = 64
) -> tuple[Path, Path]:
    """The GGUF file, and the folder of the same model in the Hugging Face layout."""
    home = write_pretrained(directory, "llama", intermediate_size=intermediate_size)
    file = directory / "tiny.gguf"
    writer = GGUFWriter(file, "llama")
    _write_settings(writer, intermediate_size)
    _write_tokenizer(writer, home)
    for name, tensor in AutoModelForCausalLM.from_pretrained(home).state_dict().items():
        _write_tensor(writer, name.removesuffix(".weight"), tensor.numpy(), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file, home


def _write_settings(writer: GGUFWriter, intermediate_size: int) -> None:
    writer.add_context_length(COMMON["max_position_embeddings"])
    writer.add_embedding_length(COMMON["hidden_size"])
    writer.add_block_count(COMMON["num_hidden_layers"])
    writer.add_feed_forward_length(intermediate_size)
    writer.add_head_count(COMMON["num_attention_heads"])
    writer.add_head_count_kv(COMMON["num_key_value_heads"])
    writer.add_rope_dimension_count(COMMON["hidden_size"] // COMMON["num_attention_heads"])
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)


def _write_tokenizer(writer: GGUFWriter, home: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(home)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    control = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in control else _NORMAL for token in tokens])
    writer.add_token_merges(["r e"])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.eos_token_id)
    writer.add_unk_token_id(tokenizer.eos_token_id)
    writer.add_vocab_size(len(tokenizer))
    writer.add_chat_template(CHATML)


def _write_tensor(writer: GGUFWriter, name: str, values: np.ndarray, kind: GGMLQuantizationType) -> None:
    if name.endswith(("q_proj", "k_proj")):
        heads = COMMON["num_attention_heads" if name.endswith("q_proj") else "num_key_value_heads"]
        values = _interleaved(values, heads)
    kind = kind if values.ndim == 2 else GGMLQuantizationType.F32
    writer.add_tensor(f"{_gguf_name(name)}.weight", gguf.quantize(values, kind), raw_dtype=kind)


def _gguf_name(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_NAMES[rest]}"


def _interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Rotary pairs side by side, where transformers keeps the two halves of a head apart."""
    rows, columns = values.shape
    return (
        values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns).copy()
    )
