"""A plugin of pytest for nbval: kernels talk through files of their own.

A kernel is told numbers of TCP ports that are free, and opens them a second later. In between another program can take
one: then the kernel dies or never answers (4 of 600 starts, four at a time). A socket that is a file cannot be taken.
"""

import itertools
import sys
import tempfile

import nbval.kernel
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager


def pytest_configure(config: pytest.Config) -> None:
    """Gives nbval managers that keep sockets in a folder of this session; Windows, which has none, keeps to ports."""
    folder = tempfile.TemporaryDirectory(prefix="kernels-")
    config.add_cleanup(folder.cleanup)
    number = itertools.count()

    def manager(kernel_name: str, kernel_spec_manager: KernelSpecManager) -> KernelManager:
        """What nbval asks for, elsewhere."""
        place = f"{folder.name}/{next(number)}"
        return KernelManager(
            kernel_name=kernel_name, kernel_spec_manager=kernel_spec_manager, transport="ipc", ip=place
        )

    if sys.platform != "win32" and len(folder.name) <= 80:  # a socket's name has 107 characters at most
        nbval.kernel.KernelManager = manager
