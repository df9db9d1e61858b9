"""Run a command with the network off: `python launch.py COMMAND...`.

Where the kernel allows it the command gets a network of its own with nothing but a loopback device, so that libraries
in C cannot get out either. In every case Python's own sockets are guarded and attempts are noted.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWNET, SIOCSIFFLAGS, UP_AND_RUNNING = 0x40000000, 0x8914, 0x41

if ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))
here = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
os.execvp(sys.argv[1], sys.argv[1:])
