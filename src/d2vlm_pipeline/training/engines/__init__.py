"""Engines of the training loop: who holds the weights, and how gradients become an optimiser step."""
