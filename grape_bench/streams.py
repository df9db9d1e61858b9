"""Independent random streams from one seed. Two rules with the same seed share weights and batches."""

from __future__ import annotations

from hashlib import sha256

STREAMS = ("init", "order", "dropout", "feedback", "perturbation", "anchor", "rule")


def stream_seed(seed: int, stream: str) -> int:
    """The 63-bit seed of a named stream of a run: a member of `STREAMS`, or a substream such as "rule/h1"."""
    if stream.partition("/")[0] not in STREAMS:
        raise ValueError(f"no stream {stream!r} among {STREAMS}")
    return int.from_bytes(sha256(f"grape-bench/{stream}/{seed}".encode()).digest()[:8], "big") >> 1
