"""The benchmarks that have a name of their own, and the tables that ship with the package."""
