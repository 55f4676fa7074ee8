"""What programs may expect of a directory, whatever file system is behind it.

    conformance.py DIRECTORY [--backing DIRECTORY] [--passthrough] [NAME ...]

Each check gets an empty directory of its own below DIRECTORY. One line per check: "ok NAME", "skip NAME: why" or
"FAIL NAME: what". Run it on a plain directory first: what fails there is a mistake in a check.

--backing: where the same tree can be reached past the mount. --passthrough: I/O runs with the identity of the
engine, so a write by root takes setuid bits away too (see docs/DECISIONS.md).
Needs root, and an unused uid 4001; where a check fails for an ordinary user on a plain directory, it is not theirs.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import traceback

libc = ctypes.CDLL(None, use_errno=True)
STRANGER = 4001
CHECKS = []
OPTIONS = {'backing': None, 'passthrough': False}
AT_EMPTY_PATH = 0x1000
O_TMPFILE = getattr(os, 'O_TMPFILE', 0o20200000)


class Skip(Exception):
    pass


def check(function):
    CHECKS.append(function)
    return function


def call(name, *args):
    """A libc function that fails with -1; 64-bit arguments as ctypes.c_long."""
    result = getattr(libc, name)(*args)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def fails(code, action):
    try:
        action()
    except OSError as error:
        assert error.errno == code, f'{errno.errorcode.get(error.errno)} instead of {errno.errorcode[code]}'
    else:
        raise AssertionError(f'succeeded instead of {errno.errorcode[code]}')


def child(action, uid=0, gid=None, groups=(), umask=0o022):
    """Runs action in another process, as another user (of whom only root has any); raises what it raised."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.umask(umask)
            if os.geteuid() == 0 or uid != 0:
                os.setgroups(list(groups))
                os.setresgid(*[uid if gid is None else gid] * 3)
                os.setresuid(uid, uid, uid)
            result = action()
            os.write(writable, b'ok' + repr(result).encode())
        except BaseException:
            os.write(writable, traceback.format_exc().encode()[-4000:])
        os._exit(0)
    os.close(writable)
    output = b''
    while True:
        part = os.read(readable, 65536)
        if not part:
            break
        output += part
    os.close(readable)
    os.waitpid(pid, 0)
    assert output.startswith(b'ok'), output.decode()
    return eval(output[2:].decode())


def write(path, data=b'x', mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.write(fd, data)
    os.close(fd)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def mode(path):
    return os.lstat(path).st_mode & 0o7777


@check
def names_that_are_not_utf8(d):
    name = os.fsencode(d) + b'/\xff\xfe\x80 \x01\n'
    write(name, b'data')
    assert os.listdir(os.fsencode(d)) == [os.path.basename(name)]
    other = os.fsencode(d) + b'/' + bytes(range(128, 255))
    os.rename(name, other)
    assert read(other) == b'data'
    os.symlink(b'\xc3\x28', os.fsencode(d) + b'/link')
    assert os.readlink(os.fsencode(d) + b'/link') == b'\xc3\x28'
    os.mkdir(os.fsencode(d) + b'/\xe0')
    write(os.fsencode(d) + b'/\xe0/\xe1')
    os.unlink(other)


@check
def names_have_limits(d):
    write(f'{d}/{"n" * 255}')
    fails(errno.ENAMETOOLONG, lambda: write(f'{d}/{"n" * 256}'))
    fails(errno.ENAMETOOLONG, lambda: os.stat(f'{d}/{"n" * 256}'))
    os.symlink('t' * 1000, f'{d}/s')
    assert len(os.readlink(f'{d}/s')) == 1000 and os.lstat(f'{d}/s').st_size == 1000


@check
def errors_are_the_usual_ones(d):
    write(f'{d}/f')
    os.makedirs(f'{d}/a/b')
    os.symlink('loop', f'{d}/loop')
    fails(errno.ENOENT, lambda: os.stat(f'{d}/nothing'))
    fails(errno.ENOTDIR, lambda: os.stat(f'{d}/f/x'))
    fails(errno.EEXIST, lambda: os.mkdir(f'{d}/f'))
    fails(errno.EEXIST, lambda: os.open(f'{d}/f', os.O_CREAT | os.O_EXCL))
    fails(errno.EEXIST, lambda: os.symlink('x', f'{d}/f'))
    fails(errno.EEXIST, lambda: os.link(f'{d}/f', f'{d}/a'))
    fails(errno.EISDIR, lambda: os.open(f'{d}/a', os.O_WRONLY))
    fails(errno.EISDIR, lambda: os.unlink(f'{d}/a'))
    fails(errno.ENOTDIR, lambda: os.rmdir(f'{d}/f'))
    fails(errno.ENOTDIR, lambda: os.open(f'{d}/f', os.O_DIRECTORY))
    fails(errno.ENOTEMPTY, lambda: os.rmdir(f'{d}/a'))
    fails(errno.EINVAL, lambda: os.rename(f'{d}/a', f'{d}/a/b/c'))
    fails(errno.EISDIR, lambda: os.rename(f'{d}/f', f'{d}/a'))
    fails(errno.ENOTDIR, lambda: os.rename(f'{d}/a', f'{d}/f'))
    os.mkdir(f'{d}/e')
    try:
        os.rename(f'{d}/e', f'{d}/a')
    except OSError as error:
        # rename(2) allows both; XFS has its own mind.
        assert error.errno in (errno.ENOTEMPTY, errno.EEXIST)
    else:
        raise AssertionError('a directory with contents was replaced')
    fails(errno.ELOOP, lambda: os.open(f'{d}/loop', os.O_RDONLY))
    fails(errno.EPERM, lambda: os.link(f'{d}/a', f'{d}/hard'))
    fails(errno.EINVAL, lambda: os.truncate(f'{d}/f', -1))
    fails(errno.ENXIO, lambda: os.open(fifo(f'{d}/p'), os.O_WRONLY | os.O_NONBLOCK))
    fails(errno.ENOTTY, lambda: ioctl_of(f'{d}/f', 0x1234))


def fifo(path):
    os.mkfifo(path)
    return path


def ioctl_of(path, command):
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, command)
    finally:
        os.close(fd)


@check
def rename_flags(d):
    def rename(a, b, flags):
        call('renameat2', -100, f'{d}/{a}'.encode(), -100, f'{d}/{b}'.encode(), flags)

    write(f'{d}/a', b'A')
    write(f'{d}/b', b'B')
    fails(errno.EEXIST, lambda: rename('a', 'b', 1))
    rename('a', 'c', 1)
    held = os.open(f'{d}/c', os.O_RDWR)
    rename('c', 'b', 2)
    assert read(f'{d}/c') == b'B' and read(f'{d}/b') == b'A'
    os.write(held, b'more')
    assert read(f'{d}/b') == b'more'
    os.mkdir(f'{d}/dir')
    write(f'{d}/dir/x', b'X')
    rename('dir', 'b', 2)
    assert read(f'{d}/b/x') == b'X' and read(f'{d}/dir') == b'more'
    fails(errno.ENOENT, lambda: rename('b', 'nothing', 2))
    fails(errno.EINVAL, lambda: rename('b', 'c', 3))
    os.close(held)


@check
def whiteout_rename(d):
    write(f'{d}/a', b'A')
    try:
        call('renameat2', -100, f'{d}/a'.encode(), -100, f'{d}/b'.encode(), 4)
    except OSError as error:
        assert error.errno == errno.EINVAL
        raise Skip('the backing file system has no whiteouts')
    left = os.lstat(f'{d}/a')
    assert stat.S_ISCHR(left.st_mode) and left.st_rdev == 0
    os.chmod(d, 0o777)
    child(lambda: write(f'{d}/c'), STRANGER)
    child(lambda: call('renameat2', -100, f'{d}/c'.encode(), -100, f'{d}/e'.encode(), 4), STRANGER)
    assert os.lstat(f'{d}/c').st_uid == STRANGER


@check
def rename_moves_what_is_open(d):
    os.makedirs(f'{d}/one/deep')
    write(f'{d}/one/deep/f', b'1')
    fd = os.open(f'{d}/one/deep', os.O_RDONLY)
    os.rename(f'{d}/one', f'{d}/two')
    assert os.listdir(fd) == ['f']
    new = os.open('g', os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.write(new, b'2')
    os.close(new)
    assert read(f'{d}/two/deep/g') == b'2'
    os.rename('g', 'h', src_dir_fd=fd, dst_dir_fd=fd)
    os.rename(f'{d}/two/deep/h', f'{d}/h')
    assert read(f'{d}/h') == b'2'
    os.close(fd)


@check
def replaced_and_removed_files_go_on(d):
    write(f'{d}/f', b'old')
    write(f'{d}/g', b'new')
    old = os.open(f'{d}/f', os.O_RDWR)
    os.rename(f'{d}/g', f'{d}/f')
    assert read(f'{d}/f') == b'new' and os.pread(old, 9, 0) == b'old'
    assert os.fstat(old).st_nlink == 0
    os.pwrite(old, b'x' * 100000, 3)
    os.fsync(old)
    os.ftruncate(old, 50000)
    assert os.fstat(old).st_size == 50000
    os.fchmod(old, 0o600)
    os.fchown(old, STRANGER, STRANGER)
    again = os.open(f'/proc/self/fd/{old}', os.O_RDONLY)
    assert os.pread(again, 3, 0) == b'old' and os.fstat(again).st_uid == STRANGER
    os.setxattr(f'/proc/self/fd/{old}', 'user.k', b'v')
    assert os.getxattr(f'/proc/self/fd/{old}', 'user.k') == b'v'
    os.close(old)
    os.close(again)


@check
def removed_but_named_by_a_descriptor(d):
    write(f'{d}/f', b'data')
    fd = os.open(f'{d}/f', os.O_PATH)
    os.unlink(f'{d}/f')
    write(f'{d}/f', b'other')
    assert os.fstat(fd).st_nlink == 0 and os.fstat(fd).st_size == 4
    assert read(f'/proc/self/fd/{fd}') == b'data'
    os.close(fd)


@check
def removed_working_directory(d):
    os.mkdir(f'{d}/w')

    def inside():
        os.chdir(f'{d}/w')
        os.rmdir(f'{d}/w')
        assert os.stat('.').st_nlink in (0, 1)
        assert os.listdir('.') == []
        fails(errno.ENOENT, lambda: write('new'))
        fails(errno.ENOENT, lambda: os.mkdir('new'))

    child(inside)


@check
def link_counts(d):
    write(f'{d}/a', b'1')
    for i in range(20):
        os.link(f'{d}/a', f'{d}/l{i}')
    assert os.stat(f'{d}/a').st_nlink == 21
    inodes = {os.stat(f'{d}/{n}').st_ino for n in os.listdir(d)}
    assert len(inodes) == 1
    os.unlink(f'{d}/a')
    write(f'{d}/l3', b'changed')
    assert read(f'{d}/l7') == b'changed'
    os.rename(f'{d}/l3', f'{d}/l4')
    assert sorted(os.listdir(d)) == sorted(f'l{i}' for i in range(20))
    for i in range(19):
        os.unlink(f'{d}/l{i}')
    assert os.stat(f'{d}/l19').st_nlink == 1
    fd = os.open(f'{d}/l19', os.O_RDONLY)
    os.unlink(f'{d}/l19')
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)
    os.symlink('x', f'{d}/s')
    os.link(f'{d}/s', f'{d}/t', follow_symlinks=False)
    assert os.lstat(f'{d}/t').st_nlink == 2 and os.readlink(f'{d}/t') == 'x'


@check
def caches_can_be_dropped(d):
    os.makedirs(f'{d}/sub')
    for i in range(300):
        write(f'{d}/sub/{i}', b'%d' % i)
    before = {n: os.stat(f'{d}/sub/{n}').st_ino for n in os.listdir(f'{d}/sub')}
    fd = os.open(f'{d}/sub/7', os.O_RDWR)
    directory = os.open(f'{d}/sub', os.O_RDONLY)
    for _ in range(3):
        with open('/proc/sys/vm/drop_caches', 'w') as file:
            file.write('2')
        after = {n: os.stat(f'{d}/sub/{n}').st_ino for n in os.listdir(directory)}
        assert before == after
    os.write(fd, b'seven')
    assert read(f'{d}/sub/7') == b'seven'
    os.close(fd)
    os.close(directory)


@check
def a_directory_that_is_read_again_shows_what_is_new(d):
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    write(f'{d}/new')
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.listdir(fd) == ['new']
    os.close(fd)


@check
def files_without_names(d):
    fd = os.open(d, O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b'data')
    assert os.fstat(fd).st_nlink == 0 and os.fstat(fd).st_mode & 0o777 == 0o640
    assert os.listdir(d) == []
    call('linkat', fd, b'', -100, f'{d}/named'.encode(), AT_EMPTY_PATH)
    os.pwrite(fd, b'D', 0)
    assert read(f'{d}/named') == b'Data' and os.fstat(fd).st_nlink == 1
    os.close(fd)
    fd = os.open(d, O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
    fails(errno.ENOENT, lambda: call('linkat', fd, b'', -100, f'{d}/no'.encode(), AT_EMPTY_PATH))
    os.close(fd)


@check
def extended_attributes(d):
    write(f'{d}/f')
    p = f'{d}/f'
    assert [n for n in os.listxattr(p) if n.startswith('user.')] == []
    os.setxattr(p, 'user.a', b'1' * 100)
    os.setxattr(p, 'user.empty', b'')
    assert os.getxattr(p, 'user.a') == b'1' * 100 and os.getxattr(p, 'user.empty') == b''
    fails(errno.EEXIST, lambda: os.setxattr(p, 'user.a', b'', os.XATTR_CREATE))
    fails(errno.ENODATA, lambda: os.setxattr(p, 'user.b', b'', os.XATTR_REPLACE))
    fails(errno.ENODATA, lambda: os.getxattr(p, 'user.b'))
    fails(errno.ENODATA, lambda: os.removexattr(p, 'user.b'))
    fails(errno.EOPNOTSUPP, lambda: os.setxattr(p, 'nonsense.x', b''))
    buffer = ctypes.create_string_buffer(10)
    fails(errno.ERANGE, lambda: call('getxattr', p.encode(), b'user.a', buffer, 10))
    fails(errno.ERANGE, lambda: call('listxattr', p.encode(), buffer, 3))
    assert call('getxattr', p.encode(), b'user.a', None, 0) == 100
    os.setxattr(p, 'trusted.t', b'2')
    assert 'trusted.t' in os.listxattr(p)
    os.chmod(p, 0o666)
    # Most file systems hide trusted attributes from others, btrfs does not.
    visible = child(lambda: os.listxattr(p), STRANGER)
    if OPTIONS['backing'] is not None:
        behind = OPTIONS['backing'] + '/' + os.path.basename(d)
        assert visible == child(lambda: os.listxattr(f'{behind}/f'), STRANGER)
    assert 'user.a' in child(lambda: os.listxattr(p), STRANGER)
    fails(errno.EPERM, lambda: child_raises(lambda: os.setxattr(p, 'trusted.t', b''), STRANGER))
    os.removexattr(p, 'user.a')
    assert 'user.a' not in os.listxattr(p)
    os.symlink('nowhere', f'{d}/s')
    os.setxattr(f'{d}/s', 'trusted.l', b'3', follow_symlinks=False)
    assert os.getxattr(f'{d}/s', 'trusted.l', follow_symlinks=False) == b'3'
    fails(errno.EPERM, lambda: os.setxattr(f'{d}/s', 'user.l', b'', follow_symlinks=False))


def child_raises(action, uid):
    def inside():
        try:
            action()
        except OSError as error:
            return error.errno
        return 0

    code = child(inside, uid)
    if code != 0:
        raise OSError(code, os.strerror(code))


@check
def holes(d):
    fd = os.open(f'{d}/f', os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8 << 20)
    os.pwrite(fd, b'x', 4 << 20)
    data = os.lseek(fd, 0, os.SEEK_DATA)
    assert 0 < data <= 4 << 20, data
    assert os.lseek(fd, 4 << 20, os.SEEK_HOLE) > 4 << 20
    fails(errno.ENXIO, lambda: os.lseek(fd, 8 << 20, os.SEEK_DATA))
    assert os.fstat(fd).st_blocks * 512 < 4 << 20
    assert os.lseek(fd, 0, os.SEEK_END) == 8 << 20
    os.close(fd)


def fallocate(fd, flags, offset, length):
    call('fallocate', fd, flags, ctypes.c_long(offset), ctypes.c_long(length))


@check
def allocation(d):
    fd = os.open(f'{d}/f', os.O_RDWR | os.O_CREAT)
    fallocate(fd, 0, 0, 1 << 20)
    assert os.fstat(fd).st_size == 1 << 20 and os.fstat(fd).st_blocks * 512 >= 1 << 20
    fallocate(fd, 1, 1 << 20, 1 << 20)
    assert os.fstat(fd).st_size == 1 << 20
    os.pwrite(fd, b'y' * (1 << 20), 0)
    fallocate(fd, 3, 4096, 8192)
    content = os.pread(fd, 1 << 20, 0)
    assert content[:4096] == b'y' * 4096 and content[4096:12288] == bytes(8192)
    assert content[12288:] == b'y' * ((1 << 20) - 12288)
    try:
        fallocate(fd, 0x10, 0, 4096)
        assert os.pread(fd, 4097, 0) == bytes(4096) + bytes(1)
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP
    fails(errno.EINVAL, lambda: fallocate(fd, 0, 0, 0))
    reader = os.open(f'{d}/f', os.O_RDONLY)
    fails(errno.EBADF, lambda: fallocate(reader, 0, 0, 4096))
    os.close(reader)
    os.close(fd)


@check
def copying_ranges(d):
    write(f'{d}/a', os.urandom(300000))
    a = os.open(f'{d}/a', os.O_RDONLY)
    b = os.open(f'{d}/b', os.O_RDWR | os.O_CREAT)
    done = 0
    while done < 300000:
        done += os.copy_file_range(a, b, 300000 - done, done, done)
    assert read(f'{d}/b') == read(f'{d}/a')
    assert os.copy_file_range(a, b, 100, 1000, 300000) == 100
    assert read(f'{d}/b')[300000:] == read(f'{d}/a')[1000:1100]
    assert os.copy_file_range(a, b, 100, 300000, 0) == 0
    fails(errno.EBADF, lambda: os.copy_file_range(b, a, 10, 0, 0))
    os.close(a)
    os.close(b)


@check
def sizes_and_truncation(d):
    write(f'{d}/f', b'abcdefgh')
    os.truncate(f'{d}/f', 3)
    assert read(f'{d}/f') == b'abc'
    os.truncate(f'{d}/f', 6)
    assert read(f'{d}/f') == b'abc\0\0\0'
    fd = os.open(f'{d}/f', os.O_RDWR)
    os.ftruncate(fd, 1)
    assert os.fstat(fd).st_size == 1 and os.pread(fd, 10, 0) == b'a'
    os.close(fd)
    os.close(os.open(f'{d}/f', os.O_RDONLY | os.O_TRUNC))
    assert os.stat(f'{d}/f').st_size == 0
    write(f'{d}/f', b'again')
    other = os.open(f'{d}/f', os.O_RDONLY)
    os.close(os.open(f'{d}/f', os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert os.fstat(other).st_size == 0 and os.read(other, 5) == b''
    os.close(other)
    reader = os.open(f'{d}/f', os.O_RDONLY)
    fails(errno.EINVAL, lambda: os.ftruncate(reader, 0))
    os.close(reader)
    write(f'{d}/big', b'')
    os.truncate(f'{d}/big', 1 << 40)
    assert os.stat(f'{d}/big').st_size == 1 << 40
    os.unlink(f'{d}/big')


@check
def large_files_shrink_and_go(d):
    fd = os.open(f'{d}/big', os.O_RDWR | os.O_CREAT)
    fallocate(fd, 0, 0, 96 << 20)
    os.ftruncate(fd, 4096)
    assert os.fstat(fd).st_size == 4096 and os.fstat(fd).st_blocks * 512 <= 1 << 20
    fallocate(fd, 0, 0, 96 << 20)
    os.close(fd)
    os.close(os.open(f'{d}/big', os.O_WRONLY | os.O_TRUNC))
    assert os.stat(f'{d}/big').st_size == 0
    os.unlink(f'{d}/big')


@check
def large_directories(d):
    for i in range(5000):
        os.close(os.open(f'{d}/entry-{i:05}', os.O_CREAT | os.O_WRONLY))
    assert sorted(os.listdir(d)) == [f'entry-{i:05}' for i in range(5000)]
    seen = []
    with os.scandir(d) as entries:
        for entry in entries:
            seen.append(entry.name)
            number = int(entry.name[6:])
            if number % 2 == 0:
                os.unlink(entry.path)
    assert len(seen) == len(set(seen))
    assert {f'entry-{i:05}' for i in range(1, 5000, 2)} <= set(seen)
    assert sorted(os.listdir(d)) == [f'entry-{i:05}' for i in range(1, 5000, 2)]
    with os.scandir(d) as entries:
        for entry in entries:
            assert entry.is_file() and entry.inode() == os.stat(entry.path).st_ino


class Dirent(ctypes.Structure):
    _fields_ = [
        ('ino', ctypes.c_uint64),
        ('off', ctypes.c_int64),
        ('length', ctypes.c_uint16),
        ('type', ctypes.c_uint8),
        ('name', ctypes.c_char * 256),
    ]


@check
def positions_in_directories(d):
    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.restype = ctypes.POINTER(Dirent)
    libc.telldir.restype = ctypes.c_long
    for i in range(1500):
        write(f'{d}/{i}')
    stream = ctypes.c_void_p(libc.opendir(d.encode()))

    def next_name():
        entry = libc.readdir(stream)
        return entry.contents.name if entry else None

    places = []
    while True:
        place = libc.telldir(stream)
        name = next_name()
        if name is None:
            break
        places.append((place, name))
    assert len(places) == 1502
    for index in list(range(0, 1502, 97)) + [1501, 0, 700]:
        place, name = places[index]
        libc.seekdir(stream, ctypes.c_long(place))
        assert next_name() == name, index
        if index + 1 < len(places):
            assert next_name() == places[index + 1][1]
    write(f'{d}/new')
    os.unlink(f'{d}/5')
    libc.rewinddir(stream)
    names = set()
    while (name := next_name()) is not None:
        names.add(name)
    assert b'new' in names and b'5' not in names and len(names) == 1502
    libc.closedir(stream)


@check
def removing_trees_that_are_open(d):
    for i in range(5):
        os.makedirs(f'{d}/t/{i}/x/y')
        for j in range(50):
            write(f'{d}/t/{i}/x/{j}')
    fds = [os.open(p, os.O_RDONLY) for p in (f'{d}/t', f'{d}/t/1', f'{d}/t/2/x', f'{d}/t/3/x/7')]
    assert len(os.listdir(fds[2])) == 51
    subprocess.run(['rm', '-rf', f'{d}/t'], check=True)
    assert os.listdir(d) == []
    assert os.listdir(fds[0]) == [] and os.listdir(fds[2]) == []
    fails(errno.ENOENT, lambda: os.open('x', os.O_CREAT | os.O_WRONLY, dir_fd=fds[1]))
    assert os.pread(fds[3], 5, 0) == b'x'
    for fd in fds:
        os.close(fd)


@check
def deep_trees(d):
    depth = 150

    def descend():
        os.chdir(d)
        for i in range(depth):
            os.mkdir('d')
            os.chdir('d')
        write('bottom', b'deep')
        for i in range(depth):
            os.chdir('..')
        assert os.path.samefile('.', d)

    child(descend)
    found = subprocess.run(['find', d, '-name', 'bottom'], check=True, stdout=subprocess.PIPE).stdout
    assert found.count(b'/d') >= depth
    subprocess.run(['rm', '-rf', f'{d}/d'], check=True)
    assert os.listdir(d) == []


@check
def writes_take_setuid_bits(d):
    p = f'{d}/f'

    def fresh(bits=0o6777):
        write(p, b'x' * 8192)
        os.chmod(p, bits)
        assert mode(p) == bits, oct(mode(p))

    def opened(action, flags=os.O_RDWR):
        def inside():
            fd = os.open(p, flags)
            action(fd)
            os.close(fd)

        return inside

    changes = {
        'write': opened(lambda fd: os.write(fd, b'y')),
        'ftruncate': opened(lambda fd: os.ftruncate(fd, 5)),
        'truncate': lambda: os.truncate(p, 5),
        'grow': lambda: os.truncate(p, 100000),
        'open-truncate': opened(lambda fd: None, os.O_WRONLY | os.O_TRUNC),
        'fallocate': opened(lambda fd: fallocate(fd, 0, 0, 65536)),
        'punch': opened(lambda fd: fallocate(fd, 3, 0, 4096)),
    }
    for name, change in changes.items():
        fresh()
        child(change, STRANGER)
        assert mode(p) == 0o777, f'{name} by a stranger left {oct(mode(p))}'
        fresh(0o2767)
        child(change, STRANGER)
        # Without execution for the group, the setgid bit is no danger; which kernels keep it differs.
        assert mode(p) & 0o777 == 0o767, f'{name}: {oct(mode(p))}'
    kept = dict(changes)
    if OPTIONS['passthrough']:
        del kept['write']
    for name, change in kept.items():
        fresh()
        child(change)
        assert mode(p) == 0o6777, f'{name} by root left {oct(mode(p))}'
    fresh()
    os.chown(p, 0, 0)
    assert mode(p) == 0o777, 'chown takes them for everybody'


@check
def cached_setuid_bits_are_not_granted(d):
    p = f'{d}/id'
    shutil.copy('/usr/bin/id', p)
    os.chown(p, 0, 0)
    os.chmod(p, 0o4777)

    def run():
        return subprocess.run([p, '-u'], stdout=subprocess.PIPE, check=True).stdout.strip()

    assert child(run, STRANGER) == b'0'
    content = read(p)

    def tamper():
        fd = os.open(p, os.O_WRONLY)
        os.pwrite(fd, content[:64], 0)
        os.close(fd)
        return run()

    assert child(tamper, STRANGER) == str(STRANGER).encode()


@check
def owners_of_new_files(d):
    os.chmod(d, 0o777)

    def make():
        write(f'{d}/file', mode=0o666)
        os.mkdir(f'{d}/dir', 0o777)
        os.symlink('x', f'{d}/symlink')
        os.mkfifo(f'{d}/fifo', 0o666)
        os.mknod(f'{d}/node', stat.S_IFREG | 0o666)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f'{d}/socket')
        fd = os.open(d, O_TMPFILE | os.O_RDWR, 0o666)
        assert (os.fstat(fd).st_uid, os.fstat(fd).st_gid) == (STRANGER, 4002)
        os.close(fd)

    child(make, STRANGER, 4002, umask=0o027)
    for name in os.listdir(d):
        info = os.lstat(f'{d}/{name}')
        assert (info.st_uid, info.st_gid) == (STRANGER, 4002), name
    assert mode(f'{d}/file') == 0o640 and mode(f'{d}/dir') == 0o750 and mode(f'{d}/fifo') == 0o640
    write(f'{d}/root')
    assert os.stat(f'{d}/root').st_uid == 0 and os.stat(f'{d}/root').st_gid == 0
    os.mknod(f'{d}/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert os.stat(f'{d}/null').st_rdev == os.makedev(1, 3)
    os.mknod(f'{d}/far', stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    assert os.stat(f'{d}/far').st_rdev == os.makedev(259, 70000)
    fails(errno.EPERM, lambda: child_raises(lambda: os.mknod(f'{d}/no', stat.S_IFCHR | 0o666, 259), STRANGER))


@check
def setgid_directories(d):
    os.mkdir(f'{d}/g')
    os.chown(f'{d}/g', 0, 4010)
    os.chmod(f'{d}/g', 0o2777)
    g = f'{d}/g'

    def make(prefix):
        def inside():
            write(f'{g}/{prefix}-file')
            os.mkdir(f'{g}/{prefix}-dir')
            os.close(os.open(f'{g}/{prefix}-bits', os.O_CREAT | os.O_WRONLY, 0o2775))
            os.close(os.open(f'{g}/{prefix}-uid', os.O_CREAT | os.O_WRONLY, 0o4755))
            os.mknod(f'{g}/{prefix}-node', stat.S_IFREG | 0o2755)

        return inside

    child(make('out'), STRANGER, umask=0)
    child(make('in'), STRANGER, groups=(4009, 4010, 4011), umask=0)
    child(make('primary'), STRANGER, 4010, umask=0)
    child(make('root'), umask=0)
    for name in os.listdir(g):
        assert os.stat(f'{g}/{name}').st_gid == 4010, name
        if name.endswith('-dir'):
            assert mode(f'{g}/{name}') & 0o2000, name
        if name.endswith('-uid'):
            assert mode(f'{g}/{name}') == 0o4755, name
    assert mode(f'{g}/out-bits') == 0o775 and mode(f'{g}/out-node') == 0o755
    for prefix in ('in', 'primary', 'root'):
        assert mode(f'{g}/{prefix}-bits') == 0o2775, prefix
        assert mode(f'{g}/{prefix}-node') == 0o2755, prefix


def acl(*entries):
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)


USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 1, 2, 4, 0x10, 0x20
NOBODY = 0xFFFFFFFF


@check
def access_control_lists(d):
    write(f'{d}/f', b'secret', 0o600)
    granted = acl((USER_OBJ, 6, NOBODY), (USER, 4, STRANGER), (GROUP_OBJ, 0, NOBODY), (MASK, 4, NOBODY), (OTHER, 0, NOBODY))
    try:
        os.setxattr(f'{d}/f', 'system.posix_acl_access', granted)
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP
        raise Skip('the backing file system has no ACLs')
    assert mode(f'{d}/f') == 0o640
    assert child(lambda: read(f'{d}/f'), STRANGER) == b'secret'
    fails(errno.EACCES, lambda: child_raises(lambda: read(f'{d}/f'), STRANGER + 1))
    fails(errno.EACCES, lambda: child_raises(lambda: os.open(f'{d}/f', os.O_WRONLY), STRANGER))
    os.chmod(f'{d}/f', 0o600)
    fails(errno.EACCES, lambda: child_raises(lambda: read(f'{d}/f'), STRANGER))
    os.removexattr(f'{d}/f', 'system.posix_acl_access')

    os.mkdir(f'{d}/dir')
    inherited = acl((USER_OBJ, 7, NOBODY), (USER, 6, STRANGER), (GROUP_OBJ, 5, NOBODY), (MASK, 7, NOBODY), (OTHER, 0, NOBODY))
    os.setxattr(f'{d}/dir', 'system.posix_acl_default', inherited)
    os.chmod(f'{d}/dir', 0o777)

    def make():
        write(f'{d}/dir/file', b'shared', 0o666)
        os.mkdir(f'{d}/dir/sub', 0o777)
        os.mkfifo(f'{d}/dir/fifo', 0o666)

    # The default ACL takes the place of the umask.
    child(make, STRANGER + 1, umask=0o077)
    assert mode(f'{d}/dir/file') == 0o660, oct(mode(f'{d}/dir/file'))
    assert mode(f'{d}/dir/sub') == 0o770 and mode(f'{d}/dir/fifo') == 0o660
    assert os.getxattr(f'{d}/dir/sub', 'system.posix_acl_default') == inherited
    assert child(lambda: read(f'{d}/dir/file'), STRANGER) == b'shared'
    fails(errno.EACCES, lambda: child_raises(lambda: read(f'{d}/dir/file'), STRANGER + 2))

    # Setting an ACL costs the setgid bit of a group that one is not in, be it root's.
    os.mkdir(f'{d}/setgid')
    os.chown(f'{d}/setgid', STRANGER, 0)
    os.chmod(f'{d}/setgid', 0o2777)
    plain_acl = acl((USER_OBJ, 7, NOBODY), (USER, 4, 4003), (GROUP_OBJ, 5, NOBODY), (MASK, 5, NOBODY), (OTHER, 0, NOBODY))
    child(lambda: os.setxattr(f'{d}/setgid', 'system.posix_acl_access', plain_acl), STRANGER)
    assert mode(f'{d}/setgid') == 0o750, oct(mode(f'{d}/setgid'))

    # Taking an ACL away costs root nothing.
    os.chown(f'{d}/setgid', STRANGER, STRANGER)
    os.chmod(f'{d}/setgid', 0o2755)
    os.removexattr(f'{d}/setgid', 'system.posix_acl_access')
    assert mode(f'{d}/setgid') & 0o2000, oct(mode(f'{d}/setgid'))

    # Rights that come from an ACL are enough to create, whatever group they come through.
    os.mkdir(f'{d}/team')
    os.chmod(f'{d}/team', 0o700)
    os.setxattr(
        f'{d}/team',
        'system.posix_acl_access',
        acl((USER_OBJ, 7, NOBODY), (GROUP_OBJ, 0, NOBODY), (8, 7, 4020), (MASK, 7, NOBODY), (OTHER, 0, NOBODY)),
    )
    child(lambda: write(f'{d}/team/f'), STRANGER, groups=(4020,))
    assert os.stat(f'{d}/team/f').st_uid == STRANGER
    fails(errno.EACCES, lambda: child_raises(lambda: write(f'{d}/team/g'), STRANGER))


@check
def permissions(d):
    os.mkdir(f'{d}/private', 0o700)
    write(f'{d}/private/f')
    write(f'{d}/f', b'x', 0o600)
    fails(errno.EACCES, lambda: child_raises(lambda: os.stat(f'{d}/private/f'), STRANGER))
    fails(errno.EACCES, lambda: child_raises(lambda: os.listdir(f'{d}/private'), STRANGER))
    fails(errno.EACCES, lambda: child_raises(lambda: read(f'{d}/f'), STRANGER))
    fails(errno.EACCES, lambda: child_raises(lambda: os.truncate(f'{d}/f', 0), STRANGER))
    fails(errno.EPERM, lambda: child_raises(lambda: os.chmod(f'{d}/f', 0o777), STRANGER))
    fails(errno.EPERM, lambda: child_raises(lambda: os.chown(f'{d}/f', STRANGER, -1), STRANGER))
    fails(errno.EACCES, lambda: child_raises(lambda: os.unlink(f'{d}/f'), STRANGER))
    os.mkdir(f'{d}/sticky')
    os.chmod(f'{d}/sticky', 0o1777)
    write(f'{d}/sticky/f')
    fails(errno.EPERM, lambda: child_raises(lambda: os.unlink(f'{d}/sticky/f'), STRANGER))
    fails(errno.EPERM, lambda: child_raises(lambda: os.rename(f'{d}/sticky/f', f'{d}/sticky/g'), STRANGER))
    write(f'{d}/wo', b'', 0o666)
    os.chmod(f'{d}/wo', 0o222)
    child(lambda: write(f'{d}/wo', b'blind'), STRANGER)
    assert read(f'{d}/wo') == b'blind'

    def unreadable():
        fd = os.open(f'{d}/own', os.O_CREAT | os.O_RDWR, 0)
        os.write(fd, b'mine')
        assert os.pread(fd, 4, 0) == b'mine'
        os.close(fd)

    os.chmod(d, 0o777)
    child(unreadable, STRANGER)
    assert mode(f'{d}/own') == 0


@check
def root_keeps_a_setgid_bit_without_group_execution(d):
    write(f'{d}/f')
    os.chown(f'{d}/f', STRANGER, STRANGER)
    os.chmod(f'{d}/f', 0o2644)
    fd = os.open(f'{d}/f', os.O_RDWR)
    os.ftruncate(fd, 5000)
    os.ftruncate(fd, 10)
    os.close(fd)
    assert mode(f'{d}/f') == 0o2644
    # Who does not own the file must not take its bits by chown to nobody, whether or not that fails.
    os.chmod(f'{d}/f', 0o6755)
    try:
        child_raises(lambda: os.chown(f'{d}/f', -1, -1), STRANGER + 1)
    except OSError as error:
        assert error.errno == errno.EPERM
    assert mode(f'{d}/f') == 0o6755
    # Anybody else takes it away, unless he is in the group; and it does not count who was served just before.
    def opened(action):
        def inside():
            fd = os.open(f'{d}/f', os.O_WRONLY)
            action(fd)
            os.close(fd)

        return inside

    os.chmod(d, 0o777)
    for name, change in {
        'truncate': lambda: os.truncate(f'{d}/f', 5),
        'write': opened(lambda fd: os.write(fd, b'y')),
        'fallocate': opened(lambda fd: fallocate(fd, 0, 0, 65536)),
    }.items():
        for gid, before, left in ((STRANGER + 1, STRANGER, 0o666), (STRANGER, STRANGER + 1, 0o2666)):
            os.chmod(f'{d}/f', 0o2666)
            child(lambda: write(f'{d}/{name}-{gid}'), STRANGER + 2, before)
            child(change, STRANGER + 1, gid)
            assert mode(f'{d}/f') == left, f'{name} by group {gid} left {oct(mode(f"{d}/f"))}'


@check
def times(d):
    write(f'{d}/f')
    os.utime(f'{d}/f', ns=(1_000_000_001, 2_000_000_002))
    info = os.stat(f'{d}/f')
    assert (info.st_atime_ns, info.st_mtime_ns) == (1_000_000_001, 2_000_000_002)
    os.utime(f'{d}/f', ns=(-5_000_000_000, -1))
    info = os.stat(f'{d}/f')
    assert (info.st_atime_ns, info.st_mtime_ns) == (-5_000_000_000, -1), (info.st_atime_ns, info.st_mtime_ns)
    os.utime(f'{d}/f')
    assert os.stat(f'{d}/f').st_mtime_ns > 1_500_000_000_000_000_000
    os.symlink('x', f'{d}/s')
    os.utime(f'{d}/s', ns=(3, 4), follow_symlinks=False)
    assert os.lstat(f'{d}/s').st_mtime_ns == 4
    os.utime(f'{d}/f', ns=(0, 0))
    fd = os.open(f'{d}/f', os.O_WRONLY)
    os.write(fd, b'now')
    os.close(fd)
    assert os.stat(f'{d}/f').st_mtime_ns > 1_500_000_000_000_000_000
    write(f'{d}/empty', b'')
    os.utime(f'{d}/empty', ns=(0, 0))
    os.close(os.open(f'{d}/empty', os.O_WRONLY | os.O_TRUNC))
    assert os.stat(f'{d}/empty').st_mtime_ns > 1_500_000_000_000_000_000
    os.utime(f'{d}/empty', ns=(0, 0))
    fd = os.open(f'{d}/empty', os.O_WRONLY)
    os.ftruncate(fd, 0)
    os.close(fd)
    assert os.stat(f'{d}/empty').st_mtime_ns > 1_500_000_000_000_000_000
    os.chmod(f'{d}/empty', 0o6777)
    child(lambda: os.close(os.open(f'{d}/empty', os.O_WRONLY | os.O_TRUNC)), STRANGER)
    assert mode(f'{d}/empty') == 0o777
    os.utime(d, ns=(0, 0))
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    os.listdir(fd)
    os.close(fd)
    assert os.stat(d).st_atime_ns == 0
    os.utime(d, ns=(0, 0))
    write(f'{d}/new')
    assert os.stat(d).st_mtime_ns > 1_500_000_000_000_000_000
    before = os.stat(f'{d}/f').st_ctime_ns
    os.chmod(f'{d}/f', 0o600)
    assert os.stat(f'{d}/f').st_ctime_ns >= before


@check
def shared_mappings(d):
    write(f'{d}/f', bytes(65536))
    fd = os.open(f'{d}/f', os.O_RDWR)
    mapping = mmap.mmap(fd, 65536)

    def other():
        fd = os.open(f'{d}/f', os.O_RDWR)
        second = mmap.mmap(fd, 65536)
        second[5000:5005] = b'hello'
        os.pwrite(fd, b'written', 9000)
        return bytes(second[100:103])

    mapping[100:103] = b'abc'
    assert child(other) == b'abc'
    assert mapping[5000:5005] == b'hello' and mapping[9000:9007] == b'written'
    assert os.pread(fd, 5, 5000) == b'hello'
    mapping[0:4] = b'done'
    mapping.flush()
    mapping.close()
    os.close(fd)
    assert read(f'{d}/f')[:4] == b'done' and os.stat(f'{d}/f').st_size == 65536


@check
def mappings_see_what_is_written(d):
    """By a descriptor that can only write, whose data need not go through the page cache."""
    write(f'{d}/f', bytes(65536))
    fd = os.open(f'{d}/f', os.O_RDWR)
    mapping = mmap.mmap(fd, 65536)
    private = mmap.mmap(fd, 65536, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    assert mapping[8000] == private[8000] == os.pread(fd, 1, 8000)[0] == 0
    for i in range(20):
        mapping[100 + i] = 65 + i
        writer = os.open(f'{d}/f', os.O_WRONLY)
        os.pwrite(writer, b'%03d' % i, 200 + 8 * i)
        os.pwrite(writer, b'%03d' % i * 3000, 20000)
        os.close(writer)
        assert mapping[200 + 8 * i : 203 + 8 * i] == b'%03d' % i
        assert private[20000:20003] == b'%03d' % i
        assert os.pread(fd, 3, 20000) == b'%03d' % i
    assert mapping[100:120] == bytes(range(65, 85)), 'what was stored beside it stays'
    appender = os.open(f'{d}/f', os.O_WRONLY | os.O_APPEND)
    os.write(appender, b'end')
    assert os.pread(fd, 10, 65536) == b'end' and os.fstat(fd).st_size == 65539
    mapping.close()
    private.close()
    assert read(f'{d}/f')[100:120] == bytes(range(65, 85))


@check
def programs_run(d):
    shutil.copy('/usr/bin/sleep', f'{d}/sleep')
    with open(f'{d}/script', 'w') as file:
        file.write('#!/bin/sh\necho "$1"\n')
    os.chmod(f'{d}/script', 0o755)
    assert subprocess.run([f'{d}/script', 'hi'], stdout=subprocess.PIPE, check=True).stdout == b'hi\n'
    running = subprocess.Popen([f'{d}/sleep', '30'])
    try:
        fails(errno.ETXTBSY, lambda: os.open(f'{d}/sleep', os.O_WRONLY))
        fails(errno.ETXTBSY, lambda: os.truncate(f'{d}/sleep', 0))
        os.unlink(f'{d}/sleep')
    finally:
        running.kill()
        running.wait()
    shutil.copy('/usr/bin/true', f'{d}/true')
    held = os.open(f'{d}/true', os.O_WRONLY)
    fails(errno.ETXTBSY, lambda: os.execv(f'{d}/true', ['true']))
    os.close(held)
    subprocess.run([f'{d}/true'], check=True)


@check
def appending_together(d):
    write(f'{d}/log', b'')

    def append(letter):
        def inside():
            fd = os.open(f'{d}/log', os.O_WRONLY | os.O_APPEND)
            for _ in range(200):
                os.write(fd, letter * 64)

        return inside

    pids = []
    for letter in (b'a', b'b', b'c'):
        pid = os.fork()
        if pid == 0:
            append(letter)()
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    content = read(f'{d}/log')
    assert len(content) == 3 * 200 * 64
    assert all(content[i:i + 64] == content[i:i + 1] * 64 for i in range(0, len(content), 64))


@check
def large_and_odd_transfers(d):
    content = os.urandom((5 << 20) + 12345)
    fd = os.open(f'{d}/f', os.O_RDWR | os.O_CREAT)
    assert os.write(fd, content) == len(content)
    assert os.pread(fd, len(content) + 100, 0) == content
    assert os.pread(fd, 70000, 4_999_999) == content[4_999_999:5_069_999]
    assert os.pread(fd, 10, len(content)) == b''
    os.pwrite(fd, b'beyond', len(content) + 100000)
    assert os.pread(fd, 100006, len(content)) == bytes(100000) + b'beyond'
    os.pwritev(fd, [b'one', b'two', b'three'], 7)
    assert os.pread(fd, 11, 7) == b'onetwothree'
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    directory = os.open(d, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    fd = os.open(f'{d}/sync', os.O_WRONLY | os.O_CREAT | os.O_SYNC)
    os.write(fd, b'safe')
    os.close(fd)
    assert read(f'{d}/sync') == b'safe'


@check
def direct_io(d):
    try:
        fd = os.open(f'{d}/f', os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    except OSError as error:
        assert error.errno == errno.EINVAL
        raise Skip('the backing file system has no direct I/O')
    buffer = mmap.mmap(-1, 1 << 16)
    buffer.write(os.urandom(1 << 16))
    os.writev(fd, [buffer])
    back = mmap.mmap(-1, 1 << 16)
    assert os.preadv(fd, [back], 0) == 1 << 16 and back[:] == buffer[:]
    os.close(fd)
    assert read(f'{d}/f') == buffer[:]


@check
def locks(d):
    write(f'{d}/f')
    fd = os.open(f'{d}/f', os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)

    def second():
        other = os.open(f'{d}/f', os.O_RDWR)
        fails(errno.EWOULDBLOCK, lambda: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB))
        fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)

    child(second)
    fcntl.flock(fd, fcntl.LOCK_UN)
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
    fails(errno.EACCES, lambda: child(lambda: None) or child_lock(f'{d}/f'))
    os.close(fd)


def child_lock(path):
    def inside():
        fd = os.open(path, os.O_RDWR)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
        except OSError as error:
            return error.errno
        return 0

    code = child(inside)
    if code != 0:
        raise OSError(errno.EACCES if code in (errno.EACCES, errno.EAGAIN) else code, '')


@check
def inode_flags(d):
    write(f'{d}/f')
    fd = os.open(f'{d}/f', os.O_RDONLY)
    value = bytearray(4)
    try:
        fcntl.ioctl(fd, 0x80086601, value)
    except OSError as error:
        assert error.errno in (errno.ENOTTY, errno.EOPNOTSUPP)
        raise Skip('the backing file system has no inode flags')
    finally:
        os.close(fd)
    if subprocess.run(['chattr', '+a', f'{d}/f'], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip('the backing file system has no append-only files')
    try:
        fails(errno.EPERM, lambda: os.open(f'{d}/f', os.O_WRONLY))
        fails(errno.EPERM, lambda: os.truncate(f'{d}/f', 0))
        fails(errno.EPERM, lambda: os.unlink(f'{d}/f'))
        fd = os.open(f'{d}/f', os.O_WRONLY | os.O_APPEND)
        os.write(fd, b'more')
        os.close(fd)
        assert read(f'{d}/f') == b'xmore'
    finally:
        subprocess.run(['chattr', '-a', f'{d}/f'], check=True)
    os.unlink(f'{d}/f')


@check
def polling_files(d):
    write(f'{d}/f')
    fd = os.open(f'{d}/f', os.O_RDWR)
    poller = select.poll()
    poller.register(fd, select.POLLIN | select.POLLOUT)
    assert poller.poll(1000) == [(fd, select.POLLIN | select.POLLOUT)]
    os.close(fd)


@check
def numbers_of_the_file_system(d):
    info = os.statvfs(d)
    assert info.f_namemax == 255 and info.f_blocks > 0 and info.f_bavail <= info.f_blocks


@check
def removing_large_files_gives_back_their_space(d):
    before = os.statvfs(d).f_bfree
    fd = os.open(f'{d}/big', os.O_RDWR | os.O_CREAT)
    fallocate(fd, 0, 0, 80 << 20)
    os.close(fd)
    os.unlink(f'{d}/big')
    os.sync()
    unit = os.statvfs(d).f_frsize
    for _ in range(100):
        left = (before - os.statvfs(d).f_bfree) * unit
        if left < 20 << 20:
            return
        select.select([], [], [], 0.05)
    raise AssertionError(f'{left} bytes are still taken')


@check
def names_that_appear_behind_the_mount(d):
    """A name that the kernel believes not to exist: what is there is not handed out unchecked."""
    if OPTIONS['backing'] is None:
        raise Skip('no way past the mount')
    behind = OPTIONS['backing'] + '/' + os.path.basename(d)
    os.chmod(d, 0o777)
    fails(errno.ENOENT, lambda: os.stat(f'{d}/secret'))
    write(f'{behind}/secret', b'root only', 0o600)
    create = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
    fails(errno.EACCES, lambda: child_raises(lambda: os.open(f'{d}/secret', create), STRANGER))
    assert read(f'{behind}/secret') == b'root only'
    fails(errno.ENOENT, lambda: os.stat(f'{d}/open'))
    write(f'{behind}/open', b'for all', 0o666)
    os.chmod(f'{behind}/open', 0o666)
    child(lambda: os.close(os.open(f'{d}/open', create)), STRANGER)
    assert os.stat(f'{behind}/open').st_size == 0 and os.stat(f'{behind}/open').st_uid == 0
    fails(errno.ENOENT, lambda: os.stat(f'{d}/exclusive'))
    write(f'{behind}/exclusive')
    fails(errno.EEXIST, lambda: os.open(f'{d}/exclusive', os.O_CREAT | os.O_EXCL | os.O_WRONLY))


@check
def files_that_change_behind_the_mount(d):
    if OPTIONS['backing'] is None:
        raise Skip('no way past the mount')
    behind = OPTIONS['backing'] + '/' + os.path.basename(d)
    write(f'{d}/f', b'first')
    write(f'{d}/g', b'other')
    os.rename(f'{behind}/f', f'{behind}/moved')
    os.rename(f'{behind}/g', f'{behind}/f')
    for _ in range(100):
        if os.path.exists(f'{d}/moved') and not os.path.exists(f'{d}/g') and read(f'{d}/f') == b'other':
            break
        select.select([], [], [], 0.05)
    assert (read(f'{d}/f'), read(f'{d}/moved')) == (b'other', b'first'), (read(f'{d}/f'), read(f'{d}/moved'))


def main(arguments):
    directory = os.path.abspath(arguments.pop(0))
    while arguments and arguments[0].startswith('--'):
        option = arguments.pop(0)
        if option == '--backing':
            OPTIONS['backing'] = os.path.abspath(arguments.pop(0))
        elif option == '--passthrough':
            OPTIONS['passthrough'] = True
        else:
            raise SystemExit(f'unknown option {option}')
    chosen = [function for function in CHECKS if not arguments or function.__name__ in arguments]
    if not chosen:
        raise SystemExit('no such check')
    signal.alarm(240)
    for function in chosen:
        name = function.__name__
        place = f'{directory}/{name}'
        os.mkdir(place)
        try:
            function(place)
            print(f'ok {name}', flush=True)
        except Skip as reason:
            print(f'skip {name}: {reason}', flush=True)
        except BaseException:
            text = ' | '.join(traceback.format_exc().strip().splitlines()[-6:])
            print(f'FAIL {name}: {text}', flush=True)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == '__main__':
    main(sys.argv[1:])
