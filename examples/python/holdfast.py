# SPDX-License-Identifier: Apache-2.0
"""The ioctls of Holdfast for Python, with nothing but the standard library.

Numbers and layouts are those of include/holdfast.h. Every function raises OSError with the errno of the ioctl:
ENOTTY for a file that is not on a Holdfast mount.
"""

import collections
import fcntl
import struct

SETLEASE = 0xC0404801
RELEASE = 0x40084802
GETLEASE = 0xC0404803
INFO = 0x80804808

READ, WRITE = 1, 2
EXCLUSIVE, WAIT, START, NOTIFY_ONLY = 1, 2, 4, 8
ACTIVE, BREAKING, ZOMBIE, REVOKED = 1, 2, 3, 4

# struct holdfast_lease, with the reserved words as padding; native numbers, but no gaps: there are none.
_LEASE = struct.Struct("=QQQIIIII20x")
_INFO = struct.Struct("=IIQ112s")

Lease = collections.namedtuple("Lease", "id start length mode flags state pins break_ms")


def _lease(fd, request, fields):
    argument = bytearray(_LEASE.pack(*fields))
    fcntl.ioctl(fd, request, argument)
    return Lease(*_LEASE.unpack(argument))


def take(fd, mode=READ, flags=0, start=0, length=0, break_ms=0, id=0):
    """Takes a lease; with an id: changes mode and level of that one."""
    return _lease(fd, SETLEASE, Lease(id, start, length, mode, flags, 0, 0, break_ms))


def leases(fd):
    """Every lease of this open file description, by id."""
    after = 0
    while True:
        try:
            lease = _lease(fd, GETLEASE, Lease(after, 0, 0, 0, 0, 0, 0, 0))
        except FileNotFoundError:
            return
        yield lease
        after = lease.id


def release(fd, id=0):
    """Gives up one lease; without an id all of this open file description."""
    fcntl.ioctl(fd, RELEASE, struct.pack("=Q", id))


def control_directory(fd):
    argument = bytearray(_INFO.size)
    fcntl.ioctl(fd, INFO, argument)
    return _INFO.unpack(argument)[3].split(b"\0", 1)[0].decode()
