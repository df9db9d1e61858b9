"""Small unmodified models of many kinds, each with a batch and the blocks that it should be cut at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import timm
import torch
import transformers
from torch import Tensor, nn

TRANSFORMER = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, vocab_size=60)


@dataclass(frozen=True)
class Problem:
    name: str
    model: Callable[[], nn.Module]
    batch: Callable[[], Any]
    blocks: int
    first: str
    last: str
    args: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def tanh_mlp(sizes: tuple[int, ...] = (6, 7, 5, 4)) -> nn.Sequential:
    """Linear and tanh in turn, then a linear head."""
    hidden = [layer for a, b in pairwise(sizes[:-1]) for layer in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-2], sizes[-1]))


def convolutions(axes: int, channels: int = 16, classes: int = 10, inputs: int = 1) -> nn.Sequential:
    """Two blocks of a convolution over `axes` axes and a ReLU, a mean over the positions and a linear head."""
    convolution, mean = getattr(nn, f"Conv{axes}d"), getattr(nn, f"AdaptiveAvgPool{axes}d")(1)
    blocks = (nn.Sequential(convolution(c, channels, 3, padding=1), nn.ReLU()) for c in (inputs, channels))
    return nn.Sequential(*blocks, mean, nn.Flatten(), nn.Linear(channels, classes))


def channels_last(positions: int, channels: int = 16, classes: int = 10) -> nn.Sequential:
    """Two blocks of a linear map of the last axis and a ReLU, and a linear head on all `positions` of a sample."""
    blocks = (nn.Sequential(nn.Linear(c, channels), nn.ReLU()) for c in (1, channels))
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(positions * channels, classes))


def images(size: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(4, 3, size, size)


def tokens(decoder: bool = False) -> dict[str, Tensor]:
    ids = torch.randint(3, 60, (3, 6))
    return {"input_ids": ids, "decoder_input_ids": ids[:, :4]} if decoder else {"input_ids": ids}


def from_config(kind: str, config: str, **args: Any) -> Callable[[], nn.Module]:
    special = dict(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    return lambda: getattr(transformers, kind)(getattr(transformers, config)(**args, **special))


def timm_model(name: str, **args: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=5, **args)


T5 = dict(d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, vocab_size=60, decoder_start_token_id=0)
RESNET = dict(zero_init_last=False, channels=(16, 24, 32, 48))
CONVNEXT = dict(dims=(16, 24, 32, 40))
MIXER = dict(img_size=32, patch_size=16, num_blocks=8, embed_dim=48, num_classes=5)
VIT = dict(img_size=32, patch_size=8, depth=3, embed_dim=48, num_heads=3)

PROBLEMS = [
    Problem("mlp", tanh_mlp, lambda: torch.randn(8, 6), 2, "1", "3"),
    Problem("resnet18", timm_model("resnet18", **RESNET), images(32), 8, "layer1.0", "layer4.1"),
    Problem("vit", timm_model("vit_tiny_patch16_224", **VIT), images(32), 3, "blocks.0", "blocks.2"),
    Problem(
        "convnext", timm_model("convnext_atto", **CONVNEXT), images(32), 12, "stages.0.blocks.0", "stages.3.blocks.1"
    ),
    Problem("mixer", lambda: timm.models.MlpMixer(**MIXER), images(32), 8, "blocks.0", "blocks.7"),
    Problem("efficientnet", timm_model("efficientnet_b0"), images(32), 15, "blocks.1.0", "blocks.6.0"),
    Problem(
        "bert",
        from_config("BertForSequenceClassification", "BertConfig", **TRANSFORMER),
        tokens,
        2,
        "bert.encoder.layer.0",
        "bert.encoder.layer.1",
    ),
    Problem(
        "gpt2",
        from_config("GPT2LMHeadModel", "GPT2Config", n_embd=32, n_layer=2, n_head=2, vocab_size=60),
        tokens,
        2,
        "transformer.h.0",
        "transformer.h.1",
    ),
    Problem(
        "llama",
        from_config("LlamaForCausalLM", "LlamaConfig", **TRANSFORMER, num_key_value_heads=2),
        tokens,
        2,
        "model.layers.0",
        "model.layers.1",
    ),
    Problem(
        "t5",
        from_config("T5ForConditionalGeneration", "T5Config", **T5),
        lambda: tokens(decoder=True),
        4,
        "encoder.block.0",
        "decoder.block.1",
    ),
]
BY_NAME = {problem.name: problem for problem in PROBLEMS}


def loss_of(output: Any) -> Tensor:
    """A smooth scalar that depends on every logit of every sample."""
    logits = (output if isinstance(output, Tensor) else output.logits).float()
    weights = torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)
    return (logits.log_softmax(-1) * weights).sum() / len(logits)
