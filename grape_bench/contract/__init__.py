"""The promises of every learning rule, checked on four kinds of small models."""
