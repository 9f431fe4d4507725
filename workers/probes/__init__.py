"""Probes: the questions that both models are asked.

The default set, ``default.jsonl``, was written for this project and is under its licence, Apache-2.0.
"""
