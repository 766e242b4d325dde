"""Methods: how a one-shot search moves. Part of one-shot-nas-harness."""
