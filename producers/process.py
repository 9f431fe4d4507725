"""What a fork and the end of the process do to objects that belong to C threads."""

import ctypes


def outlive(thing: object) -> None:
    """Never destroy `thing`: in a forked child, or while its threads are stuck, its destructor would wait for ever."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
