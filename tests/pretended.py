"""A pretended GPU: tensors that say they are on `cuda:0`, with their numbers on the CPU, and a mode that watches them.

PyTorch's FakeTensorMode knows shapes and devices. This bed has numbers as well, so that whole steps, checkpoints and
evaluation run on it. It raises MixedDevicesError where a GPU would refuse an operation. It counts what the host would
wait for.
"""

import traceback
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import ClassVar
from unittest.mock import patch
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
aten = torch.ops.aten

_COPIES = (aten.copy_, aten._to_copy)
_READ_BY_THE_HOST = (
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.equal,
    aten.allclose,
    aten.nonzero,
    aten.masked_select,
    aten._unique2,
    aten.bincount,
    aten._linalg_check_errors,
)
_INDEXED = (aten.index, aten.index_put, aten.index_put_)


class MixedDevicesError(AssertionError):
    """An operation of tensors on two devices, or of a tensor and the other device's generator."""


class Pretended(Tensor):
    """A tensor on the pretended GPU. PyTorch's core takes it for a meta tensor. Its `numbers` are on the CPU."""

    @staticmethod
    def __new__(cls, numbers):
        layout = dict(strides=numbers.stride(), storage_offset=numbers.storage_offset(), dtype=numbers.dtype)
        made = Tensor._make_wrapper_subclass(cls, numbers.size(), device="meta", **layout)
        made.numbers = numbers
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # results keep the class that the mode gave them
    device, is_cuda, is_cpu, is_meta = GPU, True, False, False

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} on a pretended tensor outside of PretendedGPU()")

    def __deepcopy__(self, memo):
        twin = self.detach().clone().requires_grad_(self.requires_grad)
        memo[id(self)] = twin = nn.Parameter(twin, self.requires_grad) if isinstance(self, nn.Parameter) else twin
        return twin

    def __reduce_ex__(self, protocol):
        return self.cpu().__reduce_ex__(protocol)  # a file that is read with map_location="cpu"

    def tolist(self):
        return self.cpu().tolist()

    def __repr__(self):
        return f"Pretended({self.numbers})"


class Generator(torch.Generator):
    """A generator that knows its device. It draws the same numbers on both devices."""

    made: ClassVar[WeakSet["Generator"]] = WeakSet()

    def __new__(cls, device="cpu"):
        self = super().__new__(cls)
        self._device = torch.device(device)
        cls.made.add(self)
        return self

    def __deepcopy__(self, memo):
        memo[id(self)] = twin = Generator(self._device)
        return twin.set_state(self.get_state())

    @property
    def device(self):
        return self._device

    @classmethod
    def on_the_gpu(cls, generator):
        """Whether this is a generator of the GPU. An operation gets it in another Python object."""
        return any(one._cdata == generator._cdata and one.device.type == "cuda" for one in cls.made)


class PretendedGPU(TorchDispatchMode):
    """Within this context, `cuda:0` is a device with a global generator of its own.

    `waits` counts, for each operation and line of code, how often the host would have waited for the GPU. `uploads`
    counts the copies from the CPU, for which it waits too unless the memory is pinned.
    """

    def __init__(self):
        super().__init__()
        # FakeTensorMode's slot lies below all other modes. While it is taken, PyTorch does not start CUDA.
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE
        self.waits: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()
        self._random = torch.Generator().manual_seed(0)
        self._stack = ExitStack()

    def __enter__(self):
        cuda = {
            "get_rng_state": lambda device=None: self._random.get_state(),
            "set_rng_state": lambda state, device=None: self._random.set_state(state),
            "manual_seed": lambda seed: self._random.manual_seed(seed),
            "synchronize": lambda device=None: None,
            "reset_peak_memory_stats": lambda device=None: None,
            "memory_allocated": lambda device=None: 0,
            "max_memory_allocated": lambda device=None: 0,
        }
        self._stack.enter_context(patch.object(torch, "Generator", Generator))
        self._stack.enter_context(patch.multiple(torch.cuda, **cuda))
        self._stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)  # so that `torch.tensor(..., device="cuda:0")` starts no CUDA either
        return super().__enter__()

    def __exit__(self, *error):
        self._stack.close()
        return super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given, form = tree_flatten((args, kwargs))
        on_gpu = _lands_on_the_gpu(func, given)
        _refuse_mixed_tensors(func, args, kwargs, given)
        _refuse_foreign_generators(func, given, on_gpu)
        self._note(func, args, given, on_gpu)
        if func is aten._fused_sdp_choice.default:
            return SDPBackend.MATH.value  # the kernel that all devices have
        run = aten.zeros.default if func is aten._efficientzerotensor.default else func  # forward AD's empty zeros
        inner_args, inner_kwargs = tree_unflatten([_on_the_cpu(one) for one in given], form)
        with self._global_generator(func, given, on_gpu):
            result = run(*inner_args, **inner_kwargs)
        if not on_gpu:
            return result
        return return_and_correct_aliasing(func, args, kwargs, tree_map_only(Tensor, Pretended, result))

    def _note(self, func, args, given, on_gpu):
        """Count a wait or an upload, with the operation and the line that asked for it."""
        if on_gpu and any(map(_is_plain, _brought(func, args))):
            self.uploads[_asked_for(func)] += 1
        reads = func.overloadpacket in _READ_BY_THE_HOST or _masked(func, args) or not on_gpu
        if reads and any(isinstance(one, Pretended) for one in given):
            self.waits[_asked_for(func)] += 1

    @contextmanager
    def _global_generator(self, func, given, on_gpu):
        """Let an operation that draws from the global generator draw from the GPU's."""
        drawn = torch.Tag.nondeterministic_seeded in func.tags and not any(map(_is_generator, given))
        if not (on_gpu and drawn):
            yield
            return
        before = torch.default_generator.get_state()
        torch.default_generator.set_state(self._random.get_state())
        try:
            yield
        finally:
            self._random.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(before)


def _lands_on_the_gpu(func, given):
    """Whether the result is on the GPU: as a `device` argument says, or the target of a copy, or the inputs."""
    if asked := [one for one in given if isinstance(one, torch.device)]:
        return asked[0].type in ("cuda", "meta")  # PyTorch's core takes a pretended tensor's device for "meta"
    if func.overloadpacket is aten.copy_:
        return isinstance(given[0], Pretended)
    return any(isinstance(one, Pretended) for one in given)


def _refuse_mixed_tensors(func, args, kwargs, given):
    """What may be on the CPU: indices, and a number (a tensor without axes) that is not written to, or joined."""
    if func.overloadpacket in _COPIES or not any(isinstance(one, Pretended) for one in given):
        return
    if func.overloadpacket in _INDEXED:
        given = args = [one for one in args if isinstance(one, Tensor)]
    if not (plain := list(filter(_is_plain, given))):
        return
    more = [*_written(func, args, kwargs), *tree_flatten([one for one in args if isinstance(one, (list, tuple))])[0]]
    for one in plain:
        if one.dim() or any(one is other for other in more):
            raise MixedDevicesError(f"{func}: a tensor {tuple(one.shape)} on the CPU with one on {GPU}")


def _refuse_foreign_generators(func, given, on_gpu):
    for generator in filter(_is_generator, given):
        if Generator.on_the_gpu(generator) != on_gpu:
            raise MixedDevicesError(f"{func}: the generator of another device than {GPU if on_gpu else CPU}")


def _written(func, args, kwargs):
    """The tensors that an operation writes to, by its schema."""
    by_name = [(argument, kwargs.get(argument.name)) for argument in func._schema.arguments[len(args) :]]
    pairs = [*zip(func._schema.arguments, args, strict=False), *by_name]
    held = [value for argument, value in pairs if argument.alias_info is not None and argument.alias_info.is_write]
    return tree_flatten(held)[0]


def _brought(func, args):
    """The tensors that an operation copies to the device of its result."""
    if func.overloadpacket in _INDEXED:
        return args[1]
    return args[:2][-1:] if func.overloadpacket in _COPIES else ()


def _masked(func, args):
    """Whether the shape of what is read or written depends on a mask. A single number fills it without a wait."""
    if func.overloadpacket not in _INDEXED or (len(args) > 2 and args[2].numel() == 1):
        return False
    return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])


def _asked_for(func):
    """The operation, and the line of code outside of PyTorch and this file that led to it."""
    frames = [frame for frame in traceback.extract_stack() if "/torch/" not in frame.filename]
    frame = next(frame for frame in reversed(frames) if frame.filename != __file__)
    return f"{func.overloadpacket.__name__} in {frame.filename.rpartition('/')[2]}: {frame.line}"


def _is_plain(one):
    return isinstance(one, Tensor) and not isinstance(one, Pretended)


def _is_generator(one):
    return isinstance(one, torch._C.Generator)


def _on_the_cpu(one):
    if isinstance(one, torch.device):
        return CPU
    return one.numbers if isinstance(one, Pretended) else one
