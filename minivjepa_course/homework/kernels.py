"""A plugin of pytest for nbval: kernels talk through files of their own, and one that died is noticed at once.

A kernel is told numbers of TCP ports that are free, and opens them a second later. In between another program can take
one: then the kernel dies or never answers (4 of 600 starts, four at a time). A socket that is a file cannot be taken.
"""

import math
import sys
import tempfile
import time
from functools import partial
from queue import Empty
from typing import Any

import nbval.kernel
import nbval.plugin
import pytest
from jupyter_client.manager import KernelManager


class WatchedKernel(nbval.kernel.RunningKernel):  # type: ignore[misc]
    """nbval's kernel, which waits for the answers of a dead process until the cell's time is up."""

    def get_message(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        """The next message of a stream.  Raises Empty after `timeout` seconds, or if the process ended and left none."""
        end = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            died, left = not self.is_alive(), end - time.monotonic()
            try:
                return super().get_message(stream, timeout=max(0.0, min(1.0, left)))
            except Empty:
                if died or left <= 1:
                    raise


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the sockets of nbval's kernels in a folder of this session; Windows, which has none, keeps to ports."""
    folder = tempfile.TemporaryDirectory(prefix="kernels-")
    config.add_cleanup(folder.cleanup)
    nbval.plugin.RunningKernel = WatchedKernel
    if sys.platform != "win32" and len(folder.name) <= 80:  # a socket's name has 107 characters at most
        nbval.kernel.KernelManager = partial(KernelManager, transport="ipc", ip=f"{folder.name}/kernel")
