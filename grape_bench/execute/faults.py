"""One-message reports of machine failures: out of memory, disk space, file handles or processes."""

from __future__ import annotations

import errno

from grape_bench.errors import UserError

_DISK = "free some space or fix the permissions"
_HINTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM), _DISK),
    errno.EISDIR: "rename or delete this folder",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit on open files (ulimit -n)"),
    **dict.fromkeys((errno.EAGAIN, errno.ENOMEM), "free some memory, or raise the limits (ulimit -u, ulimit -v)"),
}
_AGAIN = ", then run the same command again to resume"


def fault(error: BaseException) -> UserError | None:
    """Return the message for an error that the machine caused, or None if it is a bug in this program."""
    if isinstance(error, MemoryError):
        return UserError("out of memory", hint=_HINTS[errno.ENOMEM] + _AGAIN)
    if isinstance(error, FileNotFoundError) and "usable temporary directory" in str(error):
        return UserError("no temporary folder can be written to", where="TMPDIR", hint=_DISK + _AGAIN)
    if isinstance(error, OSError) and error.errno in _HINTS:
        what = f"the system refused this: {error.strerror}"
        return UserError(what, where=str(error.filename or ""), hint=_HINTS[error.errno] + _AGAIN)
    return None
