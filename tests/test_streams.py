import pytest

from grape_bench.streams import STREAMS, stream_seed


def test_streams_and_seeds_are_all_different_and_do_not_move():
    seeds = {stream_seed(seed, stream) for seed in range(50) for stream in STREAMS}
    assert len(seeds) == 50 * len(STREAMS)
    assert stream_seed(0, "init") == 3619478296582761984


def test_an_unknown_stream_is_refused():
    with pytest.raises(ValueError, match="no stream 'data'"):
        stream_seed(0, "data")
