"""The signal engine: pure functions from a run's state and one event to the next state and at most one signal.

No I/O, no clock, nothing of Kafka: the same events always give the same signals, so an offline replay
of the steps topic is the specification of what the stream application must have emitted.
"""
