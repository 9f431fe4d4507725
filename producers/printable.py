"""Text that came from elsewhere, made safe to show: it may hold terminal escapes and worse."""


def printable(text: str) -> str:
    r"""`text` with everything that does not print (controls, bidirectional overrides, line ends) escaped.

    >>> printable("a\x1b[2Jb\u202e é\n")
    'a\\x1b[2Jb\\u202e é\\n'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
