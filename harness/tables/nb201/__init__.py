"""The table of NAS-Bench-201 that ships with the package: reading it, and what it says about the whole space."""
