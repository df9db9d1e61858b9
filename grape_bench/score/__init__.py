"""Records to numbers: pure functions on plain dictionaries, without files and without torch."""
