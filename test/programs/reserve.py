"""Fills a file system as an ordinary user: the blocks that are reserved for root must be left, and root gets them.

    reserve.py DIRECTORY

For an ext4 image with reserved blocks (mkfs.ext4 -m 20). Prints "ok" or says what is wrong.
"""
import errno
import os
import sys

STRANGER = 4001
directory = sys.argv[1]
CHUNK = bytes(64 << 10)


def free_bytes():
    info = os.statvfs(directory)
    return info.f_bfree * info.f_frsize


def fill(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    written = 0
    try:
        while True:
            written += os.write(fd, CHUNK)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    os.fsync(fd)
    os.close(fd)
    return written


os.chmod(directory, 0o777)
reserved = free_bytes() - os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize
assert reserved > 4 << 20, 'this file system reserves nothing'
pid = os.fork()
if pid == 0:
    os.setgroups([])
    os.setresgid(STRANGER, STRANGER, STRANGER)
    os.setresuid(STRANGER, STRANGER, STRANGER)
    code = 1
    try:
        code = 0 if fill(f'{directory}/stranger') > 0 else 2
        try:
            fd = os.open(f'{directory}/more', os.O_WRONLY | os.O_CREAT, 0o644)
            os.posix_fallocate(fd, 0, 8 << 20)
            code = 3
        except OSError as error:
            code = code if error.errno == errno.ENOSPC else 4
    finally:
        os._exit(code)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert code == 0, f'the ordinary user ended with {code}'
left = free_bytes()
assert left > reserved * 0.8, f'{left} bytes of {reserved} reserved ones are left'
taken = fill(f'{directory}/root')
assert taken > reserved * 0.5, f'root got {taken} bytes of {reserved} reserved ones'
os.unlink(f'{directory}/root')
os.unlink(f'{directory}/stranger')
print('ok')
