"""Models of transformers, unmodified: a model type with random weights, a hub id or a local folder."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as IMAGE_CLASSIFIERS,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as SEQUENCE_CLASSIFIERS,
)

from grape_bench.errors import UserError, unknown
from grape_bench.models.arguments import bad_arguments, unknown_in_library, unreachable

# What the constructor of a configuration accepts in addition to the fields that it lists.
COMMON = {"num_labels", "attn_implementation", "dtype"}


def build(name: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any]) -> nn.Module:
    """Build a classifier from `name`: a model type (`vit`), a hub id (`google/vit-base-patch16-224`) or a folder.

    Images (C, H, W) get an image classifier, and token sequences (length,) get a sequence classifier. The logits
    (N, classes) are the output's `.logits`. `args` are fields of the configuration and win. `pretrained` loads the
    weights too (hub ids and folders only). Raises UserError for unknown names and fields, and if the Hub cannot be
    reached.
    """
    model_id = f"hf:{name}"
    fields = {key: value for key, value in args.items() if key != "pretrained"}
    try:
        if "/" not in name:
            _check_model_type(model_id, name, image=len(shape) == 3, pretrained=args.get("pretrained", False))
            settings = _settings(model_id, AutoConfig.for_model(name), shape, classes, fields)
            config = AutoConfig.for_model(name, **settings)
        else:
            settings = _settings(model_id, AutoConfig.from_pretrained(name), shape, classes, fields)
            config = AutoConfig.from_pretrained(name, **settings)
        auto = AutoModelForImageClassification if len(shape) == 3 else AutoModelForSequenceClassification
        if args.get("pretrained", False):
            # If the number of classes differs from the hub's, the head gets random weights.
            model: nn.Module = auto.from_pretrained(name, config=config, ignore_mismatched_sizes=True)
        else:
            model = auto.from_config(config)
    except UserError:
        raise
    except OSError as error:
        raise unreachable(model_id, error) from error
    except Exception as error:  # configurations raise their own types, and models raise anything for a wrong size
        raise bad_arguments(model_id, error) from error
    return model.train()


def _check_model_type(model_id: str, name: str, *, image: bool, pretrained: bool) -> None:
    kind, classifiers = ("image", IMAGE_CLASSIFIERS) if image else ("sequence", SEQUENCE_CLASSIFIERS)
    if name not in CONFIG_MAPPING_NAMES:
        hint = "a model type of transformers, such as hf:vit, or a hub id, such as hf:google/vit-base-patch16-224"
        raise unknown_in_library("model type", name, classifiers, where=model_id, hint=hint)
    if name not in classifiers:
        allowed = ", ".join(sorted(classifiers))
        raise UserError(f"transformers has no {kind} classifier of this type", where=model_id, allowed=allowed)
    if pretrained:
        hint = "a hub id, such as hf:microsoft/resnet-18"
        raise UserError("a model type has no pretrained weights", where=model_id, hint=hint)


def _settings(
    model_id: str, default: Any, shape: tuple[int, ...], classes: int, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return the fields to set: those that fit the data, then the user's. A configuration would accept any name."""
    known = {*default.to_dict(), *getattr(default, "attribute_map", {}), *COMMON}
    for key in fields:
        if key not in known:
            raise unknown("field", key, known, where=f"model_args of {model_id!r}")
    fitted: dict[str, Any] = {"num_labels": classes}
    if len(shape) == 3:
        size = shape[1] if shape[1] == shape[2] else list(shape[1:])
        images = {"num_channels": shape[0], "image_size": size}
        fitted |= {key: value for key, value in images.items() if key in known}
    return fitted | fields
