"""Public benchmarks, scored under their published protocols and under one that a careful reader expects."""
