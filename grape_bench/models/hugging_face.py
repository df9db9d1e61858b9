"""Unmodified models of transformers: a model type with random weights, a hub id or a local folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from grape_bench.errors import UserError, unknown
from grape_bench.models.arguments import bad_arguments, unknown_in_library, unreachable
from grape_bench.models.hugging_face_text import (
    check_causal,
    check_positions,
    check_tokens,
    fit_vocabulary,
    text_settings,
)
from grape_bench.models.inputs import Inputs

# What the constructor of a configuration accepts in addition to its listed fields.
COMMON = {"num_labels", "attn_implementation", "dtype"}


@dataclass(frozen=True)
class Head:
    """A kind of model: its name in messages, the class that builds it, and the model types that have one."""

    kind: str
    auto: Any
    types: Mapping[str, Any]


IMAGE = Head(
    "image classifier",
    AutoModelForImageClassification,
    modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
)
SEQUENCE = Head(
    "sequence classifier",
    AutoModelForSequenceClassification,
    modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)
CAUSAL = Head("causal language model", AutoModelForCausalLM, modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
SEQ2SEQ = Head("encoder-decoder", AutoModelForSeq2SeqLM, modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)


def build(name: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any], inputs: Inputs) -> nn.Module:
    """Build a model from `name`: a model type (`vit`), a hub id (`google/vit-base-patch16-224`) or a folder.

    Images (C, H, W) get an image classifier. Tokens get a causal language model if each token has a target, and a
    sequence classifier otherwise. Sequences with `decoder_input_ids` get an encoder-decoder. The logits are the
    output's `.logits`. `args` are fields of the configuration and override ours. `pretrained` also loads the weights
    (only for hub ids and folders). Raises UserError for unknown names and fields, or if the Hub cannot be reached.
    """
    model_id = f"hf:{name}"
    head = _head(model_id, shape, inputs)
    fields = {key: value for key, value in args.items() if key != "pretrained"}
    is_pretrained = bool(args.get("pretrained", False))
    try:
        config = _config(model_id, head, fields, inputs, shape=shape, classes=classes, pretrained=is_pretrained)
        if inputs.has_tokens:
            check_positions(model_id, config, inputs)
        if is_pretrained:
            if inputs.has_tokens:
                check_tokens(model_id, name, config, inputs)
            # If the number of classes differs from the checkpoint's, the head gets random weights.
            dtype = fields.get("dtype", torch.float32)
            model = head.auto.from_pretrained(name, config=config, ignore_mismatched_sizes=True, dtype=dtype)
        else:
            model = head.auto.from_config(config)
        if head in (CAUSAL, SEQ2SEQ):
            fit_vocabulary(model, classes)
    except UserError:
        raise
    except OSError as error:
        raise unreachable(model_id, error) from error
    except Exception as error:  # configurations raise their own types, and models may raise anything for a wrong size
        raise bad_arguments(model_id, error) from error
    made: nn.Module = model if "dtype" in fields else model.float()
    if head is CAUSAL and inputs.predicts_next:
        check_causal(model_id, made, inputs)
    return made.train()


def _head(model_id: str, shape: tuple[int, ...], inputs: Inputs) -> Head:
    if inputs.kind == "values" and len(shape) == 3:
        return IMAGE
    if inputs.is_assumed:  # no data set: `grape-bench blocks --tokens`
        return SEQUENCE
    inputs.require(model_id, "tokens", "token pairs")
    if inputs.kind == "token pairs":
        return SEQ2SEQ
    return CAUSAL if inputs.per_step else SEQUENCE


def _config(
    model_id: str,
    head: Head,
    fields: dict[str, Any],
    inputs: Inputs,
    *,
    shape: tuple[int, ...],
    classes: int,
    pretrained: bool,
) -> Any:
    """Return the configuration: fields that fit the data, then the user's. A configuration accepts any name."""
    name = model_id.removeprefix("hf:")
    is_type = "/" not in name
    if is_type:
        _check_model_type(model_id, head, pretrained=pretrained)
    read = AutoConfig.for_model if is_type else AutoConfig.from_pretrained
    default = read(name)
    known = {*default.to_dict(), *getattr(default, "attribute_map", {}), *COMMON}
    for key in fields:
        if key not in known:
            raise unknown("field", key, known, where=f"model_args of {model_id!r}")
    fitted: dict[str, Any] = {} if head in (CAUSAL, SEQ2SEQ) else {"num_labels": classes}
    if head is IMAGE:
        size = shape[1] if shape[1] == shape[2] else list(shape[1:])
        fitted |= {"num_channels": shape[0], "image_size": size}
    elif inputs.has_tokens:
        fitted |= text_settings(default, inputs, classes=classes, is_classifier=head is SEQUENCE, pretrained=pretrained)
    fitted = {key: value for key, value in fitted.items() if key in known}
    return read(name, **{**fitted, **fields})


def _check_model_type(model_id: str, head: Head, *, pretrained: bool) -> None:
    name = model_id.removeprefix("hf:")
    if name not in CONFIG_MAPPING_NAMES:
        hint = "a model type of transformers, such as hf:vit, or a hub id, such as hf:google/vit-base-patch16-224"
        raise unknown_in_library("model type", name, head.types, where=model_id, hint=hint)
    if name not in head.types:
        allowed = ", ".join(sorted(head.types))
        raise UserError(f"transformers has no {head.kind} of this type", where=model_id, allowed=allowed)
    if pretrained:
        hint = "a hub id, such as hf:microsoft/resnet-18"
        raise UserError("a model type has no pretrained weights", where=model_id, hint=hint)
