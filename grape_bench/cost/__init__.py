"""What one training step costs: time, memory, energy, FLOPs, and how much of it blocks could do in parallel."""
