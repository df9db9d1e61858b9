"""Make a rule from its name and settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from grape_bench.errors import UserError, unknown
from grape_bench.network.rule import LearningRule
from grape_bench.record.rule_name import RuleName
from grape_bench.rules.anchored import Anchored
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.exact_steps import ExactSteps
from grape_bench.rules.finished import Finished
from grape_bench.rules.hardware import SETTINGS, Hardware
from grape_bench.rules.names import RULES

R = TypeVar("R", bound=type[LearningRule])


def make_rule(name: str, **settings: Any) -> LearningRule:
    """Make the rule called `name`: a registered name, an entry point, or `file.py:Class`.

    `X+anchor` is `Anchored(X)`, `X+finish` is `Finished(X)`, and `X+anchor+finish` is `Finished(Anchored(X))`.
    Raises UserError for an unknown name, an unknown setting, or a value that the rule does not accept.
    """
    parsed = RuleName.parse(name)
    base = parsed.reference
    cls = _class_of(base)
    check_settings(name, settings)
    settings = {**RULES.defaults(base), **settings}
    outer = {one: {k: settings.pop(k) for k in _parameters(one)[1:] if k in settings} for one in _wrappers(parsed)}
    device = {name: settings.pop(name) for name in device_settings(cls) if name in settings}
    try:
        rule: LearningRule = cls(**settings)
        if device and isinstance(rule, DirectFeedback):
            rule.hardware = Hardware(**device)
        for one, own in outer.items():
            rule = one(rule, **own)
        return rule
    except (TypeError, ValueError) as error:
        raise UserError(f"rule {name!r} does not accept its settings: {error}") from error


def check_settings(name: str, settings: Iterable[str], also: Iterable[str] = ()) -> None:
    """Raise UserError for a setting that the rule called `name` does not have. Settings in `also` are allowed too."""
    parsed = RuleName.parse(name)
    cls = _class_of(parsed.reference)
    accepted = {*_parameters(cls), *device_settings(cls), *also}
    accepted.update(*(_parameters(one)[1:] for one in _wrappers(parsed)))
    for setting in settings:
        if setting not in accepted:
            raise unknown("setting", setting, accepted, where=f"rule {name!r}")


def _wrappers(name: RuleName) -> list[type[ExactSteps]]:
    """The classes that `+anchor` and `+finish` put around a rule, the inner one first."""
    return ([Anchored] if name.anchored else []) + ([Finished] if name.finished else [])


def _class_of(reference: str) -> type[LearningRule]:
    cls = RULES.get(reference)
    if not (isinstance(cls, type) and issubclass(cls, LearningRule)):
        raise UserError(f"{reference!r} is not a LearningRule", hint="class MyRule(grape_bench.DirectFeedback): ...")
    return cls


def register_rule(name: str) -> Callable[[R], R]:
    """Class decorator that registers a rule as `name`."""

    def register(cls: R) -> R:
        RULES.register(name, cls)
        return cls

    return register


def parameters(cls: type, defaults: Mapping[str, Any] = MappingProxyType({})) -> list[tuple[str, Any]]:
    """The settings of a rule with their defaults, which `defaults` overrides."""
    # Without an __init__, inspect would evaluate the text signature of `object`, which takes 8 ms in a forked child.
    has_init = any("__init__" in vars(base) for base in cls.mro() if base is not object)
    found = inspect.signature(cls).parameters.values() if has_init else ()
    return [(one.name, defaults.get(one.name, one.default)) for one in found]


def device_settings(cls: type) -> tuple[str, ...]:
    """The `Hardware` settings that a direct-feedback rule accepts. A rule's own setting of the same name wins."""
    own = _parameters(cls) if issubclass(cls, DirectFeedback) else SETTINGS
    return tuple(name for name in SETTINGS if name not in own)


def _parameters(cls: type) -> list[str]:
    return [name for name, _ in parameters(cls)]
