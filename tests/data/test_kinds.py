"""The columns of a source tell what kind of data it holds."""

from pathlib import Path

import pytest

from grape_bench.data.kinds import guess
from grape_bench.data.parquet import tables
from tests.data.tables import write_columns


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"image": [b"x"], "label": [0]}, "images"),
        ({"text": ["a"]}, "text"),
        ({"input_ids": [[1, 2]]}, "text"),
        ({"sentence": ["a"], "label": [0]}, "sentences"),
        ({"idx": [0], "premise": ["a"], "hypothesis": ["b"], "label": [0]}, "sentences"),
        ({"city": ["a"], "age": [3], "label": [0]}, "table"),
        ({"city": ["a"], "street": ["b"], "label": [0]}, "table"),
        ({"features": [[1.0, 2.0]], "target": [0.5]}, "table"),
        ({"series": [[1.0, 2.0]], "label": [0]}, "series"),
        ({"x": [[[1.0, 2.0]]], "label": [0]}, "series"),
        ({"features": [[1.0]], "neighbors": [[0]], "label": [0]}, "graph"),
    ],
)
def test_the_kind_of_each_table(tmp_path: Path, columns: dict, kind: str) -> None:
    write_columns(tmp_path, columns)
    assert guess(tables(tmp_path, where="mine")) == kind
