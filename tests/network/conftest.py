import pytest

from grape_bench.network import captured, parallel
from tests.network.fake_cuda import FakeCuda


@pytest.fixture
def fake_cuda(monkeypatch):
    """Streams and graphs on the CPU, in the place of CUDA's."""
    fake = FakeCuda()
    for module in (parallel, captured):
        monkeypatch.setattr(module, "cuda", fake)
        monkeypatch.setattr(module, "require_cuda", lambda network, what: None)
    monkeypatch.setattr(captured, "_stop_allocating", lambda device, pool: None)
    monkeypatch.setattr(captured, "_stop_capturing", lambda generators: None)
    parallel.cuda_streams.cache_clear()
    yield fake
    parallel.cuda_streams.cache_clear()
