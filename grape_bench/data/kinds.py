"""The kinds of data that tables can hold, and how to make a data set of each kind from a source's tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from grape_bench.data.columns import is_list, is_text
from grape_bench.data.graph import NEIGHBOURS, GraphOptions, graph_set
from grape_bench.data.image_table import holds_images
from grape_bench.data.images import image_set
from grape_bench.data.labels import LABEL_NAMES
from grape_bench.data.language import LanguageOptions, language_set
from grape_bench.data.options import ImageOptions, SplitOptions, parse_options
from grape_bench.data.picture import PictureOptions, picture_set
from grape_bench.data.sentences import PAIR_NAMES, SentenceOptions, sentence_set
from grape_bench.data.series import SERIES_NAMES, SeriesOptions, series_set
from grape_bench.data.tables import Table, schema_of
from grape_bench.data.tabular import TARGET_NAMES, TableOptions, tabular_set
from grape_bench.errors import unknown

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet


@dataclass(frozen=True)
class Kind:
    """A kind of data: the schema of its options, and the function that makes a data set from a source's tables.

    The options in `without` are not accepted.
    """

    options: type[SplitOptions]
    make: Callable[[str, Mapping[str, Table], Any, torch.device], DataSet]
    without: tuple[str, ...] = ()


def _one_table(make: Callable[[str, Table, Any, torch.device], DataSet]) -> Callable[..., DataSet]:
    """Adapt a kind that reads one table, not one per split."""

    def made(name: str, tables: Mapping[str, Table], options: Any, device: torch.device) -> DataSet:
        return make(name, tables.get("graph") or tables["train"], options, device)

    return made


OWN_SPLITS = tuple(SplitOptions.model_fields)
"""Options for splitting rows. A kind that splits something else does not accept them."""

KINDS = {
    "images": Kind(ImageOptions, image_set),
    "text": Kind(LanguageOptions, language_set),
    "sentences": Kind(SentenceOptions, sentence_set),
    "table": Kind(TableOptions, tabular_set),
    "series": Kind(SeriesOptions, series_set),
    "graph": Kind(GraphOptions, _one_table(graph_set), OWN_SPLITS),
    "picture": Kind(PictureOptions, _one_table(picture_set), OWN_SPLITS),
}


MARKS = {
    "image_column": "images",
    "picture": "picture",
    "pair_column": "sentences",
    "block": "text",
    "series_column": "series",
    "pad": "series",
    "columns": "table",
    "categorical": "table",
    "categories": "table",
}
"""Arguments that only one kind has."""


def make_set(name: str, tables: Mapping[str, Table], args: dict[str, Any], device: torch.device) -> DataSet:
    """Return the data set of a source's tables.

    `args["kind"]` names its kind. Without it, the kind follows from an argument that only one kind has, or from the
    columns.

    Raises UserError for an unknown kind or argument, and for content that the kind cannot read.
    """
    args = dict(args)
    kind = args.pop("kind", None) or next((MARKS[name] for name in args if name in MARKS), None) or guess(tables)
    if kind not in KINDS:
        raise unknown("kind", str(kind), KINDS, where=f"dataset_args of {name!r}")
    options = parse_options(KINDS[kind].options, name, args, without=KINDS[kind].without)
    return KINDS[kind].make(name, tables, options, device)


def guess(tables: Mapping[str, Table]) -> str:
    """Return the kind of data that the columns of the tables hold."""
    schema = schema_of(tables.get("graph") or tables["train"])
    names = schema.names
    target = [name for name in (*LABEL_NAMES, *TARGET_NAMES) if name in names]
    if set(NEIGHBOURS) & set(names):
        return "graph"
    if any(holds_images(schema, name) for name in names):
        return "images" if target or len(tables) > 1 else "picture"
    types = {name: schema.field(schema.names.index(name)).type for name in names}
    lists = [name for name in names if is_list(types[name])]
    if any(is_list(types[name].value_type) or name in SERIES_NAMES for name in lists):
        return "series"
    text = [name for name in names if is_text(types[name]) and name not in target]
    rest = [name for name in names if name not in (*text, *target, "idx", "id")]
    if not target and not rest and text:
        return "text"
    if not target and len(lists) == 1 and pa.types.is_integer(types[lists[0]].value_type):
        return "text"
    is_pair = any(set(pair) == set(text) for pair in PAIR_NAMES)
    if not rest and (len(text) == 1 or is_pair):
        return "sentences"
    return "table"
