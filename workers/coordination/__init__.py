"""Who does what: diff workers agree through Redis. Everything in it can be rebuilt; losing it loses no result."""
