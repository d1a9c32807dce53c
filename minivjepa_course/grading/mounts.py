"""Which files of this machine a child process sees, on Linux as root: the system, Python, these packages, and small temporary folders.

It must not see the answers: the checkout, and its git history.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path

import minivjepa

NEW_MOUNTS = 0x00020000  # flag of unshare(2)
NO_SETUID, NO_DEVICES, NO_PROGRAMS, BIND, RECURSIVE, PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000  # flags of mount(2)
SETATTR, ALL_BELOW, READ_ONLY = 442, 0x8000, 1  # mount_setattr(2): number, flag, attribute; Linux 5.12 and later
COURSE = Path(__file__).parents[1]
PACKAGES = (COURSE, Path(minivjepa.__file__).parent)
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # where programs expect to write
SYSTEM = ("bin", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "proc", "sbin", "sys", "usr")


def own_view(libc: ctypes.CDLL, hide: set[Path], size: int, files: int) -> None:
    """Mount a view for this process only: the system and Python, read-only, and small temporary folders.

    hide: folders that must be empty.  The working folder and those for temporary files become folders in memory of `size` bytes and
    `files` files; the rest is read-only if the kernel can do that.  Folders are covered from the root down, and what Python needs
    is mounted back into each, so a hidden folder stays hidden even inside one that Python needs.
    """
    work = Path.cwd()
    needed = {sys.prefix, sys.base_prefix, *sys.path, *map(str, PACKAGES)} - {""}
    scratch = {path.resolve() for path in (work, work.parent, *map(Path, SCRATCH)) if path.is_dir()}
    found = {Path(path).resolve() for path in needed} | scratch
    keep = sorted(path for path in found if path.is_dir())  # a folder comes before those inside it
    others = {path.resolve() for path in Path("/").iterdir() if path.name not in SYSTEM and path.is_dir()}
    # folders that only root may enter: an unprivileged user has to import from inside them
    closed = {parent for path in keep for parent in path.parents if not parent.stat().st_mode & 0o001}
    os.umask(0o022)  # folders made here are for an unprivileged user
    mount(libc, "none", "/", None, PRIVATE | RECURSIVE)
    libc.syscall(SETATTR, -1, b"/", ALL_BELOW, struct.pack("4Q", READ_ONLY, 0, 0, 0), ctypes.c_size_t(32))
    for folder in sorted((scratch | hide | others | closed) - {Path("/")}):
        if folder.is_dir():
            cover(libc, folder, keep, f"size={size},nr_inodes={files},mode=1777" if folder in scratch else "mode=755")
    try:
        mount(libc, "proc", "/proc", "proc", NO_SETUID | NO_DEVICES | NO_PROGRAMS)  # shows only its own processes
    except OSError:  # some containers forbid it
        mount(libc, "covered", "/proc", "tmpfs", 0, b"mode=755")
    os.chdir(work)


def cover(libc: ctypes.CDLL, folder: Path, keep: list[Path], options: str) -> None:
    """Mount an empty folder in memory over this one, and the folders of `keep` back into it."""
    inside = [path for path in keep if folder in path.parents]
    handles = [os.open(path, os.O_PATH) for path in inside]
    mount(libc, "covered", str(folder), "tmpfs", 0, options.encode())
    for path, handle in zip(inside, handles):
        path.mkdir(parents=True, exist_ok=True)
        mount(libc, f"/proc/self/fd/{handle}", str(path), None, BIND | RECURSIVE)
        os.close(handle)


def mount(libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: bytes | None = None) -> None:
    """mount(2).  Raises OSError if it fails: half a view is worse than no view."""
    words = (os.fsencode(source), os.fsencode(target), os.fsencode(kind) if kind else None)
    if libc.mount(*words, flags, data) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot mount {target}: {os.strerror(error)}")


def answer_folders(checkout: Path) -> list[Path]:
    """Folders that hold the answers of a checkout: the checkout, and its git repository, which may be elsewhere."""
    found = [checkout]
    for folder in (checkout, *checkout.parents):  # the course may be part of a larger repository
        entry = folder / ".git"
        if entry.is_dir():
            found.append(entry)
        elif entry.is_file():  # of a worktree or a submodule: it says where the repository is
            repository = (folder / entry.read_text(errors="replace").removeprefix("gitdir:").strip()).resolve()
            common = repository / "commondir"
            place = common.read_text(errors="replace").strip() if common.is_file() else "."
            shared = (repository / place).resolve()
            found += [repository, shared, *([shared.parent] if shared.name == ".git" else [])]
    for folder in list(found):  # a clone may borrow from another
        borrowed = folder / "objects" / "info" / "alternates"
        for line in borrowed.read_text(errors="replace").splitlines() if borrowed.is_file() else ():
            found.append((folder / "objects" / line).resolve())
    return [path.resolve() for path in found if path.is_dir()]
