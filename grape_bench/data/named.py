"""The well-known data sets: from `$GRAPE_BENCH_DATA/<name>` if it exists, else from the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grape_bench.data import hub, parquet
from grape_bench.data.kinds import make_set
from grape_bench.data.names import DATASETS, VARIABLE, named_folder
from grape_bench.data.tables import Table
from grape_bench.errors import UserError, unknown
from grape_bench.record.write import new_folder

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet


@dataclass(frozen=True)
class Named:
    """A data set with a name: its id on the Hub (if any), its arguments and its default objective."""

    hub: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    objective: str = ""


_REGRESSION = Named(args={"kind": "table", "target_column": "target"})
_SERIES = Named(args={"kind": "series"})
NAMED = {
    "mnist": Named("ylecun/mnist"),
    "fashion_mnist": Named("zalando-datasets/fashion_mnist"),
    "cifar10": Named("uoft-cs/cifar10"),
    "cifar100": Named("uoft-cs/cifar100"),
    "tinyshakespeare": Named(args={"kind": "text", "tokens": "characters"}),
    "wikitext2": Named("Salesforce/wikitext:wikitext-2-v1", {"kind": "text", "tokens": "words"}),
    "wikitext103": Named("Salesforce/wikitext:wikitext-103-v1", {"kind": "text", "tokens": "words"}),
    "sst2": Named("stanfordnlp/sst2", {"kind": "sentences", "test_split": "validation", "text_column": "sentence"}),
    "cora": Named(args={"kind": "graph"}),
    "adult": Named(args={"kind": "table", "label_column": "label"}, objective="binary"),
    "pictures": Named(args={"kind": "picture"}),
    "ucr_arrowhead": _SERIES,
    "ucr_gunpoint": _SERIES,
    "ucr_italypowerdemand": _SERIES,
    "ucr_japanesevowels": Named(args={"kind": "series", "pad": "mask"}),
    "uci_concrete": _REGRESSION,
    "uci_energy": _REGRESSION,
    "uci_kin8nm": _REGRESSION,
    "uci_naval": _REGRESSION,
    "uci_protein": _REGRESSION,
    "uci_yacht": _REGRESSION,
}
HUB = {name: one.hub for name, one in NAMED.items() if one.hub}


def load(name: str, *, args: dict[str, Any], device: torch.device) -> DataSet:
    """Load the data set `name`, a key of NAMED. Raises UserError if neither the folder nor the Hub has it."""
    known = NAMED[name]
    data = make_set(name, tables(name), {**known.args, **args}, device)
    return replace(data, objective=known.objective) if known.objective else data


def tables(name: str) -> dict[str, Table]:
    """Return the splits of `name`. The error message lists the places searched."""
    if (found := named_folder(name)) is not None:
        return parquet.tables(found, where=name)
    root = os.environ.get(VARIABLE)
    folder = Path(root).expanduser() / name if root else None
    if name not in HUB:
        missing = f"no folder {folder.absolute()}" if folder else f"${VARIABLE} is not set"
        hint = f"export {VARIABLE}=DIR, where DIR/{name} holds the files"
        raise UserError(f"{missing}, and the Hub has no copy", where=name, hint=hint)
    try:
        return hub.tables(HUB[name], where=name)
    except UserError as error:
        missing = f"no folder {folder.absolute()}" if folder else f"${VARIABLE} is not set"
        raise UserError(
            f"{missing}, and {HUB[name]} could not be loaded from the Hub ({error.what})",
            where=name,
            hint=f"export {VARIABLE}=DIR, where DIR/{name} holds train.parquet and test.parquet",
        ) from error


def prepare(name: str, root: Path) -> tuple[Path, dict[str, int]]:
    """Download `name` into `root/name/SPLIT.parquet`, for machines without a network.

    Writes all splits or none. Returns the folder and the rows of each split. Raises UserError if the data set does not
    come from the Hub, cannot be loaded, or cannot be written.
    """
    if name not in HUB:
        if name in NAMED:
            raise UserError(f"the Hub has no copy of {name!r}", hint=f"copy its folder to {root / name}")
        if name in DATASETS:
            raise UserError(f"{name!r} needs no download, because the program generates it")
        raise unknown("data set of the Hub", name, HUB)
    folder = root / name
    if folder.exists():
        raise UserError("the folder already exists", where=str(folder), hint="delete it first to download it again")
    splits = hub.load_splits(HUB[name], where=name)
    try:
        with new_folder(folder) as draft:
            for split, table in splits.items():
                table.to_parquet(draft / f"{split}.parquet")
    except OSError as error:
        hint = "another folder, with --to DIR"
        raise UserError(f"cannot write the folder: {error}", where=str(folder), hint=hint) from error
    return folder, {split: len(table) for split, table in splits.items()}


def __getattr__(name: str) -> Callable[..., DataSet]:
    """The loader of each named data set, for the registry."""
    if name in NAMED:
        return partial(load, name)
    raise AttributeError(name)
