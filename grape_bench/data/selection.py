"""Which splits and columns of a source are read, and in what form."""

from __future__ import annotations

from dataclasses import dataclass

from grape_bench.data.columns import Columns, find
from grape_bench.data.decode import ImageForm, native_form, open_image, to_array
from grape_bench.data.options import ImageOptions
from grape_bench.data.partition import Indices
from grape_bench.data.tables import ImageTable
from grape_bench.errors import UserError, unknown


@dataclass(frozen=True)
class Selection:
    """The tables `train`, `test` and perhaps `validation`, and how to read them."""

    tables: dict[str, ImageTable]
    columns: Columns
    form: ImageForm
    shape: tuple[int, int, int]

    @property
    def bytes(self) -> int:
        """Of all images, decoded."""
        channels, height, width = self.shape
        return sum(table.rows for table in self.tables.values()) * channels * height * width

    @property
    def key(self) -> str:
        """Stands for the content of all tables."""
        return " ".join(f"{part} {table.key}" for part, table in self.tables.items())

    def class_count(self, train_labels: Indices) -> int:
        """As many as the source names, else one more than the largest training label."""
        names = self.columns.class_names
        return len(names) if names else int(train_labels.max()) + 1


def select(name: str, tables: dict[str, ImageTable], options: ImageOptions) -> Selection:
    """The parts of a source, after a look at its first training image; raises UserError."""
    parts = _parts(name, tables, options)
    train = parts["train"]
    columns = find(train.schema, options, where=train.where)
    for table in parts.values():
        if table.rows == 0:
            raise UserError("no rows", where=table.where)
        for column in (columns.image, columns.label):
            if column not in table.schema.names:
                raise unknown("column", column, table.schema.names, where=table.where)
    cell = next(train.chunks([columns.image], 1)).column(columns.image)[0].as_py()
    first = open_image(cell, where=f"{train.where}, row 0")
    form = native_form(first, channels=options.channels, resize=options.resize, where=train.where)
    height, width = to_array(first, form, where=f"{train.where}, row 0").shape[:2]
    return Selection(parts, columns, form, (form.channels, height, width))


def _parts(name: str, tables: dict[str, ImageTable], options: ImageOptions) -> dict[str, ImageTable]:
    for split in ("train", options.test_split):
        if split not in tables:
            hint = ""
            if split == "test" and "validation" in tables:
                hint = 'dataset_args = { test_split = "validation" }: validation is then cut from train'
            raise UserError(f"no split {split!r}", where=name, allowed=", ".join(tables), hint=hint)
    if options.test_split == "train":
        raise UserError("the test split cannot be the training split", where=name, allowed="another test_split")
    parts = {"train": tables["train"], "test": tables[options.test_split]}
    if "validation" in tables and options.test_split != "validation":
        parts["validation"] = tables["validation"]
    return parts
