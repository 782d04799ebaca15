"""Run a command to its end and print its seconds, its processor seconds and its peak memory in KiB.

A process of its own, because the kernel lets a child's peak begin at the size of the process that starts it, and this
one is small. What the command prints goes to standard error.
"""

import os
import sys
import time


def main(*command: str) -> int:
    """The command's exit code, 128 and more for a signal.

    Processor time is the sum of the command's and of the children's it waited for, the peak is the largest of them.
    """
    began = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(pid, 0)
    print(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
