from importlib import import_module

import pytest

from grape_bench.execute.pool import Pool

pytestmark = pytest.mark.cold


def is_known(function: str) -> int:
    """In a child: 0 if the result of `function` is already cached."""
    module, _, name = function.partition(":")
    return 0 if getattr(import_module(module), name).cache_info().currsize else 1


@pytest.mark.parametrize(
    "function",
    ["grape_bench.record.environment:software", "grape_bench.data.digits:read", "grape_bench.data.mnist1d:generate"],
)
def test_children_inherit_the_caches_of_the_server(function: str) -> None:
    pool = Pool([function])
    try:
        pool.start("child", f"{__name__}:is_known", function)
        ended: list[tuple[str, int]] = []
        while not ended:
            ended = pool.ended(None)
    finally:
        pool.close()
    assert ended == [("child", 0)]
