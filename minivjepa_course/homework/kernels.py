"""A plugin of pytest for nbval: kernels talk through files of their own.

A kernel is told numbers of TCP ports that are free, and opens them a second later. In between another program can take
one: then the kernel dies or never answers (4 of 600 starts, four at a time). A socket that is a file cannot be taken.
"""

import sys
import tempfile
from functools import partial

import nbval.kernel
import pytest
from jupyter_client.manager import KernelManager


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the sockets of nbval's kernels in a folder of this session; Windows, which has none, keeps to ports."""
    folder = tempfile.TemporaryDirectory(prefix="kernels-")
    config.add_cleanup(folder.cleanup)
    if sys.platform != "win32" and len(folder.name) <= 80:  # a socket's name has 107 characters at most
        nbval.kernel.KernelManager = partial(KernelManager, transport="ipc", ip=f"{folder.name}/kernel")
