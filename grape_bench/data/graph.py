"""A graph with node classes. The whole graph is one batch, and each split scores its own nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from grape_bench.data.columns import cells, is_list, is_number
from grape_bench.data.dataset import DataSet, Example
from grape_bench.data.labels import Indices, Labels
from grape_bench.data.options import SplitOptions
from grape_bench.data.partition import about_classes, classes_of
from grape_bench.data.rows import PARTS, Facts, describe
from grape_bench.data.tables import SPLITS, Table, check_columns, schema_of, standard_split
from grape_bench.errors import UserError
from grape_bench.objectives.target import IGNORED, Target

NEIGHBOURS = ("neighbours", "neighbors")


class GraphOptions(SplitOptions):
    """The options of a graph."""

    normalize: Literal["rows", "none"] = Field("rows", description="rows, none")
    """"rows" divides the features of a node by their sum, as Kipf and Welling (2017) do."""


@dataclass(frozen=True)
class Graph:
    """Features (nodes, F), edges (2, E) from neighbor to node, labels (nodes,), and a mask (nodes,) for each part."""

    features: NDArray[np.float32]
    edges: Indices
    labels: Indices
    masks: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class GraphSplit:
    """The nodes of one part. Every batch is the whole graph. See `Split`."""

    features: Tensor
    edges: Tensor
    target: Tensor
    """The labels (nodes,), `IGNORED` at the nodes of other parts."""
    scored: int
    process: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        return self.scored

    def for_process(self, index: int, count: int) -> GraphSplit:
        """See `Split.for_process`. Raises UserError if there are several processes."""
        if count > 1:
            raise UserError("a graph is one batch, which several processes cannot share", where="nproc", allowed="1")
        return replace(self, process=(index, count))

    def batch_count(self, batch_size: int) -> int:
        """An epoch has one batch."""
        return 1

    def targets(self) -> Iterator[Tensor]:
        """See `Split.targets`."""
        yield self.target

    def batches(self, batch_size: int, *, generator: torch.Generator | None = None, skip: int = 0) -> Iterator[Example]:
        """Yield the whole graph once. A graph has no sample order, so `generator` is not used."""
        if not skip:
            yield ((self.features, self.edges), {}), self.target


def graph_set(name: str, table: Table, options: GraphOptions, device: torch.device) -> DataSet:
    """Return the data set of a table with one row per node. Raises UserError for an invalid graph.

    Columns: `features` (numbers) or `words` (the indices of the features that are 1), `neighbours` (node numbers),
    `label` (-1 if unknown), and `split` or the booleans `train_mask`, `validation_mask` and `test_mask`.
    """
    graph = read_graph(name, table)
    features = graph.features
    if options.normalize == "rows":
        features = features / np.maximum(features.sum(1, keepdims=True), 1e-12)
    x, edges = torch.from_numpy(features).to(device), torch.from_numpy(graph.edges).to(device)
    splits: dict[str, Any] = {}
    for part in PARTS:
        target = np.where(graph.masks[part], graph.labels, IGNORED)
        splits[part] = GraphSplit(
            features=x, edges=edges, target=torch.from_numpy(target).to(device), scored=int(graph.masks[part].sum())
        )
    used = {part: graph.labels[graph.masks[part]] for part in PARTS}
    classes = classes_of(np.concatenate(list(used.values())), where=name)
    facts = Facts(
        name=name,
        shape=(features.shape[1],),
        key=table.key,
        options=options,
        objective="node-classification",
        about={"nodes": len(features), "edges": graph.edges.shape[1]},
    )
    description = describe(facts, classes, {part: len(split) for part, split in splits.items()})
    return DataSet(
        name=name,
        shape=facts.shape,
        classes=classes,
        **splits,
        description=description | about_classes(name, Labels(used, classes), used),
        objective=facts.objective,
        target=Target(unit="node"),
    )


def read_graph(name: str, table: Table) -> Graph:
    """Read a graph from a row per node. Raises UserError."""
    names = schema_of(table).names
    neighbours = next((column for column in NEIGHBOURS if column in names), NEIGHBOURS[0])
    features = "words" if "words" in names and "features" not in names else "features"
    check_columns({"graph": table}, [features, neighbours, "label"])
    _check_lists(table, neighbours, "whole numbers")
    _check_lists(table, features, "whole numbers" if features == "words" else "numbers")
    labels = _labels(table)
    masks = _masks(name, table)
    for part, mask in masks.items():
        unlabeled = np.flatnonzero(mask & (labels < 0))
        if len(unlabeled):
            raise UserError(f"a node of the {part} split has no label", where=table.place(int(unlabeled[0])))
    if len(np.unique(labels[masks["train"]])) < 2:
        raise UserError("all training nodes have the same label", where=name, allowed="two classes or more")
    return Graph(_features(table, features), _edges(table, neighbours), labels, masks)


def _check_lists(table: Table, column: str, kind: str) -> None:
    """Raise UserError unless `column` holds lists of numbers, or of whole numbers."""
    stored: Any = schema_of(table).field(column).type
    element = stored.value_type if is_list(stored) else None
    fits = element is not None and (pa.types.is_integer if kind == "whole numbers" else is_number)(element)
    if not fits and not (element is not None and pa.types.is_null(element)):  # null: every list is empty
        raise UserError(f"column {column!r} has type {stored}", where=table.where, allowed=f"lists of {kind}")


def _labels(table: Table) -> Indices:
    found = cells(table, "label")
    for row, label in enumerate(found):
        if label is not None and (isinstance(label, bool) or not isinstance(label, int)):
            raise UserError(f"the label is {label!r}", where=table.place(row), allowed="class numbers, -1 if unknown")
    return np.array([-1 if label is None else label for label in found], dtype=np.int64)


def _masks(name: str, table: Table) -> dict[str, NDArray[np.bool_]]:
    """Return which nodes belong to each part. Raises UserError for a part without nodes, and for overlapping parts."""
    names = schema_of(table).names
    if "split" in names:
        splits = np.array([standard_split(str(cell)) for cell in cells(table, "split")])
        masks = {part: splits == part for part in PARTS}
    else:
        masks = {}
        for part in PARTS:
            column = next((f"{word}_mask" for word in SPLITS[part] if f"{word}_mask" in names), "")
            masks[part] = np.array(cells(table, column) if column else [False] * table.rows, dtype=bool)
    for part, mask in masks.items():
        if not mask.any():
            hint = f"a column `split` with the word {part!r}, or a column `{part}_mask`"
            raise UserError(f"no node is in the {part} split", where=name, hint=hint)
    for row in np.flatnonzero(sum(mask.astype(int) for mask in masks.values()) > 1):
        shared = " and ".join(part for part in PARTS if masks[part][row])
        raise UserError(f"a node is in several splits: {shared}", where=table.place(int(row)), allowed="one split")
    return masks


def _features(table: Table, column: str) -> NDArray[np.float32]:
    found = cells(table, column)
    empty = next((row for row, cell in enumerate(found) if cell is None or any(one is None for one in cell)), None)
    if empty is not None:
        raise UserError(f"{column} has no value", where=table.place(empty), allowed="a list of numbers")
    if column == "features":
        lengths = {len(cell) for cell in found}
        if len(lengths) > 1:
            raise UserError(f"the nodes have {min(lengths)} to {max(lengths)} features", where=table.where)
        values = np.array(found, dtype=np.float32)
        bad = np.flatnonzero(~np.isfinite(values).all(1))
        if len(bad):
            raise UserError("the features hold NaN or infinity", where=table.place(int(bad[0])))
        return values
    size = _declared(table) or 1 + max((max(cell) for cell in found if cell), default=0)
    values = np.zeros((len(found), size), dtype=np.float32)
    for row, cell in enumerate(found):
        strangers = [word for word in cell if not 0 <= word < size]
        if strangers:
            raise UserError(f"the word {strangers[0]} is not one of {size} features", where=table.place(row))
        values[row, cell] = 1
    return values


def _declared(table: Table) -> int:
    """Return the number of features declared in the file's metadata, or 0."""
    metadata: Any = (schema_of(table).metadata or {}).get(b"grape_bench", b"{}")
    try:
        return int(json.loads(metadata).get("features", 0))
    except (ValueError, TypeError, AttributeError) as error:
        allowed = 'JSON such as {"features": 1433}'
        raise UserError(f"the metadata `grape_bench` is {metadata!r}", where=table.where, allowed=allowed) from error


def _edges(table: Table, column: str) -> Indices:
    edges = []
    for node, cell in enumerate(cells(table, column)):
        for neighbour in cell or ():
            if neighbour is None or not 0 <= neighbour < table.rows:
                what = f"the neighbor {neighbour} is not a node"
                raise UserError(what, where=table.place(node), allowed=f"0 to {table.rows - 1}")
            edges.append((neighbour, node))
    if not edges:
        raise UserError("the graph has no edges", where=table.where)
    return np.array(edges, dtype=np.int64).T
