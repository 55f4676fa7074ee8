"""Odd use of a control directory: `controlabuse.py CONTROL FILE SEED`.

Every call has the errnos that it may end with; EIO, a hang, or a success where there must be none ends the program
with a traceback that has the seed in it. Prints `ok` at the end.
"""

import errno
import fcntl
import os
import random
import resource
import select
import struct
import sys

CONTROL, FILE, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3])
SETLEASE, RELEASE, PIN = 0xC0404801, 0x40084802, 0xC0284805
RANDOM = random.Random(SEED)


def path(name):
    return os.path.join(CONTROL, name) if isinstance(name, str) else os.path.join(CONTROL.encode(), name)


def outcome(call, *args):
    """0 or an errno."""
    try:
        call(*args)
        return 0
    except OSError as error:
        return error.errno


def expect(what, got, *allowed):
    names = [errno.errorcode.get(value, "done") for value in allowed]
    assert got in allowed, f"{what}: {errno.errorcode.get(got, 'done')}, allowed {names}, seed {SEED}"


def lease(fd, flags=0):
    argument = bytearray(struct.pack("=QQQIIIII20x", 0, 0, 0, 1, flags, 0, 0, 0))
    fcntl.ioctl(fd, SETLEASE, argument)
    return struct.unpack_from("=Q", argument)[0]


def release(fd, id):
    fcntl.ioctl(fd, RELEASE, struct.pack("=Q", id))


# What a line of nonsense may be told. ctl has commands that the future will bring; their arguments are no ids.
NO = (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV, errno.ESRCH, errno.EPERM)


def write_ctl(fd, data):
    got = outcome(os.write, fd, data)
    answer = os.read(fd, 65536)
    assert os.read(fd, 65536) == b"", "the answer is there once"
    if got == errno.E2BIG:
        return got
    assert answer.endswith(b"\n") and answer.count(b"\n") == 1, (SEED, data[:100], answer)
    answer.decode()
    return got


def nonsense():
    words = ["hold", "lease", "revoke", "release-all", "break-time", "expect", "", "HOLD", "hold\0", "ctl", "\u00e9", "--"]
    numbers = ["-1", "0x1", "1e3", "9" * 15, "9" * 16, "9" * 400, "NaN", "", "\0", "1.5", "\u0661", "0 0", "999999999"]
    word = RANDOM.choice(words)
    line = f"{word}{RANDOM.choice([' ', '  ', chr(9), ' ' * 100])}{RANDOM.choice(numbers)}{RANDOM.choice(['', ' ', ' x', chr(13)])}"
    return line.encode() if RANDOM.random() < 0.7 else RANDOM.randbytes(RANDOM.randrange(1, 200)).replace(b"\n", b" ")


def ctl():
    fd = os.open(path("ctl"), os.O_RDWR)
    for _ in range(800):
        line = nonsense()
        if not line.strip():
            continue
        end = RANDOM.choice([b"", b"\n", b"\n\n", b"\r\n"])
        # Who has no leases has none to release.
        allowed = (*NO, 0) if line.startswith(b"release-all") else NO
        expect(f"ctl {line!r}", write_ctl(fd, line + end), *allowed)
    # A line is at most 4096 bytes long, whatever it says; nothing of a longer write is carried out.
    for size in (4097, 65536, 1 << 20):
        expect(f"{size} bytes", write_ctl(fd, b"break-time 1\n" + b"x" * (size - 13)), errno.E2BIG)
        expect(f"{size} newlines", write_ctl(fd, b"\n" * size), errno.E2BIG)
        expect(f"{size} NULs", write_ctl(fd, bytes(size)), errno.E2BIG)
    expect("4096 bytes", write_ctl(fd, b"x" * 4096), errno.EINVAL)
    expect("4096 NULs", write_ctl(fd, bytes(4096)), errno.EINVAL)
    # Many lines in one write: in their order, up to the first that fails.
    expect("300 lines", write_ctl(fd, b"break-time 10000\n" * 240), 0)
    expect("a wrong line among others", write_ctl(fd, b"break-time 10000\nno\nbreak-time 10000\n"), errno.EINVAL)
    expect("blank lines", write_ctl(fd, b"\n \n\t\n"), 0)
    # A write is a command; two halves are two wrong ones.
    expect("the first half", write_ctl(fd, b"break-ti"), errno.EINVAL)
    expect("the second half", write_ctl(fd, b"me 10000\n"), errno.EINVAL)
    expect("a command in pieces of writev", outcome(os.writev, fd, [b"break", b"-time ", b"10000", b"\n"]), 0)
    expect("nothing", outcome(os.write, fd, b""), 0)
    expect("pwrite", outcome(os.pwrite, fd, b"break-time 10000\n", 5), errno.ESPIPE)
    for value in (b"0", b"60001", b"999999999999999"):
        expect("break time out of range", write_ctl(fd, b"break-time " + value), errno.EINVAL)
    write_only, read_only = os.open(path("ctl"), os.O_WRONLY), os.open(path("ctl"), os.O_RDONLY)
    expect("write-only", outcome(os.write, write_only, b"break-time 10000"), 0)
    expect("reading a write-only one", outcome(os.read, write_only, 1), errno.EBADF)
    expect("writing a read-only one", outcome(os.write, read_only, b"break-time 10000"), errno.EBADF)
    assert os.read(read_only, 10) == b""
    for each in (fd, write_only, read_only):
        os.close(each)


def files():
    for name in ("version", "leases", "report", "events", "ctl", "pinctx"):
        fd = os.open(path(name), os.O_RDONLY | os.O_NONBLOCK)
        for offset in (0, 1, 4095, 2**31, 2**63 - 1):
            expect(f"pread {name} {offset}", outcome(os.pread, fd, 10, offset), errno.ESPIPE)
        for whence in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
            expect(f"lseek {name}", outcome(os.lseek, fd, 0, whence), errno.ESPIPE)
        expect(f"fallocate {name}", outcome(os.posix_fallocate, fd, 0, 10), errno.EBADF)
        os.close(fd)
    for name in ("version", "leases", "report", "events"):
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_TRUNC):
            expect(f"write {name}", outcome(os.open, path(name), flags), errno.EACCES)
    for name in ("version", "leases", "report"):
        whole = os.open(path(name), os.O_RDONLY)
        pieces = os.open(path(name), os.O_RDONLY)
        text = b""
        while part := os.read(pieces, RANDOM.choice([1, 2, 7, 4096, 1 << 20])):
            text += part
        assert name == "leases" and text.startswith(b"ID") or text == os.read(whole, 1 << 20), (name, text)
        expect(f"read of nothing from {name}", outcome(os.read, whole, 0), 0)
        os.close(whole)
        os.close(pieces)
    pinctx = os.open(path("pinctx"), os.O_RDWR)
    expect("read pinctx", outcome(os.read, pinctx, 10), errno.EINVAL)
    expect("write pinctx", outcome(os.write, pinctx, b"x"), errno.EINVAL)
    os.close(pinctx)


def directory():
    """Nothing can be made, removed or changed in it."""
    no = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP)
    new, version = path("new"), path("version")
    expect("create", outcome(os.open, new, os.O_CREAT | os.O_RDWR), *no)
    expect("mkdir", outcome(os.mkdir, new), *no)
    expect("symlink", outcome(os.symlink, "x", new), *no)
    expect("link", outcome(os.link, version, new), *no)
    expect("mknod", outcome(os.mkfifo, new), *no)
    expect("unlink", outcome(os.unlink, version), *no)
    expect("rmdir", outcome(os.rmdir, path("pins")), *no)
    expect("rename", outcome(os.rename, version, new), *no, errno.EINVAL)
    expect("chmod", outcome(os.chmod, version, 0o777), *no)
    expect("chown", outcome(os.chown, version, 1, 1), *no)
    expect("setxattr", outcome(os.setxattr, version, "user.x", b"x"), *no)
    expect("getxattr", outcome(os.getxattr, version, "user.x"), errno.ENODATA, *no)
    for name in ("0", "-1", "01", "1.0", "99999999999", "4294967295", "x", "..x", "\u00e9", b"\xff\xfe", "1" * 255):
        full = path(os.path.join("pins", name) if isinstance(name, str) else b"pins/" + name)
        expect(f"pins/{name!r}", outcome(os.stat, full), errno.ENOENT)
    # How long a name may be that the kernel passes on to FUSE depends on its version.
    for size in (256, 1024, 4000):
        expect(f"a name of {size}", outcome(os.stat, path("n" * size)), errno.ENOENT, errno.ENAMETOOLONG)
    # A context that was looked up and never opened is none.
    for _ in range(200):
        os.stat(path("pinctx"))


def events():
    def reader(flags=0):
        return os.open(path("events"), os.O_RDONLY | flags)

    file = os.open(FILE, os.O_RDWR)
    quiet = reader(os.O_NONBLOCK)
    expect("nothing yet", outcome(os.read, quiet, 100), errno.EAGAIN)
    poll = select.poll()
    poll.register(quiet, select.POLLIN | select.POLLOUT | select.POLLPRI)
    assert poll.poll(0) == [], SEED
    # Two descriptors of one reader: every byte once. Two readers: everything twice.
    twin, other = os.dup(quiet), reader()
    epoll = select.epoll()
    epoll.register(quiet, select.EPOLLIN | select.EPOLLET)
    epoll.register(other, select.EPOLLIN)
    ids = [lease(file) for _ in range(10)]
    assert poll.poll(5000) == [(quiet, select.POLLIN)], SEED
    assert {fd for fd, _ in epoll.poll(5)} <= {quiet, other}
    text, turn = b"", 0
    while True:
        try:
            text += os.read((quiet, twin)[turn % 2], RANDOM.choice([1, 3, 50, 4096]))
        except BlockingIOError:
            break
        turn += 1
    granted = [f'"event":"granted","lease":{id},'.encode() for id in ids]
    assert [text.count(each) for each in granted] == [1] * 10 and text.count(b"\n") == 10, (SEED, text)
    again = b""
    while again.count(b"\n") < 10:
        again += os.read(other, 4096)
    assert again == text, (SEED, again)
    assert poll.poll(0) == [], SEED
    for id in ids:
        release(file, id)
    for each in (quiet, twin, other, file):
        os.close(each)


# As in src/control/events.ts, and enough pins in each of a thousand contexts to fill a queue of that length.
QUEUE_LENGTH_MAX = 4096
PINS_EACH = 3


def many():
    """Thousands of opens, of which most are never read."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    file = os.open(FILE, os.O_RDWR)
    readers = [os.open(path("events"), os.O_RDONLY | os.O_NONBLOCK) for _ in range(1000)]
    texts = [os.open(path(RANDOM.choice(["version", "leases", "report"])), os.O_RDONLY) for _ in range(1000)]
    contexts = [os.open(path("pinctx"), os.O_RDWR) for _ in range(1000)]
    for fd in texts:
        assert len(os.read(fd, 1)) == 1
    id = lease(file, 1)
    for context in contexts:
        for start in range(0, PINS_EACH):
            fcntl.ioctl(context, PIN, bytearray(struct.pack("=QQQQII", 0, id, start, 4096, 0, 0)))
    expect("release", outcome(release, file, id), errno.EBUSY)
    for fd in texts + contexts:
        os.close(fd)
    release(file, id)
    for fd in readers[::100]:
        # Each reader's queue is bounded, and the rest was lost: one event for each pin and unpin, lease and release.
        seen = b""
        while True:
            try:
                seen += os.read(fd, 1 << 20)
            except BlockingIOError:
                break
        lines = seen.splitlines()
        lost = 2 * PINS_EACH * len(contexts) + 2 - QUEUE_LENGTH_MAX
        assert len(lines) == QUEUE_LENGTH_MAX + 1 and b'"event":"lost","count":%d' % lost in lines[-1], (SEED, len(lines), lines[-1])
    for fd in readers:
        os.close(fd)
    os.close(file)


for part in (ctl, files, directory, events, many):
    part()
print("ok")
