"""The table of known models names existing models, with their correct sizes."""

from __future__ import annotations

import pytest
import timm

from grape_bench.models.known import known_models


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "test_vit"])
def test_size_and_input_are_those_of_the_model(name: str) -> None:
    known = known_models()[f"timm:{name}"]
    model = timm.create_model(name)
    assert int(known.parameters) == sum(parameter.numel() for parameter in model.parameters())
    assert known.input == "x".join(map(str, model.default_cfg["input_size"]))


def test_the_sweep_is_known_for_its_own_models_and_for_their_families() -> None:
    swept = known_models()["timm:deit_tiny_patch16_224"]
    assert swept.attached == "yes" and known_models()["timm:deit_base_patch16_224"].attached == "family"
    assert known_models()["timm:nasnetalarge"].attached == "no" and known_models()["hf:bert"].attached == "yes"


def test_models_of_the_installed_timm_are_known() -> None:
    names = {f"timm:{name}" for name in timm.list_models()}
    assert len(names & set(known_models())) > 0.9 * len(names)
