"""What the tables of suite and cluster files have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

# Names become folders, MLflow names and the first part of `--set NAME.KEY`: hence no dots, spaces, slashes.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Settings = dict[str, JsonValue]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Part(BaseModel):
    """A table of the file: unknown keys and wrong types are errors, never guessed around."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)
