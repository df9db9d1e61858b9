from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.models import build
from tests.models.sets import load_set


def test_each_category_has_an_embedding_and_numbers_pass_beside_it(sets: dict[str, dict[str, Any]]) -> None:
    data = load_set(sets["table"])
    made = build("tower", shape=data.shape, classes=1, args={"embedding": 3, "hidden": [5]}, data=data)
    embedding, first = made.get_submodule("embedding"), made.get_submodule("hidden")[0][0]  # type: ignore[index]
    assert embedding.num_embeddings == 3  # two cities, and one for a city that training rows do not have
    assert first.in_features == 1 + 3
    (args, _), target = next(iter(data.train.batches(4)))
    assert made(*args).shape == target.shape


def test_a_table_without_category_ids_is_refused(sets: dict[str, dict[str, Any]]) -> None:
    data = load_set(sets["points"])
    with pytest.raises(UserError, match=r'needs numbers with category ids, not numbers\n  try: dataset_args = .*"ids"'):
        build("tower", shape=data.shape, classes=3, args={}, data=data)
