"Whole writes and the lock, on this system and as Windows does them"
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gradlr.errors import InputError
from gradlr.files import BEYOND_TEXT, locked, write_whole

HOLDER = """
import sys
from pathlib import Path
from gradlr.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="of systems other than Windows")

@posix
def test_a_full_disk_leaves_the_old_file(tmp_path):
    import resource
    import signal
    note = tmp_path/"note"
    write_whole(note, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="note"): write_whole(note, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert note.read_bytes() == b"old" and list(tmp_path.iterdir()) == [note]

def test_a_second_process_is_told_who_holds_the_folder(tmp_path):
    lock = tmp_path/"study"/"study.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError) as told, locked(lock): pass
        who = f"process {holder.pid} on {socket.gethostname()}"
        assert str(told.value) == (f"{str(lock.parent)!r} is being worked on by {who}: "
                                   "wait for it, or choose another folder")
    finally:
        holder.kill()                                                         # a killed holder has let go
        holder.communicate()
    with locked(lock): assert lock.read_text().startswith(f"process {os.getpid()} on ")

def test_an_error_inside_lets_go(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path/"study.lock"): raise KeyError
    second = subprocess.run([sys.executable, "-c", HOLDER, tmp_path/"study.lock"], stdin=subprocess.DEVNULL)
    assert second.returncode == 0

@pytest.fixture
def windows(monkeypatch):
    "The platform patched; what is asked of `msvcrt` as (place, mode, bytes), and whether the lock is taken"
    state = SimpleNamespace(asked=[], taken=False)
    def locking(handle, mode, n):
        state.asked.append((os.lseek(handle, 0, os.SEEK_CUR), mode, n))
        if state.taken: raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK="take", LK_UNLCK="let go", locking=locking))
    monkeypatch.setitem(sys.modules, "fcntl", None)
    return state

def test_windows_locks_a_byte_that_nobody_reads(tmp_path, windows):
    lock = tmp_path/"study.lock"
    lock.write_text("process 1 on the last holder's machine, which was there before\n")
    with locked(lock):
        assert windows.asked == [(BEYOND_TEXT, "take", 1)]
        assert lock.read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"
    assert windows.asked[1:] == [(BEYOND_TEXT, "let go", 1)]

def test_windows_names_the_holder(tmp_path, windows):
    (tmp_path/"study.lock").write_text("process 7 on pc\n")
    windows.taken = True
    lock, words = tmp_path/"study.lock", "is being worked on by process 7 on pc: wait for it"
    with pytest.raises(InputError, match=words), locked(lock): pass
    assert (tmp_path/"study.lock").read_text() == "process 7 on pc\n"

def test_windows_opens_no_folder(tmp_path, windows, monkeypatch):
    opened, open_file = [], os.open
    def recorded(path, *arguments, **options):
        opened.append(path)
        return open_file(path, *arguments, **options)
    monkeypatch.setattr(os, "open", recorded)
    write_whole(tmp_path/"note", b"whole")
    assert (tmp_path/"note").read_bytes() == b"whole" and str(tmp_path) not in map(str, opened)
    if os.name == "posix":
        monkeypatch.setattr(sys, "platform", "linux")
        write_whole(tmp_path/"note", b"whole")
        assert str(tmp_path) in map(str, opened)                              # elsewhere it is, and forced to the disk

def test_files_are_imported_where_there_is_no_fcntl():
    code = """
import sys
sys.modules["fcntl"] = None
import gradlr.files
assert not {"torch", "fastai", "matplotlib"} & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
