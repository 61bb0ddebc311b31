"""Build results kept by what they were made from, so that a stale one is never used and a half-made one never seen."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = ".key"
"""Name of the file in a result's folder that holds the hash of its inputs."""


def digest(*parts: str | bytes | Path) -> str:
    """Hash of texts and of files; a folder counts with every file's relative path, mode and content."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for path in _files(part):
                state.update(f"{path.relative_to(part) if path != part else path.name}\0{path.stat().st_mode & 0o111}\0".encode())
                state.update(hashlib.sha256(path.read_bytes()).digest())
        else:
            state.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return state.hexdigest()


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def is_fresh(folder: Path, key: str) -> bool:
    """True if `folder` was completed for `key`."""
    try:
        return (folder / KEY).read_text() == key
    except OSError:
        return False


def refresh(folder: Path, key: str, build: Callable[[Path], None]) -> bool:
    """Make `folder` hold what `build` writes for `key`; True if it had to be built.

    Built beside it and put in place by one rename: an interruption leaves the old result or none.
    """
    if is_fresh(folder, key):
        return False
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    build(fresh)
    (fresh / KEY).write_text(key)
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return True


@contextmanager
def locked(path: Path, busy: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path`; `busy` is called once if someone else holds it, then it waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if busy:
                busy()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
