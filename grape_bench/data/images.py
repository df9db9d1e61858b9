"""From a source's tables to a DataSet: kept in memory where it is small, streamed where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grape_bench.data.selection import select

if TYPE_CHECKING:
    import torch

    from grape_bench.data.dataset import DataSet
    from grape_bench.data.options import ImageOptions
    from grape_bench.data.tables import ImageTable


def image_set(name: str, tables: dict[str, ImageTable], options: ImageOptions, device: torch.device) -> DataSet:
    """The DataSet of a source's splits; raises UserError for what is missing or cannot be read.

    Sets up to `options.memory_limit` are decoded once per machine and kept on the device.
    """
    selection = select(name, tables, options)
    if selection.bytes <= options.memory_limit * 2**30:
        from grape_bench.data.in_memory import in_memory

        return in_memory(name, selection, options, device)
    # `datasets` takes half a second to import: only where it is needed.
    from grape_bench.data.streamed import streamed

    return streamed(name, selection, options, device)
