"""The models of the coverage sweep: one timm model per family, tiny transformers of every kind, and the networks of
benchmarks/zoo."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import timm
import torch
import transformers
from torch import nn

from benchmarks import zoo
from benchmarks.zoo.entry import FEEDBACK_ALIGNMENT
from grape_bench.rules.names import RULES

# The smallest model of each family of timm 1.0, at a small input size or the only one that it accepts. Two families
# are too large: deepseek_vit (412 M parameters) and gemma4_vit (167 M).
TIMM = {
    "beit_base_patch16_224": 224,
    "eca_botnext26ts_256": 256,
    "mobileone_s1": 64,
    "cait_xxs24_224": 224,
    "coat_tiny": 224,
    "convit_tiny": 224,
    "convmixer_768_32": 64,
    "convnext_atto": 64,
    "cpubone_nano": 64,
    "crossvit_tiny_240": 240,
    "csatv2": 64,
    "cs3darknet_focus_s": 64,
    "cspnext_tiny": 64,
    "davit_tiny": 64,
    "deit_tiny_patch16_224": 224,
    "densenet121": 64,
    "dla46x_c": 64,
    "dpn48b": 64,
    "edgenext_xx_small": 64,
    "efficientformer_l1": 224,
    "efficientformerv2_s0": 224,
    "tinynet_e": 64,
    "efficientvim_m1": 64,
    "efficientvit_b0": 64,
    "efficientvit_m0": 224,
    "eva02_tiny_patch14_224": 224,
    "fasternet_t0": 64,
    "fastvit_t8": 64,
    "focalnet_tiny_srf": 64,
    "gcvit_xxtiny": 224,
    "ghostnet_050": 64,
    "hardcorenas_b": 64,
    "hgnetv2_b0": 64,
    "hiera_tiny_224": 224,
    "sam2_hiera_tiny": 224,
    "hrnet_w18_small": 64,
    "iformer_t": 64,
    "inception_next_atto": 64,
    "inception_resnet_v2": 96,
    "inception_v3": 96,
    "inception_v4": 96,
    "lcnetv2_small": 64,
    "levit_128": 224,
    "lowformer_b0": 64,
    "mambaout_femto": 64,
    "maxvit_pico_rw_256": 256,
    "poolformerv2_s12": 64,
    "gmlp_ti16_224": 224,
    "lcnet_035": 64,
    "mobilenetv5_base": 64,
    "mobilevit_xxs": 64,
    "mvitv2_tiny": 224,
    "naflexvit_base_patch16_gap": 64,
    "nasnetalarge": 96,
    "nest_tiny": 224,
    "nextvit_small": 64,
    "nf_regnet_b0": 64,
    "pit_ti_224": 224,
    "pnasnet5large": 96,
    "pvt_v2_b0": 64,
    "qwen3_vit_88m": 64,
    "rdnet_tiny": 64,
    "regnetx_002": 64,
    "repghostnet_050": 64,
    "repvit_m1": 64,
    "res2next50": 64,
    "resnest14d": 64,
    "resnet18": 64,
    "resnetv2_18": 64,
    "rexnet_100": 64,
    "selecsls42": 64,
    "legacy_seresnet18": 64,
    "sequencer2d_s": 224,
    "shvit_s1": 64,
    "skresnet18": 64,
    "starnet_s050": 64,
    "swiftformer_xs": 224,
    "swin_tiny_patch4_window7_224": 224,
    "swinv2_tiny_window8_256": 256,
    "swinv2_cr_tiny_224": 224,
    "tiny_vit_5m_224": 64,
    "tnt_s_legacy_patch16_224": 224,
    "tresnet_m": 64,
    "twins_svt_small": 224,
    "vgg11": 64,
    "visformer_tiny": 224,
    "vit_tiny_patch16_224": 224,
    "vit_tiny_r_s16_p8_224": 224,
    "vit_srelpos_small_patch16_224": 224,
    "samvit_base_patch16_224": 224,
    "vitamin_small_224": 224,
    "volo_d1_224": 224,
    "ese_vovnet19b_slim_dw": 64,
    "legacy_xception": 96,
    "xception41p": 96,
    "xcit_nano_12_p8_224": 224,
}

SHALLOW = {"depth": 3}
NARROW = {"depth": 3, "embed_dim": 192, "num_heads": 3}
SHALLOW_STAGES = {"depths": (2, 2, 2, 2)}

# Fewer or narrower layers of the same kinds, for models that would take most of the sweep's time.
SMALLER: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": SHALLOW,
    "vit_srelpos_small_patch16_224": SHALLOW,
    "deit_tiny_patch16_224": SHALLOW,
    "eva02_tiny_patch14_224": SHALLOW,
    "qwen3_vit_88m": SHALLOW,
    "tnt_s_legacy_patch16_224": SHALLOW,
    "xcit_nano_12_p8_224": SHALLOW,
    "cait_xxs24_224": SHALLOW,
    "beit_base_patch16_224": NARROW,
    "naflexvit_base_patch16_gap": NARROW,
    "samvit_base_patch16_224": {**NARROW, "global_attn_indexes": (2,)},
    "sequencer2d_s": {"layers": (1, 1, 2, 1)},
    "hiera_tiny_224": {"stages": (1, 1, 2, 1)},
    "swin_tiny_patch4_window7_224": SHALLOW_STAGES,
    "swinv2_tiny_window8_256": SHALLOW_STAGES,
    "swinv2_cr_tiny_224": SHALLOW_STAGES,
    "twins_svt_small": SHALLOW_STAGES,
}

GATHERED = ("mvitv2_tiny", "samvit_base_patch16_224")
"""Models that multiply by rows gathered from a table of relative positions, which no feedback can replace."""

TINY = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "embedding_size": 32,
    "d_model": 32,
    "d_ff": 48,
    "d_kv": 16,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "ffn_dim": 48,
    "word_embed_proj_dim": 32,
    "head_dim": 16,
    "image_size": 32,
    "patch_size": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 0,
}
ENCODERS = (
    *("bert", "roberta", "distilbert", "electra", "albert", "mpnet", "deberta-v2", "xlm-roberta", "camembert"),
    *("nystromformer", "convbert", "modernbert", "squeezebert"),
)
DECODERS = (
    *("gpt2", "gpt_neo", "gptj", "gpt_neox", "llama", "mistral", "qwen2", "gemma", "phi", "opt", "bloom", "falcon"),
    *("stablelm", "olmo", "mamba", "rwkv"),
)
ENCODER_DECODERS = ("t5", "bart", "pegasus", "marian", "mbart")
VISION = ("vit", "swin", "convnext", "resnet", "segformer", "mobilevit", "dinov2")
EXTRA: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 8},
    "mamba": {"state_size": 4},
    "swin": {
        "image_size": 32,
        "embed_dim": 16,
        "depths": [2, 2],
        "num_heads": [2, 2],
        "window_size": 2,
        "patch_size": 2,
    },
    "convnext": {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 2, 1], "patch_size": 4},
    "resnet": {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [2, 2]},
    "segformer": {"num_attention_heads": [1, 1, 2, 2], "depths": [1, 1, 1, 1], "hidden_sizes": [16, 16, 32, 32]},
    "mobilevit": {"image_size": 64, "patch_size": 2, "num_attention_heads": 4, "hidden_sizes": [32, 32, 32]},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "bloom": {"n_layer": 2, "n_head": 2},
    "squeezebert": {"q_groups": 1, "k_groups": 1, "v_groups": 1, "intermediate_groups": 1, "output_groups": 1},
}
EXTRA["gptj"] |= EXTRA["gpt2"]


@dataclass(frozen=True)
class Architecture:
    """A model of the sweep: its name, a function that makes it, and a batch for it.

    `loss` is its own loss, if it has one. `options` are arguments of `attach`. `refused` are rules that refuse it.
    `mixed` are patterns of hidden parameters that the output's gradient may reach. With `surrogate`, its backward
    differs from its forward's derivative on purpose.
    """

    name: str
    make: Callable[[], nn.Module]
    batch: Callable[[], Any]
    loss: Callable[[Any], torch.Tensor] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    refused: Collection[str] = ()
    mixed: tuple[str, ...] = ()
    surrogate: bool = False

    def __str__(self) -> str:
        return self.name


def _timm(name: str, size: int) -> Architecture:
    return Architecture(
        f"timm {name}",
        lambda: timm.create_model(name, num_classes=5, **SMALLER.get(name, {})),
        lambda: torch.randn(2, 3, size, size),
        refused=FEEDBACK_ALIGNMENT if name in GATHERED else (),
    )


def _transformer(kind: str, auto: str, batch: Callable[[], Any]) -> Architecture:
    def make() -> nn.Module:
        known = transformers.AutoConfig.for_model(kind)
        names = set(known.to_dict()) | set(type(known).attribute_map)
        extra = EXTRA.get(kind, {})
        tiny = (
            {}
            if "hidden_sizes" in extra or "depths" in extra
            else {name: value for name, value in TINY.items() if name in names}
        )
        config = transformers.AutoConfig.for_model(kind, **{**tiny, **extra})
        return getattr(transformers, auto).from_config(config)

    refused = FEEDBACK_ALIGNMENT if kind == "mamba" else ()  # it multiplies by the matrix exp(A_log)
    return Architecture(f"transformers {kind}", make, batch, refused=refused)


def _published(entry: zoo.Entry) -> Architecture:
    refused = [rule for rule in RULES if entry.reason(rule)]
    return Architecture(
        f"{entry.family} {entry.name}",
        entry.make,
        entry.example,
        entry.loss,
        entry.options,
        refused=refused,
        mixed=entry.mixed,
        surrogate=entry.surrogate,
    )


def _tokens(decoder: bool = False) -> dict[str, Any]:
    ids = torch.randint(3, 60, (2, 8))
    return {"input_ids": ids, "decoder_input_ids": ids[:, :6]} if decoder else {"input_ids": ids}


def _uncached() -> dict[str, Any]:
    return {**_tokens(), "use_cache": False}  # the setting for training a decoder


def _images(kind: str) -> torch.Tensor:
    size = EXTRA.get(kind, {}).get("image_size", 32)
    return torch.randn(2, 3, size, size)


ARCHITECTURES = [
    *(_timm(name, size) for name, size in TIMM.items()),
    *(_transformer(kind, "AutoModelForSequenceClassification", _tokens) for kind in ENCODERS),
    *(_transformer(kind, "AutoModelForCausalLM", _uncached) for kind in DECODERS),
    *(_transformer(kind, "AutoModelForSeq2SeqLM", lambda: _tokens(decoder=True)) for kind in ENCODER_DECODERS),
    *(_transformer(kind, "AutoModelForImageClassification", partial(_images, kind)) for kind in VISION),
    *(_published(entry) for entry in zoo.ENTRIES if not entry.reason("dfa")),
]
