"""How often something is done in the course of a training."""

from __future__ import annotations

import re
from dataclasses import dataclass

from grape_bench.errors import UserError

_FORM = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|epochs?)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Period:
    """Every so many `seconds`, or every so many `epochs`, or, with neither, never."""

    seconds: float | None = None
    epochs: int | None = None

    @classmethod
    def parse(cls, text: str, *, where: str = "") -> Period:
        """The period that `text` means, such as `60s`, `5min`, `1h`, `2epochs`, `never`; raises UserError."""
        if text == "never":
            return cls()
        match = _FORM.fullmatch(text)
        if match is None:
            raise UserError(f"{text!r} is not a period", where=where, allowed="60s, 5min, 1h, 1epoch, 10epochs, never")
        number, unit = match.groups()
        if unit in _SECONDS:
            return cls(seconds=float(number) * _SECONDS[unit])
        if not number.isdigit() or number == "0":
            raise UserError(f"{text!r}: a whole number of epochs, at least 1", where=where)
        return cls(epochs=int(number))

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:g}s"
        return "never" if self.epochs is None else f"{self.epochs}epochs"
