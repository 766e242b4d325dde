"""Tasks: what examples are, and what a network's outputs for them are worth. Image classification is the one so far."""
