"""A proxy before an object store that fails as told: overloaded, slow, cut off, expired."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

EXPIRED = b"""<?xml version='1.0' encoding='UTF-8'?>
<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"""
BUSY = b"""<?xml version='1.0' encoding='UTF-8'?>
<Error><Code>ServiceUnavailable</Code><Message>Reduce your rate.</Message></Error>"""


class FailingProxy:
    """Hands requests on to a store, and fails some of them.

    Attributes
    ----------
    share : float
        Of requests that fail, each by chance in one of the `kinds`.
    kinds : tuple of str
        ``500``, ``503``, ``cut`` (before or in the middle of the answer), ``slow`` (by a second),
        ``expired`` (403, whatever the credentials are).
    num_failed : int
        Requests that failed so far.
    """

    def __init__(self, endpoint: str) -> None:
        self.share, self.kinds, self.num_failed = 0.0, ("503",), 0
        self._chance = random.Random(0)
        store = urlsplit(endpoint).netloc
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kind = proxy.draw()
                if kind in ("500", "503"):
                    return self.answer(int(kind), {}, BUSY)
                if kind == "expired":
                    return self.answer(403, {"Content-Type": "application/xml"}, EXPIRED)
                if kind == "slow":
                    time.sleep(1)
                with closing(HTTPConnection(store)) as connection:
                    connection.request(self.command, self.path, body, dict(self.headers))
                    answer = connection.getresponse()
                    data = answer.read()
                headers = dict(answer.getheaders())
                if kind == "cut":  # the store has done it, and nobody learns of it
                    half = data[: len(data) // 2]
                    return self.answer(answer.status, headers, half, length=len(data) + 1)
                return self.answer(answer.status, headers, data)

            def answer(self, status, headers, data, length=None) -> None:
                self.send_response_only(status)
                own = ("content-length", "transfer-encoding", "connection")
                said = {n.lower(): n for n in headers}
                for name, value in headers.items():
                    if name.lower() not in own:
                        self.send_header(name, value)
                is_head = self.command == "HEAD" and "content-length" in said
                told = headers[said["content-length"]] if is_head else length or len(data)
                self.send_header("Content-Length", str(told))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)
                if length is not None:
                    self.close_connection = True

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_one  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:  # a client that has gone
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def draw(self) -> str:
        """Draw what becomes of a request."""
        if self._chance.random() >= self.share:
            return ""
        self.num_failed += 1
        return self._chance.choice(self.kinds)

    @contextmanager
    def running(self) -> Iterator["FailingProxy"]:
        """Serve, in a thread."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        yield self
        self._server.shutdown()
        self._server.server_close()
