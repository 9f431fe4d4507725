"""A store that speaks as much S3 as pyarrow's client asks for, and names its objects as it likes."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_PAGE = (
    '<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>'
    "<KeyCount>{}</KeyCount>{}{}</ListBucketResult>"
)
_OBJECT = "<Contents><Key>{}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>{}</Size></Contents>"
_FOLDER = "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>"


@contextlib.contextmanager
def object_store(objects: Mapping[str, bytes]) -> Iterator[str]:
    """Key → content of the one bucket; gives what a URI that leads there ends with."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(objects.get(self._key()), with_body=False)

        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            if "list-type" in query:
                self._answer(_listing(objects, query.get("prefix", ""), query.get("delimiter", "")))
            else:
                self._answer(objects.get(self._key()))

        def _key(self) -> str:
            return unquote(urlsplit(self.path).path).removeprefix("/bucket/")

        def _answer(self, body: bytes | None, *, with_body: bool = True) -> None:
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()
            if with_body and body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield f"?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _listing(objects: Mapping[str, bytes], prefix: str, delimiter: str) -> bytes:
    below = {key: content for key, content in objects.items() if key.startswith(prefix)}
    folders = {
        prefix + key.removeprefix(prefix).partition("/")[0] + "/"
        for key in below
        if delimiter and "/" in key.removeprefix(prefix)
    }
    files = {key: content for key, content in below.items() if not key.startswith(tuple(folders))}
    listed = "".join(_OBJECT.format(escape(key), len(content)) for key, content in sorted(files.items()))
    prefixes = "".join(_FOLDER.format(escape(folder)) for folder in sorted(folders))
    return _PAGE.format(len(files) + len(folders), listed, prefixes).encode()
