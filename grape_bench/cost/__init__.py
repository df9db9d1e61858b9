"""What one training step costs: time, memory, energy, FLOPs, and how far blocks could overlap."""
