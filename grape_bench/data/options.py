"""The arguments of data sets (`dataset_args` in a suite), checked without importing torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field

from grape_bench.arguments import STRICT, parse_arguments
from grape_bench.errors import unknown

O = TypeVar("O", bound="SplitOptions")

VALIDATION = 0.1
IMAGES_ONLY = ("augment", "augment_with", "rand_augment", "mixup", "cutmix", "normalize", "resize", "channels")
TABLE_ONLY = ("image_column", "label_column", "test_split", "memory_limit")


def _gray_or_color(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError("channels must be 1 or 3")
    return channels


Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Fraction = Annotated[float, Field(ge=1e-9, lt=1.0, allow_inf_nan=False)]
Gibibytes = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Alpha = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Channels = Annotated[int, AfterValidator(_gray_or_color)]  # Literal[1, 3] would accept true


class SplitOptions(BaseModel):
    """The options of every data set. Error messages show each description as what is allowed."""

    model_config = STRICT

    limit: Count | None = Field(None, description="a number of samples, 1 or more")
    """Train on only the first `limit` samples of a fixed permutation. Validation and test do not change."""

    validation: Fraction | None = Field(None, description="a fraction of the training split between 0 and 1")
    """Fraction of the training split to cut for validation (0.1) if the source has no validation split."""

    test_split: Name = Field("test", description="the name of a split")
    """The source's split to use as the test split: `validation` if the test labels are hidden."""


class ImageOptions(SplitOptions):
    """The options of an image data set."""

    augment: Literal["none", "flip-crop"] = Field("none", description="none, flip-crop")

    augment_with: Name | None = Field(None, description="path/to/file.py:function")
    """A user-defined function, called after `augment`."""

    rand_augment: Name | None = Field(None, description="timm's form, such as rand-m9-mstd0.5-inc1")
    """RandAugment, after `augment_with`."""

    mixup: Alpha = Field(0.0, description="the α of a beta distribution, 0 or more")

    cutmix: Alpha = Field(0.0, description="the α of a beta distribution, 0 or more")

    normalize: Name = Field("train", description="train, or a checkpoint: timm:NAME, hf:NAME")
    """The source of the mean and standard deviation: the training images, or the checkpoint's own preprocessing."""

    resize: Count | None = Field(None, description="a number of pixels, 1 or more")
    """Scale the shorter side to this many pixels (bilinear, antialiased), then crop the central square."""

    channels: Channels | None = Field(None, description="1 or 3")

    image_column: Name | None = Field(None, description="the name of a column")

    label_column: Name | None = Field(None, description="the name of a column")

    memory_limit: Gibibytes = Field(2.0, description="GiB, 0 or more")
    """Keep decoded images in memory up to this many GiB. Larger sets are decoded batch by batch."""


def parse_options(schema: type[O], dataset_id: str, args: dict[str, Any], *, without: tuple[str, ...] = ()) -> O:
    """Check `args` against the options in `schema`, except those in `without`. Raises UserError."""
    where = f"dataset_args of {dataset_id!r}"
    for name in args:
        if name in without:
            raise unknown("argument", name, schema.model_fields.keys() - set(without), where=where)
    return parse_arguments(schema, args, where=where)


def parse(dataset_id: str, args: dict[str, Any], *, without: tuple[str, ...] = ()) -> ImageOptions:
    """Check `args` of an image data set that accepts every option except `without`. Raises UserError."""
    return parse_options(ImageOptions, dataset_id, args, without=without)
