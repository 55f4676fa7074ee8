"""What calls answer when the file system below fails, in a plain directory and on a mount of its twin.

    faults.py prepare DIRECTORY...
    faults.py calls [--only NAME|NAME...] DIRECTORY...
    faults.py served FAULTS DIRECTORY...

`prepare` makes the files that the calls are about. `calls` makes each call once in every directory and prints one line
for it: its name, then for each directory "ok", the name of an errno, or the signal that ended the process. A call that
succeeded is undone. `served` does the same with one fault after the other, which it writes to FAULTS for
serve-plain.js, and prints operation, errno and call in front. Nothing in a directory may be remembered from one call to the next: each opens what it needs.
"""
import ctypes
import errno
import mmap
import os
import signal
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
MIB = 1 << 20
PAGE = mmap.PAGESIZE
FILES = ('data', 'small', 'mapped', 'again')


def prepare(directory):
    os.makedirs(f'{directory}/sub/empty', exist_ok=True)
    for name in FILES:
        with open(f'{directory}/{name}', 'wb') as file:
            file.write(b'x' * (PAGE if name == 'small' else MIB))
            os.fsync(file.fileno())
    # A hole all over: whatever is written there needs blocks.
    with open(f'{directory}/hole', 'wb') as file:
        file.truncate(64 * MIB)
    os.symlink('data', f'{directory}/symlink')
    for name in ('gone', 'moved', 'sub/entry'):
        with open(f'{directory}/{name}', 'wb'):
            pass
    os.setxattr(f'{directory}/data', 'user.known', b'1')


class Opened:
    """A descriptor for one call."""

    def __init__(self, path, flags):
        self.fd = os.open(path, flags)

    def __enter__(self):
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


def write_at(path, flags, size, offset, then=None):
    with Opened(path, flags) as fd:
        done = 0
        while done < size:
            done += os.pwrite(fd, b'y' * (size - done), offset + done)
        if then is not None:
            then(fd)


def fill(directory):
    """Writes until there is no room, 128 MiB at most."""
    with Opened(f'{directory}/filler', os.O_WRONLY | os.O_CREAT) as fd:
        try:
            for _ in range(128):
                os.write(fd, bytes(MIB))
        finally:
            os.unlink(f'{directory}/filler')


def store(path, offset, then=None):
    """Stores a byte into a mapping; run in a process of its own, since it may end with SIGBUS."""
    with Opened(path, os.O_RDWR) as fd:
        mapping = mmap.mmap(fd, os.fstat(fd).st_size)
        mapping[offset] = 1
        if then is not None:
            then(mapping, fd)
        mapping.close()


def load(path):
    """Reads through a mapping what no cache has."""
    with Opened(path, os.O_RDONLY) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        mapping = mmap.mmap(fd, MIB, prot=mmap.PROT_READ)
        sum(mapping[0:MIB:PAGE])
        mapping.close()


def read(path, flags=0):
    with Opened(path, os.O_RDONLY | flags) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        buffer = mmap.mmap(-1, MIB)
        os.preadv(fd, [buffer], 0)


def on_fd(path, flags, call):
    with Opened(path, flags) as fd:
        call(fd)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'call')


def fallocate(path, mode, offset, length):
    on_fd(path, os.O_RDWR, lambda fd: check(
        libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length))))


def allocate(directory):
    path = f'{directory}/again'
    try:
        fallocate(path, 0, 0, 200 * MIB)
    finally:
        # What could be had stays allocated.
        os.truncate(path, 0)


def copy(directory):
    with Opened(f'{directory}/data', os.O_RDONLY) as source, Opened(f'{directory}/again', os.O_WRONLY) as target:
        os.copy_file_range(source, target, PAGE, 0, 0)


def make(path, call, undo=os.unlink):
    call(path)
    undo(path)


def rename(directory, new):
    os.rename(f'{directory}/moved', f'{directory}/{new}')
    os.rename(f'{directory}/{new}', f'{directory}/moved')


def unlink(path):
    os.unlink(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))


def rmdir(path):
    os.rmdir(path)
    os.mkdir(path)


def set_xattr(path, name, size):
    os.setxattr(path, name, b'v' * size)
    os.removexattr(path, name)


def remove_xattr(path):
    os.removexattr(path, 'user.known')
    os.setxattr(path, 'user.known', b'1')


def truncate(path, size):
    before = os.stat(path).st_size
    os.truncate(path, size)
    os.truncate(path, before)


CALLS = {
    'stat': lambda d: os.stat(f'{d}/data'),
    'stat of nothing': lambda d: os.stat(f'{d}/nothing'),
    'open to read': lambda d: os.close(os.open(f'{d}/data', os.O_RDONLY)),
    'open to write': lambda d: os.close(os.open(f'{d}/data', os.O_WRONLY)),
    'open and truncate': lambda d: os.close(os.open(f'{d}/again', os.O_WRONLY | os.O_TRUNC)),
    'read': lambda d: read(f'{d}/data'),
    'read directly': lambda d: read(f'{d}/data', os.O_DIRECT),
    'load from a mapping': lambda d: load(f'{d}/data'),
    'overwrite': lambda d: write_at(f'{d}/small', os.O_WRONLY, PAGE, 0),
    'overwrite, fsync': lambda d: write_at(f'{d}/small', os.O_WRONLY, PAGE, 0, os.fsync),
    'overwrite, fdatasync': lambda d: write_at(f'{d}/small', os.O_RDWR, PAGE, 0, os.fdatasync),
    'overwrite, O_SYNC': lambda d: write_at(f'{d}/small', os.O_WRONLY | os.O_SYNC, PAGE, 0),
    'write into a hole': lambda d: write_at(f'{d}/hole', os.O_WRONLY, 4 * MIB, 0, os.fsync),
    'write until it is full': fill,
    'store, msync': lambda d: store(f'{d}/mapped', PAGE, lambda mapping, _: mapping.flush()),
    'store, fsync': lambda d: store(f'{d}/mapped', PAGE, lambda _, fd: os.fsync(fd)),
    'store into a hole, msync': lambda d: store(f'{d}/hole', 32 * MIB, lambda mapping, _: mapping.flush()),
    'fsync': lambda d: on_fd(f'{d}/data', os.O_RDONLY, os.fsync),
    'fsync of a directory': lambda d: on_fd(d, os.O_RDONLY | os.O_DIRECTORY, os.fsync),
    'create': lambda d: make(f'{d}/new', lambda path: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))),
    'mkdir': lambda d: make(f'{d}/newdir', os.mkdir, os.rmdir),
    'mknod': lambda d: make(f'{d}/fifo', lambda path: os.mknod(path, stat.S_IFIFO | 0o600)),
    'symlink': lambda d: make(f'{d}/link', lambda path: os.symlink('t' * 200, path)),
    'link': lambda d: make(f'{d}/hard', lambda path: os.link(f'{d}/data', path)),
    'rename': lambda d: rename(d, 'moved2'),
    'rename to another directory': lambda d: rename(d, 'sub/moved'),
    'unlink': lambda d: unlink(f'{d}/gone'),
    'rmdir': lambda d: rmdir(f'{d}/sub/empty'),
    'setxattr': lambda d: set_xattr(f'{d}/data', 'user.new', 10),
    'setxattr, large': lambda d: set_xattr(f'{d}/small', 'user.large', 700),
    'getxattr': lambda d: os.getxattr(f'{d}/data', 'user.known'),
    'listxattr': lambda d: os.listxattr(f'{d}/data'),
    'removexattr': lambda d: remove_xattr(f'{d}/data'),
    'truncate': lambda d: truncate(f'{d}/again', 100),
    'truncate to grow': lambda d: truncate(f'{d}/again', 2 * MIB),
    'ftruncate': lambda d: on_fd(f'{d}/again', os.O_RDWR, lambda fd: os.ftruncate(fd, 0)),
    'fallocate': allocate,
    'punch a hole': lambda d: fallocate(f'{d}/data', 3, 0, PAGE),
    'zero a range': lambda d: fallocate(f'{d}/data', 16, 0, PAGE),
    'seek for data': lambda d: on_fd(f'{d}/data', os.O_RDONLY, lambda fd: os.lseek(fd, 0, os.SEEK_DATA)),
    'copy_file_range': copy,
    'readlink': lambda d: os.readlink(f'{d}/symlink'),
    'list': lambda d: os.listdir(f'{d}/sub'),
    'chmod': lambda d: os.chmod(f'{d}/data', 0o640),
    'chown': lambda d: os.chown(f'{d}/data', 0, 0),
    'utimens': lambda d: os.utime(f'{d}/data', ns=(5, 6)),
    'statfs': lambda d: os.statvfs(d),
}


# Which calls meet a fault of an operation of the file system that is served.
OPERATIONS = {
    'lookup': ['stat', 'open to read', 'rename', 'unlink', 'setxattr'],
    'getattr': ['stat'],
    'open': ['open to read', 'open to write', 'open and truncate'],
    'read': ['read', 'read directly', 'load from a mapping'],
    'write': ['overwrite', 'overwrite, O_SYNC', 'write into a hole'],
    'fsync': ['fsync', 'overwrite, fsync', 'overwrite, fdatasync', 'store, msync', 'store, fsync'],
    'create': ['create'],
    'mkdir': ['mkdir'],
    'mknod': ['mknod'],
    'symlink': ['symlink'],
    'link': ['link'],
    'rename': ['rename', 'rename to another directory'],
    'unlink': ['unlink'],
    'rmdir': ['rmdir'],
    'setxattr': ['setxattr'],
    'getxattr': ['getxattr'],
    'listxattr': ['listxattr'],
    'removexattr': ['removexattr'],
    'setattr': ['truncate', 'truncate to grow', 'ftruncate', 'chmod', 'chown', 'utimens'],
    'fallocate': ['punch a hole', 'zero a range'],
    'lseek': ['seek for data'],
    'copyFileRange': ['copy_file_range'],
    'readlink': ['readlink'],
    'opendir': ['list'],
    # The kernel takes either.
    'readdir|readdirplus': ['list'],
    'fsyncdir': ['fsync of a directory'],
    'statfs': ['statfs'],
}
ERRNOS = ('EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'ESTALE', 'EMFILE')


def served(faults, directories):
    for index, (operation, names) in enumerate(OPERATIONS.items()):
        # All of them for what meets them most; of the others each gets another.
        for name in ERRNOS if operation == 'write' else (ERRNOS[index % len(ERRNOS)],):
            for call in names:
                with open(faults, 'w') as file:
                    for one in operation.split('|'):
                        file.write(f'{one} {getattr(errno, name)}\n')
                found = [outcome(CALLS[call], directory) for directory in directories]
                with open(faults, 'w'):
                    pass
                print(f'{operation} {name}: {call}', *found, sep='\t', flush=True)


def outcome(call, directory):
    """Runs one call in a process of its own: it may be ended by a signal."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(20)
        text = 'ok'
        try:
            call(directory)
        except OSError as error:
            text = errno.errorcode.get(error.errno, str(error.errno))
        except BaseException as error:
            text = repr(error)
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    text = os.read(reader, 1000).decode()
    os.close(reader)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return text if code == 0 else signal.Signals(-code).name


def main(arguments):
    command = arguments.pop(0)
    only = None
    if arguments[0] == '--only':
        only = arguments[1].split('|')
        del arguments[:2]
    if command == 'prepare':
        for directory in arguments:
            prepare(directory)
        return
    if command == 'served':
        served(arguments[0], arguments[1:])
        return
    for name in only or CALLS:
        print(name, *(outcome(CALLS[name], directory) for directory in arguments), sep='\t', flush=True)


main(sys.argv[1:])
