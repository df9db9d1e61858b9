"""What the input touches in one forward, and the weights of its linear maps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import ref

from torch import Tensor

from grape_bench.network.derived import Place, Places
from grape_bench.network.graph import Node, reach
from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.trees import tensors


@dataclass(frozen=True)
class Weights:
    """The weights of a forward's linear maps: parameters by their `id`, and those computed from parameters by place.

    `gates` are nodes through which the input gradients of these maps pass, and nothing else does.
    """

    parameters: set[int]
    derived: dict[Place, Tensor]
    gates: set[Node]


class InputTaint(OperatorMode):
    """Follows the input through the forward; `entries` are the nodes made by operations that touched it.

    Token ids carry no gradient, so the autograd graph alone cannot tell an embedded input from an embedded
    position; a walk from any node that depends on the input ends at one of `entries`.
    """

    def __init__(self, inputs: Iterable[Tensor], parameters: Iterable[Tensor], places: Places) -> None:
        super().__init__()
        # Weak, so that activations are freed as in any forward; dead ones are told by their reference.
        self._tainted: dict[int, ref[Tensor]] = {id(tensor): ref(tensor) for tensor in inputs}
        self._parameters = {id(parameter) for parameter in parameters}
        self._places = places
        self._maps: list[tuple[int | Place, Node | None]] = []
        self._derived: dict[Place, Tensor] = {}
        self._others: set[Place | None] = {None}
        self.entries: set[Node] = set()

    def weights(self) -> Weights:
        """Those that do not depend on the input, at the end of the forward."""
        derived = {
            place: weight
            for place, weight in self._derived.items()
            if place not in self._others and not reach([weight.grad_fn]) & self.entries
        }
        known = {key for key, _ in self._maps if isinstance(key, int) or key in derived}
        gates = {gate for key, gate in self._maps if gate is not None and key in known}
        values = {place: weight.detach() for place, weight in derived.items()}
        return Weights({key for key in known if isinstance(key, int)}, values, gates)

    def linear_map(self, call: LinearMap) -> Tensor:
        """Notes the weight (the parameter that it is a view of), and gives the input a node of its own."""
        weight = call.weight
        parameter = weight if weight._base is None else weight._base
        input = call.input if call.input.grad_fn is None else call.input.view_as(call.input)
        if id(parameter) in self._parameters:
            self._maps.append((id(parameter), input.grad_fn))
        else:
            self._note_other(weight, input.grad_fn)
        return call.apply(input, weight, call.bias)

    def _note_other(self, weight: Tensor, gate: Node | None) -> None:
        place = self._places.next()
        overlapping = 0 in weight.stride()  # no other matrix could be laid out as it is
        if place is None or weight.grad_fn is None or overlapping or self._is_tainted(weight):
            self._others.add(place)
        else:
            self._maps.append((place, gate))
            self._derived.setdefault(place, weight)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs)
        if any(self._is_tainted(tensor) for tensor in tensors([args, kwargs])):
            written = args[:1] if func is Tensor.__setitem__ else ()
            for tensor in tensors([result, written]):
                self._tainted[id(tensor)] = ref(tensor)
                if tensor.grad_fn is not None:
                    self.entries.add(tensor.grad_fn)
        return result

    def _is_tainted(self, tensor: Tensor) -> bool:
        held = self._tainted.get(id(tensor))
        return held is not None and held() is tensor
