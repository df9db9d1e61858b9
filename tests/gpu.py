"""What the tests on a real GPU share. Run them with `pytest -m gpu`; they skip, with a reason, where there is none."""

import pytest
import torch

CUDA = torch.device("cuda")
ON_A_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
