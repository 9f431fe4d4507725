"""Whether a model knows what it knows."""
