"""Events on their way to the broker, kept on disk so that neither an outage nor a crash loses them."""
