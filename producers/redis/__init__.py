"""The way to Redis, for all who keep there what can be rebuilt."""
