"""What a step of a rule costs, in words: from the profile that a record holds."""

from __future__ import annotations

from grape_bench.record.parts import Flops, Holders, Pipeline, Profile
from grape_bench.record.typed_json import encode

MEBI = 2**20
PHASES = ("forward", "tangents", "credit", "update", "data")
KEPT = ("activations", "gradients", "optimizer", "feedback")


def lines(profile: Profile, peak_bytes: float | None) -> dict[str, str]:
    """A line each for time, memory, FLOPs, pipeline and energy, as far as they were measured."""
    found = {"step": _time(profile)}
    if profile.holders and peak_bytes is not None:
        found["peak"] = _memory(profile.holders, peak_bytes)
    if profile.flops:
        found["FLOPs"] = _flops(profile.flops, profile.speedup)
    if profile.pipeline:
        found["pipeline"] = _pipeline(profile.pipeline)
    if profile.energy:
        step, bp = profile.energy.step_j, profile.energy.bp_step_j
        found["energy"] = f"{step:.3g} J a step, {step / bp:.2f} of BP's"
    return {name: text for name, text in found.items() if text}


def _time(profile: Profile) -> str:
    text = f"{profile.step_ratio:.2f} of BP's ({profile.low:.2f} to {profile.high:.2f})"
    if not profile.split:
        return text
    seconds: dict[str, float] = encode(profile.split)
    total = sum(seconds.values())
    shares = ", ".join(f"{name} {100 * seconds[name] / total:.0f} %" for name in PHASES)
    return f"{text}, {1000 * total:.3g} ms: {shares}"


def _memory(holders: Holders, peak: float) -> str:
    kept: dict[str, int] = encode(holders)
    parts = {name: kept[name] / MEBI for name in KEPT}
    parts["the rest"] = peak / MEBI - sum(parts.values())
    named = ", ".join(f"{name} {size:.3g}" for name, size in parts.items())
    return f"{peak / MEBI:.3g} MiB above the {kept['weights'] / MEBI:.3g} of the weights: {named}"


def _flops(flops: Flops, speedup: float | None) -> str:
    text = f"{flops.total / 1e9:.3g} G, {flops.total / flops.bp:.2f} of BP's"
    if speedup is None:
        return text
    chain = f"on the longest chain of dependent blocks {flops.critical / flops.bp:.2f}"
    return f"{text}; {chain}: layer-parallel, at most {speedup:.2f} times as fast as BP"


def _pipeline(found: Pipeline) -> str:
    if not found.devices:
        return ""
    rows = [
        f"{name} devices: {row.speedup:.2f} times, waiting {100 * row.bubble:.0f} %"
        f" (BP {row.bp_speedup:.2f}, {100 * row.bp_bubble:.0f} %)"
        for name, row in found.devices.items()
    ]
    return f"model, {found.micro_batches} micro-batches, one device under BP = 1; {'; '.join(rows)}"
