"""A user-defined data set: `path/to/file.py:loader`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from grape_bench.data.dataset import DataSet
from grape_bench.data.labels import Labels
from grape_bench.data.options import SplitOptions
from grape_bench.data.partition import classes_of
from grape_bench.data.procedural import key_of
from grape_bench.data.rows import PARTS, Facts, Samples, cut_counts, cut_labels, row_set
from grape_bench.errors import UserError, unknown
from grape_bench.objectives.target import IGNORED, ONE_CLASS, Target
from grape_bench.registry import split_file_reference
from grape_bench.user_code import load_file

if TYPE_CHECKING:
    from collections.abc import Callable

TOKENS = "input_ids"
OBJECTIVES = {1: "classification", 2: "next-token", 3: "segmentation"}
"""The default objective of class numbers, by the number of axes of the targets."""
ALLOWED = '{"train": (inputs, targets), "test": (inputs, targets)}, or a grape_bench.data.DataSet'


def load(reference: str, loader: Callable[..., Any], args: dict[str, Any], device: torch.device) -> DataSet:
    """Call `loader(**args)`, and return the data set of its arrays.

    The loader returns (inputs, targets) for "train", "test" and optionally "validation". Inputs are an array (N, ...),
    a tuple of arrays, or a dict of arrays that the model receives as keywords. Targets are class numbers, (N,) or (N,
    length) for tokens, or values (N,) or (N, size). Arrays are used as they are. Raises UserError for anything else.
    """
    found = _call(reference, loader, args)
    if isinstance(found, DataSet):
        return found
    if not isinstance(found, Mapping) or not {"train", "test"} <= found.keys() <= set(PARTS):
        raise UserError(f"the loader returned {_described(found)}", where=reference, allowed=ALLOWED)
    samples = {split: _samples(one, f"{reference}, {split} split") for split, one in found.items()}
    for split, one in samples.items():
        _check_layout(one, samples["train"], f"{reference}, {split} split")
    options = SplitOptions.model_validate({})
    train = samples["train"].target
    labels, classes, vocabulary = None, 0, _vocabulary(reference, samples)
    if train.dim() == 1:  # value targets have two axes here
        classes = classes_of(train.numpy(), where=f"{reference}, train split")
        labels = Labels({split: one.target.numpy() for split, one in samples.items()}, classes)
        cut = cut_labels(reference, labels, options)
    else:
        if not train.is_floating_point():
            classes = max(classes_of(train.flatten().numpy(), where=f"{reference}, train split"), vocabulary)
        cut = cut_counts({split: len(one.target) for split, one in samples.items()}, options)
    counted = {part: samples[cut.source[part]].target[torch.from_numpy(cut.rows[part])] for part in PARTS}
    first = next(iter((*samples["train"].inputs, *samples["train"].named.values())))
    path, _ = split_file_reference(reference)
    facts = Facts(
        name=reference,
        shape=tuple(first.shape[1:]),
        key=sha256(path.read_bytes()).hexdigest() + key_of(samples),
        options=options,
        objective="regression" if train.is_floating_point() else OBJECTIVES.get(train.dim(), "classification"),
        labels=labels,
        target=Target(size=train[0].numel()) if train.is_floating_point() else ONE_CLASS,
        vocabulary=vocabulary,
        classes=classes,
        scored={part: int((one != IGNORED).sum()) for part, one in counted.items()} if classes else {},
    )
    return row_set(facts, samples, cut, device)


def _call(reference: str, loader: Callable[..., Any], args: dict[str, Any]) -> Any:
    parameters = inspect.signature(loader).parameters
    for name in args:
        if name not in parameters:
            raise unknown("argument", name, parameters, where=f"dataset_args of {reference!r}")
    try:
        return loader(**args)
    except UserError:
        raise
    except Exception as error:  # the user's own code
        raise UserError(f"the loader raised {type(error).__name__}: {error}", where=reference) from error


def _vocabulary(reference: str, samples: Mapping[str, Samples]) -> int:
    """Return the number of token ids, 0 without tokens. Raises UserError for an id above those in the training rows."""
    ids = {split: one.named[TOKENS] for split, one in samples.items() if TOKENS in one.named}
    size = int(ids["train"].max()) + 1 if "train" in ids else 0
    for split, one in ids.items():
        if one.min() < 0 or one.max() >= size:
            what = f"the token id {int(one.min() if one.min() < 0 else one.max())} is beyond the vocabulary"
            raise UserError(what, where=f"{reference}, {split} split", allowed=f"0 to {size - 1}, as in train")
    return size


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


def _check_layout(samples: Samples, train: Samples, where: str) -> None:
    """Raise UserError unless a split has the arrays of the training split: the same names, kinds and axes.

    Features (N, F) and target values must also have the same size. Pictures and sequences may be of another size.
    """
    own, expected = _layouts(samples), _layouts(train)
    for name in {**expected, **own}:
        found, wanted = (layouts.get(name, "no array") for layouts in (own, expected))
        if found != wanted:
            raise UserError(f"{name}: {found}", where=where, allowed=f"{wanted}, as in train")


def _layouts(samples: Samples) -> dict[str, str]:
    inputs = {f"input {name}": one for name, one in (*enumerate(samples.inputs), *samples.named.items())}
    return {name: _layout(one) for name, one in {"the targets": samples.target, **inputs}.items()}


def _layout(array: Tensor) -> str:
    kind = "numbers" if array.is_floating_point() else "whole numbers"
    sizes = array.shape[1:] if array.is_floating_point() and array.dim() == 2 else ["..."] * (array.dim() - 1)
    return f"{kind} of shape ({', '.join(map(str, ['N', *sizes]))})"


def _tensor(values: Any, where: str) -> Tensor:
    """Return float32 or int64 values on the CPU."""
    try:
        tensor = torch.as_tensor(np.asarray(values) if not isinstance(values, Tensor) else values).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"not an array of numbers: {error}", where=where, allowed=ALLOWED) from error
    if tensor.is_complex():
        raise UserError("an array holds complex numbers", where=where, allowed="real numbers")
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def loader_of(reference: str) -> Any:
    """Import the loader that `reference` names. Raises UserError."""
    path, name = split_file_reference(reference)
    found = getattr(load_file(path), name, None)
    if not callable(found):
        raise UserError(f"{name!r} is not a function in {path}", where=reference, allowed="def loader(): ...")
    return found
