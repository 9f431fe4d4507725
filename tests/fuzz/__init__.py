"""Every decoder of bytes from outside, fed with what nobody would send: `make fuzz`, and a little of it in CI.

What is tried is a `Target`; what it is tried with begins with the files in ``corpus/<target>/``. An input that was ever
a find stays there.
"""
