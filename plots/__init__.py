"""How finished runs are seen and judged, from their run folders alone. Part of one-shot-nas-harness."""
