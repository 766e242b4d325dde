"""Studies: many searches and tables as one file, run by an engine through any fault.

`file.py` reads a study, `expansion.py` makes its tasks, `attempts.py` decides which attempt comes next and what an
attempt's end means, `journal.py` keeps every attempt, and an engine (`engine.py`) runs one. Nothing here imports torch.
"""
