from importlib import import_module

import pytest

from grape_bench.execute.pool import Pool


def is_known(function: str) -> int:
    """In a child: 0 if what `function` finds out is known before it is asked."""
    module, _, name = function.partition(":")
    return 0 if getattr(import_module(module), name).cache_info().currsize else 1


@pytest.mark.parametrize(
    "function",
    ["grape_bench.track.environment:software", "grape_bench.data.digits:read", "grape_bench.data.mnist1d:generate"],
)
def test_children_find_what_the_server_has_found_out(function: str) -> None:
    pool = Pool([function])
    try:
        pool.start("child", f"{__name__}:is_known", function)
        ended: list[tuple[str, int]] = []
        while not ended:
            ended = pool.ended(None)
    finally:
        pool.close()
    assert ended == [("child", 0)]
