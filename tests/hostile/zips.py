"""Malicious zips that someone could send instead of a publication."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

MIB = 2**20
INDEX = ("s/r/index.json", b"{}")


def zipped(*files: tuple[str, bytes], mode: int = 0o100644, kind: int = ZIP_STORED) -> bytes:
    """A zip of these files, which may share a name."""
    written = BytesIO()
    with ZipFile(written, "w", kind) as archive:
        for name, content in files:
            info = ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, kind
            info.filename = name  # ZipInfo cuts a name at a NUL
            archive.writestr(info, content)
    return written.getvalue()


def bomb() -> bytes:
    """A file of 100 MiB that says it has 100 bytes. Its bytes in the zip are a thousand times fewer."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(100)) + packer.flush()
    name = INDEX[0].encode()
    crc = zlib.crc32(bytes(100))
    sizes = struct.pack("<LLLHH", crc, len(packed), 100, len(name), 0)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, ZIP_DEFLATED, 0, 33) + sizes + name + packed
    entry = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, ZIP_DEFLATED, 0, 33) + sizes
    entry += struct.pack("<HHHLL", 0, 0, 0, 0o100644 << 16, 0) + name
    return local + entry + b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(entry), len(local), 0)


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def with_list_of(size: int) -> bytes:
    """A zip whose list of files claims to have `size` bytes."""
    content = zipped(INDEX)
    return content[:-10] + struct.pack("<L", size) + content[-6:]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "does not end as a zip does"),
    "no zip": (lambda: b"PK" * 1000, "does not end as a zip does"),
    "text after it": (lambda: zipped(INDEX) + b"x", "does not end as a zip does"),
    "a comment": (lambda: zipped(INDEX)[:-2] + b"\3\0abc", "does not end as a zip does"),
    "a zip64": (lambda: zipped(INDEX)[:-22] + b"PK\6\7" + bytes(16) + zipped(INDEX)[-22:], "Zip64"),
    "a long list": (lambda: with_list_of(2**32 - 1), "its list of files is larger than 4 MiB"),
    "a list that is not there": (lambda: with_list_of(1000), ""),
    "half": (lambda: zipped(INDEX, ("s/r/a", b"x" * 1000))[700:], ""),
    "no file": (lambda: zipped(), "not one folder with an index.json"),
    "no index": (lambda: zipped(("s/r/rule.toml", b"")), "not one folder with an index.json"),
    "two folders": (lambda: zipped(INDEX, ("s/q/index.json", b"{}")), "not one folder with an index.json"),
    "a file outside the folder": (lambda: zipped(INDEX, ("s/q/x", b"")), "not one folder with an index.json"),
    "up": (lambda: zipped(INDEX, ("s/r/../../../x", b"")), "no path in a folder"),
    "absolute": (lambda: zipped(INDEX, ("/etc/x", b"")), "no path in a folder"),
    "backslashes": (lambda: zipped(INDEX, ("s/r/..\\..\\x", b"")), "no path in a folder"),
    "an empty part": (lambda: zipped(INDEX, ("s/r//x", b"")), "no path in a folder"),
    "a dot": (lambda: zipped(INDEX, ("s/r/./x", b"")), "no path in a folder"),
    "a NUL": (lambda: patched(zipped(INDEX, ("s/r/x_y", b"")), b"x_y", b"x\0y"), "no path in a folder"),
    "a long name": (lambda: zipped(INDEX, (f"s/r/{'x' * 300}", b"")), "no path in a folder"),
    "deep": (lambda: zipped(INDEX, (f"s/r/{'d/' * 20}x", b"")), "folders deep"),
    "twice": (lambda: zipped(INDEX, INDEX), "two files have one name"),
    "in another case": (lambda: zipped(INDEX, ("s/r/a", b""), ("s/r/A", b"")), "two files have one name"),
    "a file as a folder": (lambda: zipped(INDEX, ("s/r/a", b""), ("s/r/a/b", b"")), ""),
    "a link": (lambda: zipped((INDEX[0], b"/etc/passwd"), mode=0o120777), "not a regular file"),
    "a device": (lambda: zipped(INDEX, mode=0o020666), "not a regular file"),
    "encrypted": (lambda: patched(zipped(INDEX), b"\x14\0\0\0\0\0", b"\x14\0\1\0\0\0"), "not a regular file"),
    "an unusual method": (lambda: zipped(INDEX, kind=ZIP_BZIP2), "compressed in an unusual way"),
    "too many files": (lambda: zipped(*((f"s/r/{n}", b"") for n in range(10_001))), "more than 10000 files"),
    "a large file": (lambda: zipped(INDEX, ("s/r/x", bytes(17 * MIB)), kind=ZIP_DEFLATED), "larger than 16 MiB"),
    "many large files": (
        lambda: zipped(INDEX, *((f"s/r/{n}", bytes(15 * MIB)) for n in range(18)), kind=ZIP_DEFLATED),
        "more than 256 MiB",
    ),
    "a wrong checksum": (lambda: patched(zipped(INDEX, ("s/r/a", b"before")), b"before", b"after!"), "Bad CRC-32"),
}
"""By name: what makes the zip, and a part of the message; "" if the message is Python's own."""
