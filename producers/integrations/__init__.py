"""What publishes a run from inside somebody else's training loop: one module a framework, each of which imports it."""
