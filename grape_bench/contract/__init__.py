"""What every learning rule promises, checked on small models of four kinds."""
