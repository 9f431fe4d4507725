"""What runs inside a trainer: the wire contract and the publisher.

Imports confluent-kafka and msgspec, nothing heavier.
"""
