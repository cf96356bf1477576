"""Processes that are killed at a moment of one's choice."""

import itertools
import os
import signal


def killed_at(call, act):
    """Whether a process that does `act` is killed before its `call`-th call of the system."""
    child = os.fork()
    if not child:
        calls = itertools.count(1)

        def kill_before(real):
            def called(*args, **kwargs):
                if next(calls) == call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return called

        for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync"):
            setattr(os, name, kill_before(getattr(os, name)))
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
