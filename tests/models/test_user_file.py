from pathlib import Path

import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.models import build

SOURCE = """
from __future__ import annotations
from typing import TYPE_CHECKING, Annotated, Literal
from pydantic import Field
from torch import nn
if TYPE_CHECKING:
    from somewhere import Something

def linear(shape, classes, bias=True):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0], classes, bias=bias))

def nothing(shape, classes):
    return "a network"

Width = Annotated[int, Field(ge=1, description="1 or more")]

def checked(shape, classes, width: Width = 3, bias: Literal["on"] = "on"):
    return nn.Linear(shape[0], classes)

def loose(shape, classes, width: tuple[int] = (3,), other: Something = None):
    return nn.Linear(shape[0], classes)

def needy(shape, classes, width):
    return nn.Linear(shape[0], classes)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_factory_in_a_file_makes_the_model(file: Path) -> None:
    model = build(f"{file}:linear", shape=(5,), classes=3, args={"bias": False})
    assert model(torch.randn(2, 5)).shape == (2, 3)
    assert len(list(model.parameters())) == 1


def test_a_plain_annotation_is_not_checked(file: Path) -> None:
    args = {"width": [1, 2], "other": 1}
    assert build(f"{file}:loose", shape=(5,), classes=3, args=args)(torch.randn(2, 5)).shape == (2, 3)


@pytest.mark.parametrize(
    ("factory", "args", "said"),
    [
        ("nothing", {}, "returned str, not a torch.nn.Module"),
        ("linear", {"biass": 1}, "did you mean 'bias'"),
        ("needy", {}, "width"),
        ("liner", {}, "did you mean 'linear'"),
        ("checked", {"width": "3"}, "width = '3'\n  allowed: 1 or more"),
        ("checked", {"bias": "onn"}, "did you mean 'on'"),
    ],
)
def test_mistakes_in_the_file_or_its_arguments_are_refused(file: Path, factory: str, args: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(f"{file}:{factory}", shape=(5,), classes=3, args=args)
