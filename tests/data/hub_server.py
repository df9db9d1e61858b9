"""A stand-in for the hub: serves a folder's files as data sets, as far as `datasets` asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0" * 40


@contextmanager
def hub(folder: Path) -> Iterator[str]:
    """Serve `folder/OWNER/NAME/*.parquet`; the address, for HF_ENDPOINT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "datasets"]:
                self._answer_api("/".join(parts[2:4]), parts[4:])
            elif parts[:1] == ["datasets"] and parts[3:4] == ["resolve"]:
                self._send_file(folder / parts[1] / parts[2] / "/".join(parts[5:]))
            else:
                self._missing()

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def _answer_api(self, name: str, rest: list[str]) -> None:
            files = sorted((folder / name).glob("*.parquet"))
            if not files:
                self._missing()
            elif rest[:1] == ["tree"] and len(rest) > 2:
                self._missing()  # no folders inside
            elif rest[:1] in (["tree"], ["paths-info"]):
                entries = [{"type": "file", "oid": _tag(f), "size": f.stat().st_size, "path": f.name} for f in files]
                self._send(200, json.dumps(entries).encode())
            else:
                siblings = [{"rfilename": path.name} for path in files]
                about = {"id": name, "sha": COMMIT, "private": False, "gated": False, "disabled": False, "downloads": 0}
                self._send(200, json.dumps({**about, "likes": 0, "tags": [], "siblings": siblings}).encode())

        def _send_file(self, path: Path) -> None:
            if not path.is_file():
                return self._missing()
            return self._send(200, path.read_bytes(), ETag=f'"{_tag(path)}"', **{"X-Repo-Commit": COMMIT})

        def _missing(self) -> None:
            self._send(404, b"", **{"X-Error-Code": "EntryNotFound"})

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _tag(path: Path) -> str:
    return sha1(path.read_bytes()).hexdigest()
