"""Every cost is possible: step time, FLOPs and memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.record.job import leaves
from grape_bench.record.parts import Memory
from grape_bench.record.profile import Flops, Profile
from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN
from grape_bench.record.status import Status
from grape_bench.record.typed_json import encode

LEAST, MOST = 0.1, 1000.0
"""The step time ÷ BP's. Every step has a forward pass, which is about a third of BP's step."""

EFFICIENCY = 5.0
"""How many times faster than BP's a rule's FLOPs may run."""

NOISE = 30.0
"""How many times longer or shorter than in the profile a step of the training may take."""


def problems(submission: Submission) -> Iterator[str]:
    """Check that costs were measured, are positive, and fit each other."""
    for name, record in submission.records.items():
        if record.status is Status.FINISHED and record.rule != FROZEN:
            found = [*_missing(record)]
            if record.profile:
                found += [*_profile(record.profile, record)]
            if record.memory:
                found += [*_memory(record.memory, record.rule)]
            yield from (f"{name}: {problem}" for problem in found)


def _missing(record: Record) -> Iterator[str]:
    """The first seed measures the step, unless several processes train one job."""
    job = record.job
    if record.seed == 0 and job.nproc == 1 and not job.profile:
        yield "the first seed does not measure the step"
    if job.profile and job.nproc == 1 and record.profile is None and "profile" not in (record.lost or {}):
        yield "the step was measured, but the profile is missing"


def _profile(profile: Profile, record: Record) -> Iterator[str]:
    ratio = profile.step_ratio
    if bad := [f"{place} = {value}" for place, value in leaves(encode(profile)) if _negative(value)]:
        yield f"profile: {bad[0]}"
        return
    if not LEAST <= ratio <= MOST or not profile.low <= ratio <= profile.high:
        yield f"step_ratio = {ratio} (quartiles {profile.low} and {profile.high}) is no possible step time ÷ BP's"
    if record.rule == "bp" and ratio != 1:
        yield f"step_ratio = {ratio}, but BP's own is 1"
    if profile.bp_step_s <= 0 or profile.rounds < 1:
        yield f"bp_step_s = {profile.bp_step_s} in {profile.rounds} rounds"
    if profile.flops:
        yield from _flops(profile.flops, profile)
    steps = record.time.steps if record.time else 0
    expected = ratio * profile.bp_step_s * steps
    if record.time and expected > 0 and not 1 / NOISE <= record.time.train_s / expected <= NOISE:
        yield f"{steps} steps took {record.time.train_s:.4g} s, but the profile gives {expected:.4g} s"


def _flops(flops: Flops, profile: Profile) -> Iterator[str]:
    parts = flops.forward + flops.credit + flops.tangents
    if not math.isclose(parts, flops.total, rel_tol=1e-6) or not 0 < flops.critical <= flops.total * (1 + 1e-6):
        yield f"flops: {flops.total} in total and {flops.critical} in a row, but the phases give {parts}"
        return
    if flops.bp <= 0 or flops.forward <= 0:
        yield f"flops: {flops.forward} forward, {flops.bp} of BP"
        return
    if profile.speedup is not None and not math.isclose(profile.speedup, flops.bp / flops.critical, rel_tol=1e-6):
        yield f"speedup = {profile.speedup}, but the FLOPs give {flops.bp / flops.critical}"
    if profile.step_ratio < flops.total / flops.bp / EFFICIENCY:
        yield f"step_ratio = {profile.step_ratio}, but a step has {flops.total / flops.bp:.3g} of BP's FLOPs"


def _memory(memory: Memory, rule: str) -> Iterator[str]:
    if memory.kind not in ("rss", "cuda"):
        yield f"memory.kind = {memory.kind!a}"
    if bad := [f"{place} = {value}" for place, value in leaves(encode(memory)) if _negative(value)]:
        yield f"memory: {bad[0]}"
    if rule == "bp" and memory.live_bytes != memory.bp_live_bytes:
        yield f"live_bytes = {memory.live_bytes}, but BP's are {memory.bp_live_bytes}"


def _negative(value: object) -> bool:
    return isinstance(value, int | float) and not 0 <= value < math.inf
