"""While one process waits for the file system below, others are served.

    convoy.py MOUNT BACKING [KIND...]

MOUNT is a mount above a file system that serves BACKING and keeps waiting what BACKING.hold names, in the directory a
(test/support/holding.js). For each kind of operation one process does it in a and is held; before it is let go, another
process must get through everything that programs usually do, in b. Prints "ok KIND" or says what was wrong.
"""
import os
import sys
import time
import traceback

mount, backing = sys.argv[1:3]
kinds = sys.argv[3:]
PATIENCE_S = 30

# kind: what is held below, what is there before, what is done, what must be true afterwards. In `a`; h is open on f.
KINDS = {
    'lookup': ('lookup getattr', 'open("other", "w").close()', 'os.stat("other")', 'True'),
    'getattr': ('lookup getattr', '', 'again(lambda: os.fstat(h))', 'True'),
    'open for writing': ('open', '', 'os.close(os.open("f", os.O_WRONLY))', 'True'),
    'open that truncates': (
        'open setattr', '', 'os.close(os.open("f", os.O_WRONLY | os.O_TRUNC))', 'os.stat("f").st_size == 0'
    ),
    'create': ('create', '', 'os.close(os.open("new", os.O_CREAT | os.O_EXCL))', 'os.path.isfile("new")'),
    'mkdir': ('mkdir', '', 'os.mkdir("new")', 'os.path.isdir("new")'),
    'mknod': ('mknod', '', 'os.mkfifo("new")', 'os.path.exists("new")'),
    'symlink': ('symlink', '', 'os.symlink("f", "new")', 'os.readlink("new") == "f"'),
    'link': ('link', '', 'os.link("f", "new")', 'os.stat("f").st_nlink == 2'),
    'unlink': ('unlink', '', 'os.unlink("f")', 'not os.path.exists("f") and os.fstat(h).st_nlink == 0'),
    'rmdir': ('rmdir', 'os.mkdir("d")', 'os.rmdir("d")', 'not os.path.exists("d")'),
    'rename': ('rename', '', 'os.rename("f", "new")', 'os.path.isfile("new") and not os.path.exists("f")'),
    'rename onto a file': (
        'rename', 'open("new", "w").close()', 'os.rename("f", "new")', 'os.stat("new").st_size == 4'
    ),
    'chmod': ('setattr', '', 'os.chmod("f", 0o600)', 'os.stat("f").st_mode & 0o777 == 0o600'),
    'utimes': ('setattr', '', 'os.utime("f", (5, 7))', 'os.stat("f").st_mtime == 7'),
    'truncate': ('setattr', '', 'os.truncate("f", 1)', 'os.stat("f").st_size == 1'),
    'readdir': ('readdir readdirplus', '', 'os.listdir(".")', 'os.listdir(".") == ["f"]'),
    'opendir': ('opendir', '', 'os.listdir(".")', 'True'),
    'readlink': ('readlink', 'os.symlink("there", "l")', 'os.readlink("l")', 'os.readlink("l") == "there"'),
    'statfs': ('statfs', '', 'os.statvfs("f")', 'True'),
    'setxattr': ('setxattr', '', 'os.setxattr("f", "user.x", b"y")', 'os.getxattr("f", "user.x") == b"y"'),
    'getxattr': (
        'getxattr', 'os.setxattr("f", "user.x", b"y")', 'os.getxattr("f", "user.x")',
        'os.getxattr("f", "user.x") == b"y"'
    ),
    'listxattr': ('listxattr', '', 'os.listxattr("f")', 'True'),
    'removexattr': (
        'removexattr', 'os.setxattr("f", "user.x", b"y")', 'os.removexattr("f", "user.x")', 'os.listxattr("f") == []'
    ),
    'fsync': ('fsync', '', 'os.fsync(h)', 'True'),
    'fsync of a directory': ('fsyncdir', '', 'os.fsync(os.open(".", os.O_RDONLY))', 'True'),
    'fallocate': ('fallocate', '', 'os.posix_fallocate(h, 0, 9)', 'os.fstat(h).st_size == 9'),
    'lseek': ('lseek', '', 'os.lseek(h, 0, os.SEEK_DATA)', 'True'),
}



def others():
    assert os.stat('f').st_size == 4
    with open('f') as file:
        assert file.read() == 'text'
    with open('new', 'w') as file:
        file.write('more')
    with open('new') as file:
        assert file.read() == 'more'
    os.rename('new', 'newer')
    os.mkdir('d')
    assert sorted(os.listdir('.')) == ['d', 'f', 'newer'], os.listdir('.')
    os.chmod('newer', 0o600)
    os.truncate('newer', 1)
    os.unlink('newer')
    os.rmdir('d')


def hold(names):
    with open(f'{backing}.hold', 'w') as file:
        file.write(names)


def log():
    try:
        with open(f'{backing}.hold.log') as file:
            return file.read()
    except FileNotFoundError:
        return ''


def again(action):
    while os.path.getsize(f'{backing}.hold') > 0:
        action()


def start(directory, action):
    """A process that does something in a directory of the mount; `action` may wait for what it is given."""
    told, tell = os.pipe()
    says, say = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(told)
        os.close(say)
        return pid, tell, says
    code = 1
    try:
        os.close(tell)
        os.chdir(f'{mount}/{directory}')
        action(lambda: (os.write(say, b'x'), os.read(told, 1)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def act(kind):
    _, _, action, after = KINDS[kind]

    def steps(wait):
        names = {'os': os, 'h': os.open('f', os.O_RDWR), 'again': again}
        wait()
        exec(action, names)
        assert eval(after, names), after

    return steps


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f'{what}: not within {PATIENCE_S} s'
        time.sleep(0.005)


def ended(pid):
    found, status = os.waitpid(pid, os.WNOHANG)
    return None if found == 0 else (os.waitstatus_to_exitcode(status),)


def prepare(directory, before):
    """A fresh directory each time, made below the mount, so that nothing in it is remembered."""
    path = f'{backing}/{directory}'
    os.mkdir(path)
    with open(f'{path}/f', 'w') as file:
        file.write('text')
    os.chdir(path)
    exec(before, {'os': os})
    os.chdir('/')


def check(number, kind):
    held, before, _, _ = KINDS[kind]
    a, b = f'a/{number}', f'b{number}'
    prepare(a, before)
    prepare(b, '')
    actor, tell, says = start(a, act(kind))
    lines = len(log())
    # It is in its place, and has f open, before anything is held.
    os.read(says, 1)
    try:
        hold(held)
        os.write(tell, b'x')
        wait_for(f'{kind} is held', lambda: len(log()) > lines)
        other, _, _ = start(b, lambda _: others())
        try:
            code = wait_for('others are served', lambda: ended(other))
        except AssertionError:
            hold('')
            os.waitpid(other, 0)
            raise
        assert code == (0,), f'others ended with {code}'
        early = ended(actor)
        assert early is None, f'it ended with {early} before it was let go'
    finally:
        hold('')
    code = wait_for('it ends when it is let go', lambda: ended(actor))
    assert code == (0,), f'it ended with {code}'


os.mkdir(f'{backing}/a')
for number, kind in enumerate(kinds or KINDS):
    try:
        check(number, kind)
        print(f'ok {kind}', flush=True)
    except AssertionError as error:
        print(f'{kind}: {error}', flush=True)
