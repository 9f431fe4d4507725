"""Whether the diffs of a real model come out right: ``make acceptance``."""
