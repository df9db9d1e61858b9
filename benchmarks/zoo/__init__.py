"""Published networks that nobody tuned the engine for, a file per family."""

from benchmarks.zoo import classifiers, generators, graphs, language, recurrent, small, spiking
from benchmarks.zoo.entry import Entry

FAMILIES = (classifiers, generators, small, graphs, recurrent, language, spiking)
ENTRIES: list[Entry] = [entry for family in FAMILIES for entry in family.ENTRIES]
