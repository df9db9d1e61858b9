"""Independent random streams from one seed, so that two rules with one seed share weights and batches."""

from __future__ import annotations

from hashlib import sha256

STREAMS = ("init", "order", "dropout", "feedback", "perturbation", "anchor", "rule")


def stream_seed(seed: int, stream: str) -> int:
    """The 63-bit seed of one named stream of a run with `seed`: a member of `STREAMS`, or a part of one ("rule/h1")."""
    if stream.partition("/")[0] not in STREAMS:
        raise ValueError(f"no stream {stream!r} among {STREAMS}")
    return int.from_bytes(sha256(f"grape-bench/{stream}/{seed}".encode()).digest()[:8], "big") >> 1
