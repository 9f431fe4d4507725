"""Probes: the questions that both models are asked."""
