"""A data set of the user's own: `path/to/file.py:loader`."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from grape_bench.data.dataset import DataSet
from grape_bench.data.labels import Labels
from grape_bench.data.options import SplitOptions
from grape_bench.data.procedural import key_of
from grape_bench.data.rows import PARTS, Facts, Samples, cut_counts, cut_labels, row_set
from grape_bench.errors import UserError
from grape_bench.objectives.target import ONE_CLASS, Target
from grape_bench.registry import load_file, split_file_reference

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOWED = '{"train": (inputs, targets), "test": (inputs, targets)}, or a grape_bench.data.DataSet'


def load(reference: str, loader: Callable[..., Any], args: dict[str, Any], device: torch.device) -> DataSet:
    """Call `loader(**args)`, and return the data set of its arrays.

    The loader returns (inputs, targets) for "train", "test" and perhaps "validation". Inputs are an array (N, ...), a
    tuple of arrays, or a dict of arrays that the model receives by name. Targets are class numbers (N,) or numbers
    (N,) or (N, size). Arrays are used as they are. Raises UserError for anything else.
    """
    found = loader(**args)
    if isinstance(found, DataSet):
        return found
    if not isinstance(found, Mapping) or not {"train", "test"} <= found.keys() <= set(PARTS):
        raise UserError(f"the loader returned {_described(found)}", where=reference, allowed=ALLOWED)
    samples = {split: _samples(one, f"{reference}, {split} split") for split, one in found.items()}
    options = SplitOptions.model_validate({})
    train = samples["train"]
    classes = not train.target.is_floating_point()
    labels = None
    if classes:
        labels = Labels({split: one.target.numpy() for split, one in samples.items()}, int(train.target.max()) + 1)
        cut = cut_labels(reference, labels, options)
    else:
        cut = cut_counts({split: len(one.target) for split, one in samples.items()}, options)
    first = next(iter((*train.inputs, *train.named.values())))
    path, _ = split_file_reference(reference)
    facts = Facts(
        name=reference,
        shape=tuple(first.shape[1:]),
        key=sha256(path.read_bytes()).hexdigest() + key_of(samples),
        options=options,
        objective="classification" if classes else "regression",
        labels=labels,
        target=ONE_CLASS if classes else Target(size=train.target[0].numel()),
    )
    return row_set(facts, samples, cut, device)


def _described(found: Any) -> str:
    return f"a dict with {', '.join(map(str, found))}" if isinstance(found, Mapping) else type(found).__name__


def _samples(pair: Any, where: str) -> Samples:
    """Check one split. Raises UserError."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise UserError(f"the split is {type(pair).__name__}", where=where, allowed="(inputs, targets)")
    inputs, target = pair[0], _tensor(pair[1], where)
    named = {name: _tensor(one, where) for name, one in inputs.items()} if isinstance(inputs, Mapping) else {}
    unnamed = inputs if isinstance(inputs, tuple) else () if named else (inputs,)
    if target.is_floating_point() and target.dim() == 1:
        target = target[:, None]
    samples = Samples(tuple(_tensor(one, where) for one in unnamed), target, named)
    for one in (*samples.inputs, *named.values()):
        if len(one) != len(target):
            raise UserError(f"{len(one)} inputs have {len(target)} targets", where=where, allowed="the same number")
        if one.is_floating_point() and not one.isfinite().all():
            raise UserError("the inputs hold NaN or infinity", where=where, allowed="finite numbers")
    if not len(target) or target.dim() == 0:
        raise UserError("the split has no samples", where=where)
    return samples


def _tensor(values: Any, where: str) -> Tensor:
    """Return float32 or int64 values on the CPU."""
    try:
        tensor = torch.as_tensor(np.asarray(values) if not isinstance(values, Tensor) else values).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"not an array of numbers: {error}", where=where, allowed=ALLOWED) from error
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def loader_of(reference: str) -> Any:
    """Import the loader that `reference` names. Raises UserError."""
    path, name = split_file_reference(reference)
    found = getattr(load_file(path), name, None)
    if not callable(found):
        raise UserError(f"{name!r} is not a function in {path}", where=reference, allowed="def loader(): ...")
    return found
