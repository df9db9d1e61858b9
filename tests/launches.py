"""Counts the operations that compute something. On a GPU each of them is at least one kernel launch."""

from torch.utils._python_dispatch import TorchDispatchMode

_MEMORY = {"empty", "empty_like", "empty_strided", "new_empty", "_unsafe_view", "detach"}
_QUESTIONS = {"_has_same_storage_numel", "_efficientzerotensor", "is_same_size", "prim_layout", "_is_zerotensor"}
_NOTHING_COMPUTED = _MEMORY | _QUESTIONS


class Launches(TorchDispatchMode):
    """Within this context, `total` grows with each operation that computes. Views and new memory do not count."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        view = any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)
        self.total += not view and func.overloadpacket.__name__ not in _NOTHING_COMPUTED
        return func(*args, **(kwargs or {}))
