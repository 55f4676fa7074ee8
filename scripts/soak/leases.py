"""Takes, changes, breaks, pins and gives up leases at random, on files that others of its kind use as well.

    leases.py DIRECTORY CONTROL SEED OPERATIONS
    leases.py --hold DIRECTORY

Two processes: one holds, its child breaks. What it still has at its end goes with it; it may be killed at any time.
With --hold it is the leak of the soak: it goes on opening files and holding leases, until its standard input ends.
Fails, and says why, when an operation fails in a way that none of the rules has.
"""
import ctypes
import errno
import fcntl
import os
import random
import select
import signal
import struct
import sys
import time

SETLEASE, RELEASE, SETOWN, PIN, UNPIN, QUERY = (
    0xC0404801, 0x40084802, 0x40184804, 0xC0284805, 0x40084806, 0xC0384807)
READ, WRITE = 1, 2
EXCLUSIVE, WAIT, START = 1, 2, 4
PAGE = 4096
FILE_PAGES = 16
FILES = 6
OPEN_MAX = 8
BREAK_MS = (50, 250)
PUNCH_HOLE, KEEP_SIZE = 2, 1
LAWFUL = {errno.ETXTBSY, errno.EDEADLK, errno.EAGAIN, errno.EPERM, errno.EBUSY, errno.EINTR, errno.ENOENT}

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]


class Interrupted(Exception):
    """A timer of ours went off while an operation waited (B7)."""


def interrupt(_signo, _frame):
    raise Interrupted


def some_range(rng):
    start = rng.randrange(FILE_PAGES)
    return start * PAGE, rng.choice((0, rng.randint(1, FILE_PAGES - start) * PAGE))


def set_lease(fd, lease, span, mode, flags, break_ms):
    request = bytearray(struct.pack('=QQQIIIII5I', lease, *span, mode, flags, 0, 0, break_ms, 0, 0, 0, 0, 0))
    fcntl.ioctl(fd, SETLEASE, request)
    return struct.unpack_from('=Q', request)[0]


def some_lease(fd, rng, flags, lease=0):
    span = some_range(rng) if lease == 0 else (0, 0)
    return set_lease(fd, lease, span, rng.choice((READ, READ, WRITE)), rng.choice(flags), rng.randint(*BREAK_MS))


def pin(fd, lease, span):
    request = bytearray(struct.pack('=QQQQII', 0, lease, *span, 0, 0))
    fcntl.ioctl(fd, PIN, request)
    return struct.unpack_from('=Q', request)[0]


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), 'system call')


class Holder:
    """The process that takes leases."""

    def __init__(self, directory, control, rng):
        self.control, self.rng = control, rng
        self.paths = [f'{directory}/file-{number}' for number in range(FILES)]
        self.files = {}  # descriptor -> [lease, ...]
        self.pins = []  # (descriptor to unpin on, pin)
        self.contexts = []
        self.mappings = []

    def fd(self):
        if not self.files or (len(self.files) < OPEN_MAX and self.rng.random() < 0.3):
            fd = os.open(self.rng.choice(self.paths), os.O_RDWR | os.O_CREAT, 0o644)
            self.files[fd] = []
            return fd
        return self.rng.choice(list(self.files))

    def lease(self):
        held = [(fd, lease) for fd, leases in self.files.items() for lease in leases]
        return self.rng.choice(held) if held else (self.fd(), 0)

    def take(self):
        fd = self.fd()
        self.files[fd].append(some_lease(fd, self.rng, (0, 0, EXCLUSIVE, START)))

    def change(self):
        fd, lease = self.lease()
        if lease:
            some_lease(fd, self.rng, (0, EXCLUSIVE), lease)

    def release(self):
        fd, lease = self.lease()
        fcntl.ioctl(fd, RELEASE, struct.pack('=Q', lease))
        if lease in self.files[fd]:
            self.files[fd].remove(lease)

    def answer(self):
        poll = select.poll()
        for fd in self.files:
            poll.register(fd, select.POLLPRI)
        for fd, _ in poll.poll(self.rng.randint(0, 20)):
            if self.rng.random() < 0.7:
                fcntl.ioctl(fd, RELEASE, struct.pack('=Q', 0))
                self.files[fd] = []

    def own(self):
        fd, lease = self.lease()
        if lease:
            fcntl.ioctl(fd, SETOWN, struct.pack('=QIiii', lease, self.rng.choice((1, 1, 2)), signal.SIGUSR1, fd, 0))

    def pin(self):
        fd, lease = self.lease()
        if not lease:
            return
        on = fd
        if self.rng.random() < 0.4:
            if not self.contexts or self.rng.random() < 0.3:
                self.contexts.append(os.open(f'{self.control}/pinctx', os.O_RDWR))
            on = self.rng.choice(self.contexts)
        self.pins.append((on, pin(on, lease, some_range(self.rng))))

    def unpin(self):
        if self.pins:
            on, number = self.pins.pop(self.rng.randrange(len(self.pins)))
            fcntl.ioctl(on, UNPIN, struct.pack('=Q', number))

    def close(self):
        if self.contexts and self.rng.random() < 0.3:
            fd = self.contexts.pop()
            os.close(fd)
            self.pins = [(on, number) for on, number in self.pins if on != fd]
        elif self.files:
            fd = self.rng.choice(list(self.files))
            os.close(fd)
            del self.files[fd]
            self.pins = [(on, number) for on, number in self.pins if on != fd]

    def map(self):
        """A mapping keeps a lease when its descriptor is closed (L7)."""
        if len(self.mappings) > 3:
            libc.munmap(self.mappings.pop(0), PAGE)
        address = libc.mmap(None, PAGE, 1, 1, self.fd(), 0)
        if address != ctypes.c_void_p(-1).value:
            self.mappings.append(address)

    def query(self):
        request = bytearray(struct.pack('=QQIiQiI16s', *some_range(self.rng), self.rng.choice((1, 2, 3)), 0, 0, 0, 0,
                                        b''))
        fcntl.ioctl(self.fd(), QUERY, request)

    def revoke(self):
        _, lease = self.lease()
        if lease:
            fd = os.open(f'{self.control}/ctl', os.O_WRONLY)
            try:
                os.write(fd, f'revoke {lease}\n'.encode())
            finally:
                os.close(fd)

    def turn(self):
        actions = (self.take, self.take, self.take, self.change, self.release, self.release, self.answer, self.answer,
                   self.own, self.pin, self.unpin, self.unpin, self.close, self.map, self.query, self.revoke)
        self.rng.choice(actions)()


class Breaker:
    """The process that changes layouts, and takes a conflicting lease now and then."""

    def __init__(self, directory, rng):
        self.rng = rng
        self.paths = [f'{directory}/file-{number}' for number in range(FILES)]

    def turn(self):
        path = self.rng.choice(self.paths)
        action = self.rng.randrange(7)
        signal.setitimer(signal.ITIMER_REAL, 0.4)
        try:
            if action == 0:
                os.close(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o644))
                return
            if action == 1 and self.rng.random() < 0.3:
                os.unlink(path)
                return
            flags = os.O_RDWR | os.O_CREAT | self.rng.choice((0, os.O_NONBLOCK))
            fd = os.open(path, flags, 0o644)
            try:
                if action == 2:
                    check(libc.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, self.rng.randrange(FILE_PAGES) * PAGE, PAGE))
                elif action == 3:
                    some_lease(fd, self.rng, (WAIT, START, WAIT | EXCLUSIVE))
                elif action == 4:
                    os.pwrite(fd, bytes(PAGE), self.rng.randrange(FILE_PAGES) * PAGE)
                else:
                    os.ftruncate(fd, self.rng.randint(0, FILE_PAGES) * PAGE)
            finally:
                os.close(fd)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def lawfully(action):
    try:
        action()
    except Interrupted:
        pass
    except OSError as error:
        if error.errno not in LAWFUL:
            raise


def hold(directory):
    """The leak: every twentieth of a second one more file open, leased and pinned."""
    os.makedirs(directory, exist_ok=True)
    count = 0
    while not select.select([0], [], [], 0.05)[0]:
        fd = os.open(f'{directory}/leak-{os.getpid()}-{count}', os.O_RDWR | os.O_CREAT, 0o644)
        count += 1
        pin(fd, set_lease(fd, 0, (0, 0), READ, EXCLUSIVE, 0), (0, 0))


def main():
    if sys.argv[1] == '--hold':
        hold(*sys.argv[2:])
        return
    directory, control, seed, operations = sys.argv[1:]
    rng = random.Random(int(seed))
    os.makedirs(directory, exist_ok=True)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    breaker_seed = rng.random()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, interrupt)
        breaker = Breaker(directory, random.Random(breaker_seed))
        parent = os.getppid()
        while os.getppid() == parent:
            lawfully(breaker.turn)
            time.sleep(0.005)
        return
    holder = Holder(directory, control, rng)
    for _ in range(int(operations)):
        lawfully(holder.turn)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


main()
