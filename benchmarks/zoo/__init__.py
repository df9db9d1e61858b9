"""Published networks for which the engine was not tuned, one file per family."""

from benchmarks.zoo import classifiers, generators, graphs, language, recurrent, small, spiking
from benchmarks.zoo.entry import Entry

FAMILIES = (classifiers, generators, small, graphs, recurrent, language, spiking)
ENTRIES: list[Entry] = [entry for family in FAMILIES for entry in family.ENTRIES]
