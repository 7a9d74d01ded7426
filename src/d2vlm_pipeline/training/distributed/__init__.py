"""Phases in the run's own process or in workers of Ray Train: one function of phases, two ways to run it."""
