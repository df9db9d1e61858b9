"""Make an objective from its name and arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from grape_bench.arguments import check_value
from grape_bench.errors import UserError, unknown
from grape_bench.objectives.names import METRIC_UNITS, OBJECTIVES, check_name
from grape_bench.objectives.objective import Objective

O = TypeVar("O", bound=type[Objective])


def make_objective(name: str, **args: Any) -> Objective:
    """Make the objective called `name`: a registered name, an entry point, or `file.py:Class`.

    Raises UserError for an unknown name or argument, a wrong value, or a metric that cannot be scored.
    """
    check_name(name)
    cls = OBJECTIVES.get(name)
    if not (isinstance(cls, type) and issubclass(cls, Objective)):
        raise UserError(f"{name!r} is not an Objective", hint="class MyObjective(grape_bench.Objective): ...")
    where = f"objective_args of {name!r}"
    parameters = _parameters(cls)
    for key, value in args.items():
        if key not in parameters:
            raise unknown("argument", key, parameters, where=where)
        if parameters[key] is not inspect.Parameter.empty:
            check_value(key, value, parameters[key], where=where)
    objective = cls(**args)
    if getattr(objective, "targets", "") not in ("classes", "values"):
        raise UserError("the objective has no `targets`", where=name, allowed='"classes", "values"')
    metric = getattr(objective, "metric", "")
    if metric not in METRIC_UNITS:
        raise unknown("metric", metric, METRIC_UNITS, where=f"objective {name!r}")
    return objective


def register_objective(name: str) -> Callable[[O], O]:
    """Class decorator that registers an objective as `name`."""

    def register(cls: O) -> O:
        OBJECTIVES.register(name, cls)
        return cls

    return register


def _parameters(cls: type) -> Mapping[str, Any]:
    """The annotations of the constructor's arguments."""
    has_init = any("__init__" in vars(base) for base in cls.mro() if base is not object)
    if not has_init:
        return {}
    return {name: one.annotation for name, one in inspect.signature(cls, eval_str=True).parameters.items()}
