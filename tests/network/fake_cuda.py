"""A stand-in for `torch.cuda` on the CPU: streams that keep order, and graphs that replay what was recorded.

Streams run nothing, they keep clocks: `ordered` says whether a moment on one has to be over at a moment on another.
A graph's capture, unlike CUDA's, has to run the operations once; what they changed is put back, and `replay` runs
them again on the same tensors, without the Python code that called them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_iter

CPU = torch.device("cpu")
_numbers = count()


class Stream:
    def __init__(self, device=CPU):
        self.device, self.number = device, next(_numbers)
        self.clock = {self.number: 0}  # of each stream, the last moment that is over when this one goes on

    def wait_stream(self, other):
        other.tick()
        for number, moment in other.clock.items():
            self.clock[number] = max(moment, self.clock.get(number, 0))

    def tick(self) -> tuple[int, int]:
        """A moment on this stream."""
        self.clock[self.number] += 1
        return self.number, self.clock[self.number]

    def after(self, moment: tuple[int, int]) -> bool:
        number, time = moment
        return self.clock.get(number, 0) >= time


class Graph:
    def __init__(self):
        self.calls, self.generators = [], []

    def register_generator_state(self, generator):
        self.generators.append(generator)

    def replay(self):
        with torch.no_grad():
            for func, args, kwargs, outputs in self.calls:
                result = func(*args, **kwargs)
                for old, new in zip(outputs, tree_iter(result), strict=True):
                    if isinstance(old, Tensor) and old is not new:
                        old.copy_(new)


class Recorder(TorchDispatchMode):
    """Records every operation that computes something; a view lives with its base."""

    def __init__(self, graph):
        super().__init__()
        self.graph, self.before = graph, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        schema = func._schema.arguments
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        written = [
            tensor
            for value, argument in zip([*args, *kwargs.values()], schema, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
            for tensor in tree_flatten(value)[0]
        ]
        if func is torch.ops.aten.native_batch_norm.default:  # its schema is silent about the running statistics
            written += args[3:5]
        for tensor in written:
            self.before.setdefault(id(tensor), (tensor, tensor.clone()))
        result = func(*args, **kwargs)
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if not is_view:
            self.graph.calls.append((func, args, kwargs, tree_flatten(result)[0]))
        return result


class FakeCuda(SimpleNamespace):
    """Put in the place of the `cuda` that a module has imported."""

    def __init__(self):
        self.main = self.now = Stream()
        super().__init__(Stream=Stream, CUDAGraph=Graph, default_generators=[torch.default_generator])

    def current_device(self):
        return 0

    def graph_pool_handle(self):
        return 0, 0

    def current_stream(self, device=None):
        return self.now

    def set_stream(self, stream):
        self.now = stream

    @contextmanager
    def stream(self, stream) -> Iterator[None]:
        before, self.now = self.now, stream
        try:
            yield
        finally:
            self.now = before

    @contextmanager
    def device(self, device) -> Iterator[None]:
        yield

    @contextmanager
    def graph(self, graph, pool, stream, capture_error_mode) -> Iterator[None]:
        recorder = Recorder(graph)
        with self.stream(stream), torch.random.fork_rng(devices=[]), recorder:
            yield
        with torch.no_grad():
            for tensor, value in recorder.before.values():
                tensor.copy_(value)
