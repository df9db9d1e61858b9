from collections.abc import Sequence

from grape_bench.execute.pool import Pool
from grape_bench.track.environment import software


def knows_software(_: Sequence[str]) -> int:
    """In a child: 0 if what `software` finds out is known before it is asked."""
    return 0 if software.cache_info().currsize else 1


def test_children_find_what_the_server_has_found_out() -> None:
    pool = Pool(["grape_bench.track.environment:software"])
    try:
        pool.start("child", f"{__name__}:knows_software", [])
        ended: list[tuple[str, int]] = []
        while not ended:
            ended = pool.ended(None)
    finally:
        pool.close()
    assert ended == [("child", 0)]
