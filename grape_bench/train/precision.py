"""Number formats: what a device supports, and what training in each format needs."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from grape_bench.errors import UserError

CPU = torch.device("cpu")
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AMPERE = (8, 0)  # compute capability of the first GPUs with tf32 and bf16


class Precision:
    """The arithmetic of one training: fp32, tf32 (fp32 matrix products with 10-bit mantissas), bf16 or fp16 (autocast).

    Weights and the optimizer's state are always fp32. fp16 scales the loss with torch.amp.GradScaler and skips a step
    whose gradients overflow. Raises UserError if `device` does not support the format.
    """

    def __init__(self, name: str = "fp32", device: torch.device = CPU) -> None:
        _check(name, device)
        self.name, self.device = name, device
        self.scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None

    def forward(self) -> AbstractContextManager[object]:
        """The context of a forward and its loss."""
        if self.name in _AUTOCAST:
            return torch.autocast(self.device.type, dtype=_AUTOCAST[self.name])
        return nullcontext()

    @property
    def loss_scale(self) -> float | Tensor:
        """The factor by which `backward` multiplies the loss, on the device."""
        return self.scaler.scale(torch.ones((), device=self.device)) if self.scaler else 1.0

    def backward(self, loss: Tensor) -> None:
        """Run the backward of `loss`, scaled if the format needs it."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients by the loss scale, for clipping before `step`."""
        if self.scaler:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the optimizer's step on unscaled gradients."""
        if self.scaler is None:
            optimizer.step()
            return
        self.scaler.step(optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The loss scale, or an empty dict without one."""
        return self.scaler.state_dict() if self.scaler else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from the result of `state_dict`."""
        if self.scaler:
            self.scaler.load_state_dict(state)


def set_arithmetic(precision: str, *, deterministic: bool) -> None:
    """Set the arithmetic of the whole process: tf32 or full fp32, and whether operations are deterministic.

    With `deterministic`, an operation without a deterministic implementation raises RuntimeError.
    """
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"  # PyTorch's default allows it only in convolutions
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first use of a GPU
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = False  # trying algorithms takes time, and the choice differs between runs


def arithmetic(device: torch.device) -> dict[str, bool] | None:
    """The settings that determine how a GPU computes, for a record's `arithmetic`. None for other devices."""
    if device.type != "cuda":
        return None
    cudnn = torch.backends.cudnn
    return {
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        "tf32_cudnn": cudnn.allow_tf32,
        "cudnn_benchmark": cudnn.benchmark,
        "cudnn_deterministic": cudnn.deterministic,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _check(name: str, device: torch.device) -> None:
    if device.type == "cpu":
        missing = name == "tf32"
    else:
        missing = name in ("tf32", "bf16") and torch.cuda.get_device_capability(device) < _AMPERE
    if missing:
        where = "a CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)
        allowed = "fp32, bf16, fp16" if device.type == "cpu" else "fp32, fp16"
        raise UserError(
            f"{where} does not support {name}", where="precision", allowed=allowed, hint="--set task.precision=fp32"
        )
