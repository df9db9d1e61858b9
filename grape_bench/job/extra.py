"""Optional parts of a finished run's record. An error in one of them must not cost the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from grape_bench.errors import described, log_error
from grape_bench.record.typed_json import decode, listed


class Extra:
    """Measures optional parts. `lost` has the reason for each part that is missing."""

    def __init__(self) -> None:
        self.lost: dict[str, str] = {}

    def part(self, name: str, kind: type | None, measure: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The result of `measure`, if a record can hold it as a `kind`. None after an error, which goes to stderr."""
        try:
            found = measure()
            if kind is not None:
                decode(kind, listed(found))
            return found
        except Exception as error:
            log_error()
            self.lost[name] = described(error)
        return None
