"""Follow the input through a forward, and find the weights that it is multiplied by."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from grape_bench.network import recurrent
from grape_bench.network.channels import Channels, Operator
from grape_bench.network.graph import Node, parameters_reached, reach
from grape_bench.network.operators import OPERATORS, CallSite, CallSites, LinearMap
from grape_bench.network.products import PRODUCTS, Product
from grape_bench.network.trees import map_tensors, tensors
from grape_bench.network.weights import WeightMode, is_transformed, memory


@dataclass(frozen=True)
class Weights:
    """The weights of a forward's linear maps: parameters by `id`, and weights computed from parameters by call site.

    `gates` are nodes that only the input gradients of these maps pass through. `uncovered` maps the `id`s of other
    parameters that the backward reads to the operator that reads them. `attention` means that the forward calls
    `scaled_dot_product_attention`. `layers_only` means that each map is a linear layer or a convolution whose weight is
    a parameter.
    """

    parameters: set[int]
    derived: dict[CallSite, Tensor]
    gates: set[Node]
    uncovered: dict[int, str]
    attention: bool
    layers_only: bool


class InputTaint(WeightMode):
    """Follows the input through the forward. `entries` are the nodes of operations that the input touched.

    Token ids carry no gradient, so the autograd graph alone cannot distinguish an embedded input from an embedded
    position. A walk down from any node that depends on the input ends at one of `entries`.
    """

    # Example, a GPT: ids (N, T) are the input, so they are tainted from the start.
    #   tok = embed(ids) (N, T, C): touched, so its node joins `entries`.  pos = table(arange(T)) (T, C): not touched.
    #   tok + pos depends on the input. pos alone counts as a parameter, so nothing needs to be cut on its side.

    def __init__(self, inputs: Iterable[Tensor], parameters: Iterable[Tensor], sites: CallSites) -> None:
        # Weak references, so that activations are freed as in any forward. A dead reference means that the id was
        # reused.
        self._tainted: dict[int, ref[Tensor]] = {id(tensor): ref(tensor) for tensor in inputs}
        self._sizes = {id(parameter): parameter.numel() for parameter in parameters}
        super().__init__(self._sizes)
        self._call_sites = sites
        self._maps: list[tuple[int | CallSite, Node | None]] = []
        self._derived: dict[CallSite, Tensor] = {}
        self._others: set[CallSite | None] = {None}
        self._saved: list[int] = []
        self._uncovered: dict[int, str] = {}
        self.convolved, self.channels = False, Channels()
        self._attention, self._layers_only = False, True
        self._met_transform = False
        self.entries: set[Node] = set()

    def graph_alone(self) -> saved_tensors_hooks:
        """Make autograd keep its nodes without the activations, because this graph never runs backward."""

        addresses = self._saved  # not self, because the graph keeps the hooks, and this object keeps the graph

        def note(saved: Tensor) -> None:
            addresses.append(memory(saved))

        return saved_tensors_hooks(note, lambda saved: saved)

    def weights(self) -> Weights:
        """Return the weights that do not depend on the input. Call it at the end of the forward."""
        derived = {
            site: weight
            for site, weight in self._derived.items()
            if site not in self._others and not reach([weight.grad_fn]) & self.entries
        }
        known = {key for key, _ in self._maps if isinstance(key, int) or key in derived}
        gates = {gate for key, gate in self._maps if gate is not None and key in known}
        values = {site: weight.detach() for site, weight in derived.items()}
        parameters = {key for key in known if isinstance(key, int)}
        return Weights(parameters, values, gates, self._uncovered, self._attention, self._layers_only)

    def known(self, weight: Tensor) -> int | CallSite | None:
        """The `id` of the parameter that `weight` is, views or copies, or the call site of a derived weight."""
        source = self.copies.source(weight)
        if source is not None:
            return id(source[0])
        site = self._call_sites.next()
        overlapping = (
            weight.layout is torch.strided and 0 in weight.stride()
        )  # no other matrix can have this memory layout
        if site is None or weight.grad_fn is None or overlapping or self._is_tainted(weight):
            self._others.add(site)
            return None
        return site

    def weighted(self, call: LinearMap, known: int | CallSite) -> Tensor:
        """Record the weight, and give each input its own autograd node."""
        if not isinstance(known, int):
            self._derived.setdefault(known, call.weight)
        self._layers_only &= bool(call.settings) and isinstance(call.weight, nn.Parameter)
        inputs = [x if x.grad_fn is None else x.view_as(x) for x in (call.input, *call.others)]
        self._maps += [(known, x.grad_fn) for x in inputs]
        return call.apply(inputs[0], call.weight, call.bias, *inputs[1:])

    def linear_map(self, call: LinearMap) -> Tensor:
        """Run `call`, which reads only its weight."""
        before = len(self._saved)
        self.convolved = call.convolution
        output = super().linear_map(call)
        del self._saved[before:]
        return output

    def product(self, product: Product) -> Tensor:
        """Run `product`. A product of weights alone makes a derived weight, and is not itself a linear map."""
        before = len(self._saved)
        factors = product.factors
        known = [self.known(factor) for factor in factors]
        sites = {key for key in known if key is not None and not isinstance(key, int)}
        # A derived weight is as large as some parameter. Others are activations that no input reaches (positions).
        known = [key if self._is_weight(one, key) else None for one, key in zip(factors, known, strict=True)]
        index = self.only_weight(factors, known)
        if index is not None and any(self._is_activation(one) for one in factors[:index] + factors[index + 1 :]):
            key = known[index]
            self._others |= sites - {key}
            output = self.weighted(product.with_weight(index), key)  # type: ignore[arg-type]
            del self._saved[before:]
            return output
        self._others |= sites
        return product.apply(factors, product.bias)

    def recurrent(self, func: Any, args: tuple[Any, ...]) -> Any:
        """Run PyTorch's own function. Each of its outputs gets a node that all its gradients pass through."""
        self._layers_only = False
        weights = recurrent.matrices(func.__name__, args)
        keys = [self.known(weight) for weight in weights]
        before = len(self._saved)
        outputs = map_tensors(lambda output: output.view_as(output), func(*args))
        del self._saved[before:]
        for weight, key in zip(weights, keys, strict=True):
            if key is not None and not isinstance(key, int):
                self._derived.setdefault(key, weight)
            if key is not None:
                self._maps += [(key, output.grad_fn) for output in tensors(outputs)]
        return outputs

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = len(self._saved)
        self._attention |= func is F.scaled_dot_product_attention
        operator = Operator.of(func, args, kwargs or {})
        result = super().__torch_function__(func, types, args, kwargs)
        self.channels.note(operator, result)
        self._met_transform |= is_transformed()
        inputs = [underlying(tensor) for tensor, _ in operator.given]
        # A transform returns tensors that no operator has returned here. They are recognized by their graph.
        if any(map(self._is_tainted, inputs)) or (self._met_transform and any(map(self._is_activation, inputs))):
            self._note_uncovered(func, inputs, set(self._saved[before:]))
            written = args[:1] if func is Tensor.__setitem__ else ()
            for tensor in map(underlying, tensors([result, written])):
                self._tainted[id(tensor)] = ref(tensor)
                if tensor.grad_fn is not None:
                    self.entries.add(tensor.grad_fn)
        del self._saved[before:]
        return result

    def _note_uncovered(self, func: Any, inputs: list[Tensor], saved: set[int]) -> None:
        """Record the matrices among `inputs` that the backward of `func` reads.

        In a transform these are all factors of a product, because it may save copies of them.
        """
        name = getattr(func, "__name__", str(func))
        if not saved or name.endswith("_norm"):  # the gain of a normalization is not a matrix
            return
        transformed = is_transformed()
        label = f"{name} inside torch.vmap or torch.func" if transformed else name
        every = transformed and name in OPERATORS | PRODUCTS
        for tensor in inputs:
            if tensor.grad_fn is None and not self.copies.source(tensor):
                continue
            if (every or memory(tensor) in saved) and is_matrix(tensor) and not self._is_activation(tensor):
                for parameter in self._sources(tensor):
                    self._uncovered.setdefault(parameter, label)

    def _sources(self, weight: Tensor) -> set[int]:
        source = self.copies.source(weight)
        reached = {id(source[0])} if source else parameters_reached([weight.grad_fn])
        return {parameter for parameter in reached if parameter in self._sizes}

    def _is_weight(self, tensor: Tensor, key: int | CallSite | None) -> bool:
        if key is None or isinstance(key, int):
            return key is not None
        return any(self._sizes[parameter] == tensor.numel() for parameter in self._sources(tensor))

    def _is_activation(self, tensor: Tensor) -> bool:
        if self.copies.source(tensor) and not self.copies.is_copy(tensor):
            return False
        if self._is_tainted(tensor):
            return True
        return tensor.grad_fn is not None and bool(reach([tensor.grad_fn]) & self.entries)

    def _is_tainted(self, tensor: Tensor) -> bool:
        held = self._tainted.get(id(tensor))
        return held is not None and held() is tensor


def underlying(tensor: Tensor) -> Tensor:
    """The tensor in the wrappers of `torch.vmap` and other transforms of `torch.func`, or `tensor` itself."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def is_matrix(parameter: Tensor) -> bool:
    """Whether at least two of its dimensions are larger than one. A gain of shape (C, 1, 1) is a vector."""
    return sum(size > 1 for size in parameter.shape) > 1 and math.prod(parameter.shape) > 0
