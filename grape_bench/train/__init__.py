"""One training run: setup, loop, clock, memory, evaluation."""
