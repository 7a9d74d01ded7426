"""What a library hangs on modules and weights, taken off again: a plain model is left."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

_Attributes = dict[int, set[str]]


class Unmarked:
    """How modules and weights were before a library took them."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._before: _Attributes = {id(each): set(vars(each)) for each in self._all()}

    def _all(self) -> Iterator[nn.Module | nn.Parameter]:
        yield from self._model.modules()
        yield from self._model.parameters()

    def restore(self, weights: dict[str, Tensor]) -> None:
        """The model as it was, with these weights; modules and parameters are the same objects."""
        for name, parameter in self._model.named_parameters():
            parameter.data = weights[name]
            parameter.grad = None
        for module in self._model.modules():
            module._parameters = dict(module._parameters)
        for each in self._all():
            for name in sorted(set(vars(each)) - self._before[id(each)]):
                delattr(each, name)
