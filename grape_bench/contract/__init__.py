"""What every learning rule promises, checked on four kinds of small models."""
