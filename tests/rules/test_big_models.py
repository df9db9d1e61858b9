"""Feedback of big models takes less memory than their weights."""

import pytest
import timm
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import grape_bench as gb

MODELS = {
    "resnet50": (lambda: timm.create_model("resnet50", num_classes=1000), lambda: torch.zeros(1, 3, 224, 224)),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config()), lambda: {"input_ids": torch.zeros(1, 8, dtype=torch.long)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_feedback_of_every_rule_is_smaller_than_the_network(name):
    make, example = MODELS[name]
    model = make()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    for rule in ("fa", "dfa", "grape"):
        net = gb.attach(model, rule, example())
        buffers = [buffer for name, buffer in model.named_buffers() if "grape_bench_" in name]
        kept = sum(buffer.numel() * buffer.element_size() for buffer in buffers)
        assert 0 < kept < weights, rule
        assert kept == 4 * sum(feedback.numbers for feedback in net.feedback().values())
        net.detach()
