"""Loaded by every Python process that `launch.py` starts: sockets can only connect to this machine.

Each attempt is refused and noted in $OFFLINE_ATTEMPTS.
"""

import ipaddress
import os
import sys
from pathlib import Path


def _guard(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # else a path, or a connected socket's own
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if host is not None and not _here(host):
        with Path(os.environ["OFFLINE_ATTEMPTS"]).open("a") as log:
            log.write(f"{sys.argv}: {event} {host}\n")
        raise OSError(f"offline: {event} {host}")


def _here(host):
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


sys.addaudithook(_guard)
