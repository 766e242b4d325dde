"""Search spaces: what an architecture is, and the supernet that holds all of them. Part of one-shot-nas-harness."""
