"""Addresses of stores as people may see them: what stands before the @ lets in, and is for the store alone."""


def shown(uri: str) -> str:
    """`uri` without user, password and query; a path stays as it is.

    A secret that should have been percent-encoded, and makes it no address to any parser, is left out as well.

    >>> shown("s3://KEY:SECRET@bucket/models?region=x"), shown("s3://KEY:a/b@bucket"), shown("/models/a@b")
    ('s3://bucket/models', 's3://bucket', '/models/a@b')
    """
    scheme, found, rest = uri.partition("://")
    if not found:
        return uri
    authority = rest.partition("/")[0]
    access = authority if "@" in authority else rest if ":" in authority else ""
    rest = rest[access.rfind("@") + 1 :]
    return f"{scheme}://{rest.partition('?')[0].partition('#')[0]}"


def said(error: Exception, uri: str) -> str:
    """What `error` says, with `uri` as it may be shown: libraries repeat what they cannot read."""
    return str(error).replace(uri, shown(uri))
