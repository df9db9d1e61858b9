"""A network seen as blocks: find them, cut between them, carry tangents through them."""
