"""Records to numbers: pure functions, without files and without torch."""
