"""The well-known small image sets: from `$GRAPE_BENCH_DATA/<name>`, else from the hub."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grape_bench.data import folder, hub
from grape_bench.data.images import image_set
from grape_bench.data.options import parse
from grape_bench.data.tables import ImageTable
from grape_bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet

VARIABLE = "GRAPE_BENCH_DATA"
HUB = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
}


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """The data set `name`, one of HUB; raises UserError where neither the folder nor the hub has it."""
    options = parse(name, args)
    return image_set(name, tables(name), options, device)


def tables(name: str) -> dict[str, ImageTable]:
    """The splits of `name`; the error tells where it was looked for."""
    root = os.environ.get(VARIABLE)
    place = Path(root).expanduser() / name if root else None
    if place is not None and place.is_dir():
        return folder.tables(place, where=name)
    try:
        return hub.tables(HUB[name], where=name)
    except UserError as error:
        looked = f"no folder {place.absolute()}" if place else f"${VARIABLE} is not set"
        raise UserError(
            f"{looked}, and {HUB[name]} of the hub could not be loaded ({error.what})",
            where=name,
            hint=f"export {VARIABLE}=DIR, where DIR/{name} holds train.parquet and test.parquet",
        ) from error


mnist = partial(load, "mnist")
fashion_mnist = partial(load, "fashion_mnist")
cifar10 = partial(load, "cifar10")
cifar100 = partial(load, "cifar100")
