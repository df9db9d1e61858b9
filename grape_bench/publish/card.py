"""`rule.toml`, the rule card: what a publication declares about its rule."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from grape_bench.errors import UserError
from grape_bench.record.content import parse_toml

CARD = "rule.toml"
ANONYMOUS = "anonymous"
"""The paper on the card of an anonymous publication."""

Text = Annotated[str, Field(min_length=1, max_length=500)]


class Card(BaseModel):
    """The rule card. `source` is the hash of the file that defines the rule, and `space` is the rule's search space."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Text
    version: Text
    paper: str = ""
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    weight_transport: bool
    bp_fraction: float | None = None  # as declared; None if the rule declares nothing
    trials: Annotated[int, Field(ge=0)] = 0  # of the search on each task; 0 without a search
    selected_on: str = "validation"
    space: dict[str, JsonValue] = {}

    def to_toml(self) -> str:
        """The content of the file."""
        lines = []
        for key, value in self.model_dump(exclude={"space"}, exclude_none=True).items():
            lines.append(f"{key} = {_toml(value)}")
        if self.space:
            lines += ["", "[space]", *(f"{_key(name)} = {_toml(axis)}" for name, axis in self.space.items())]
        return "\n".join(lines) + "\n"


def read_card(text: str, where: str) -> Card:
    """The card in `text`. Raises UserError if it is not one."""
    try:
        return Card.model_validate(parse_toml(text))
    except (ValueError, RecursionError) as error:  # a ValidationError is a ValueError
        raise UserError(f"not a rule card: {' '.join(str(error).split())}", where=where) from error


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # TOML writes strings, numbers and booleans as JSON does


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)
