"""What tells a trained network from a lucky one, and what a rule costs."""
