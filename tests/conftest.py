"""Every test runs on one thread, from one seed, and puts the global random state back."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread_one_seed():
    import torch

    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
