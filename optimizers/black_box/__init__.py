"""Methods that see no weights: they ask for an architecture's validation error and are told it."""
