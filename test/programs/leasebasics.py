"""The basics of leases between two processes, by the documented ioctls: leasebasics.py DIRECTORY BACKING [--no-nonblocking-open]

DIRECTORY is on a mount, BACKING is the same past it. One line per claim: "ok CLAIM" or "FAIL CLAIM: what". --no-nonblocking-open: the kernel does not say of an open with
O_TRUNC that it is not to wait (no FUSE_ATOMIC_O_TRUNC).
"""
import errno
import fcntl
import os
import select
import signal
import struct
import sys
import time

SETLEASE, RELEASE = 0xC0404801, 0x40084802
EXCLUSIVE, NORMAL = 1, 0
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
SIZE = 65536
DIRECTORY, BACKING = sys.argv[1:3]
WAITS_ON_OPEN = '--no-nonblocking-open' in sys.argv


def lease(fd, flags, break_ms=0):
    fcntl.ioctl(fd, SETLEASE, struct.pack('<3Q10I', 0, 0, 0, 1, flags, 0, 0, break_ms, 0, 0, 0, 0, 0))


def release(fd):
    fcntl.ioctl(fd, RELEASE, struct.pack('<Q', 0))


def fallocate(path, mode):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDWR)
    try:
        if libc.fallocate(fd, mode, ctypes.c_long(0), ctypes.c_long(4096)) != 0:
            raise OSError(ctypes.get_errno(), 'fallocate')
    finally:
        os.close(fd)


def ftruncate(path, flags=0):
    fd = os.open(path, os.O_RDWR | flags)
    try:
        os.ftruncate(fd, 100)
    finally:
        os.close(fd)


CHANGES = {
    'truncate': lambda path: os.truncate(path, 0),
    'ftruncate': ftruncate,
    'O_TRUNC': lambda path: os.close(os.open(path, os.O_RDWR | os.O_TRUNC)),
    'O_RDONLY with O_TRUNC': lambda path: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC)),
    'O_CREAT with O_TRUNC': lambda path: os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)),
    'punching': lambda path: fallocate(path, PUNCH_HOLE | KEEP_SIZE),
    'zeroing': lambda path: fallocate(path, ZERO_RANGE | KEEP_SIZE),
}


def outcome(action, path):
    try:
        action(path)
    except OSError as error:
        return error.errno
    return 0


def other(action, path):
    """Another process does it. Gives the process, and where its outcome is to be read."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        # What it inherits would make it a holder of the lease.
        os.closerange(3, writable)
        signal.alarm(20)
        os.write(writable, b'%d' % outcome(action, path))
        os._exit(0)
    os.close(writable)
    return pid, readable


def finish(pid, readable):
    said = int(os.read(readable, 100))
    os.close(readable)
    os.waitpid(pid, 0)
    return said


def claim(name, holds, saw):
    print(f'ok {name}' if holds else f'FAIL {name}: {saw}', flush=True)


def fresh(name):
    path = f'{DIRECTORY}/lease-{name.replace(" ", "-")}'
    with open(path, 'wb') as file:
        file.write(b'x' * SIZE)
    return path, os.open(path, os.O_RDWR)


def whole(path):
    with open(path, 'rb') as file:
        return file.read() == b'x' * SIZE


signal.alarm(60)
for name, change in CHANGES.items():
    with open(f'{BACKING}/native', 'wb') as file:
        file.write(b'x' * SIZE)
    native = outcome(change, f'{BACKING}/native')
    path, fd = fresh(name)
    lease(fd, EXCLUSIVE)
    said = finish(*other(change, path))
    claim(f'X1: {name} is refused', said == errno.ETXTBSY and whole(path), said)
    said = outcome(change, path)
    claim(f'X1: {name} by the owner is refused', said == errno.EDEADLK and whole(path), said)
    release(fd)

    lease(fd, NORMAL)
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    pid, readable = other(change, path)
    events = poll.poll(10_000)
    waits = select.select([readable], [], [], 0)[0] == []
    claim(f'B1, B2: {name} waits, and POLLPRI tells', bool(events) and waits and whole(path), (events, waits))
    release(fd)
    said = finish(pid, readable)
    claim(f'B4: {name} goes ahead when the lease is released', said == native and whole(path) == (native != 0), said)
    os.close(fd)

path, fd = fresh('deadline')
lease(fd, NORMAL, 150)
start = time.monotonic()
said = finish(*other(CHANGES['O_TRUNC'], path))
took = time.monotonic() - start
poll = select.poll()
poll.register(fd, 0)
events = poll.poll(0)
claim('B5: a lease that is not given up is revoked', said == 0 and took >= 0.14 and bool(events), (said, took, events))

path, fd = fresh('nonblocking')
lease(fd, NORMAL)
said = finish(*other(lambda path: ftruncate(path, os.O_NONBLOCK), path))
claim('B6: ftruncate with O_NONBLOCK does not wait', said == errno.EAGAIN and whole(path), said)
release(fd)
lease(fd, NORMAL, 150)
said = finish(*other(lambda path: os.close(os.open(path, os.O_RDWR | os.O_TRUNC | os.O_NONBLOCK)), path))
expected = 0 if WAITS_ON_OPEN else errno.EAGAIN
claim(f'B6: an open with O_TRUNC and O_NONBLOCK {"waits" if WAITS_ON_OPEN else "does not wait"}', said == expected, said)

path, fd = fresh('copy')
lease(fd, EXCLUSIVE)
source = os.open(path, os.O_RDONLY)
copied = os.copy_file_range(source, fd, 4096, 0, 8192)
claim('copy_file_range onto a leased range copies the bytes', copied == 4096 and whole(path), copied)

path, fd = fresh('last close')
lease(fd, EXCLUSIVE)
second = os.dup(fd)
os.close(fd)
said = finish(*other(CHANGES['truncate'], path))
os.close(second)
after = finish(*other(CHANGES['truncate'], path))
claim('L7: the lease goes with the last close', (said, after) == (errno.ETXTBSY, 0), (said, after))
