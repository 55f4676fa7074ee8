"""Nobody gets further through a mount, or through its control directory, than the file system below lets him.

    rights.py HOLDFAST FILE_SYSTEM MOUNT BACKING [NAME ...]

HOLDFAST is the program; MOUNT shows BACKING, a directory of FILE_SYSTEM. Ordinary users are processes that have given
up being root. One line per claim: "ok CLAIM", "skip CLAIM: why", "FAIL CLAIM: what". Needs root, a mount namespace
of its own, and the unused uids 4001, 4002.
"""
import ctypes
import errno
import glob
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
from conformance import Skip, acl, call, child, fails, write, read, GROUP_OBJ, MASK, NOBODY, OTHER, USER, USER_OBJ  # noqa: E402

ALICE, BOB = 4001, 4002
SECRET = b'SECRET of root'
AT_EMPTY_PATH = 0x1000
CHECKS = []


class World:
    """Where the checks take place, and what must never be reached."""

    def __init__(self, holdfast, file_system, mount, backing):
        self.holdfast, self.file_system, self.mount, self.backing = holdfast, file_system, mount, backing
        self.outside = f'{file_system}/outside'
        os.mkdir(self.outside, 0o755)
        write(f'{self.outside}/secret', SECRET, 0o600)
        os.mkdir(f'{self.outside}/closed', 0o700)
        write(f'{self.outside}/closed/open', SECRET, 0o666)
        os.chmod(f'{self.outside}/closed/open', 0o666)
        os.chmod(mount, 0o755)

    def place(self, name, uid, mode=0o755):
        """A directory of this user's, on the mount; and the same past it."""
        os.mkdir(f'{self.mount}/{name}')
        os.chown(f'{self.mount}/{name}', uid, uid)
        os.chmod(f'{self.mount}/{name}', mode)
        return f'{self.mount}/{name}', f'{self.backing}/{name}'

    def assert_untouched(self):
        info = os.stat(f'{self.outside}/secret')
        assert (info.st_mode & 0o7777, info.st_uid, info.st_nlink) == (0o600, 0, 1), info
        assert read(f'{self.outside}/secret') == SECRET and os.listxattr(f'{self.outside}/secret') == []
        assert read(f'{self.outside}/closed/open') == SECRET
        assert sorted(os.listdir(self.outside)) == ['closed', 'secret']


def check(function):
    CHECKS.append(function)
    return function


def attempt(action, *arguments):
    try:
        return action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def open_read(path, flags=0):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | flags)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def rename_exchange(a, b):
    call('renameat2', -100, a.encode(), -100, b.encode(), 2)


@check
def symlinks_and_dots_lead_where_the_kernel_lets_them(world):
    place, behind = world.place('links', ALICE)

    def inside():
        os.chdir(place)
        os.symlink(f'{world.outside}/secret', 'absolute')
        os.symlink('../../outside/secret', 'relative')
        os.symlink(f'{world.outside}/closed/open', 'closed')
        os.symlink('../../outside/closed', 'directory')
        for name in ('absolute', 'relative', 'closed', 'directory/open', '../../outside/secret', f'{world.outside}/closed/open'):
            for action in (open_read, os.truncate, os.chmod, os.setxattr, os.stat, os.link):
                arguments = {os.truncate: (0,), os.chmod: (0o777,), os.setxattr: ('user.x', b''), os.link: ('new',)}
                if action is os.link and os.path.islink(name):
                    continue
                if action is os.stat and name in ('absolute', 'relative', '../../outside/secret'):
                    continue
                result = attempt(action, name, *arguments.get(action, ()))
                assert result in ('EACCES', 'EPERM', 'ENOENT', 'EXDEV'), (name, action.__name__, result)

    child(inside, ALICE)
    world.assert_untouched()


@check
def races_of_renames_reach_nothing_outside(world):
    """A file, a directory and symlinks to what is outside change places, on the mount and behind it, all the time."""
    place, behind = world.place('race', ALICE)
    for path, content in ((f'{place}/file', b'mine'), (f'{place}/other', b'mine')):
        write(path, content)
        os.chown(path, ALICE, ALICE)
    os.symlink(f'{world.outside}/secret', f'{place}/link')
    os.symlink(f'{world.outside}', f'{place}/out')
    os.mkdir(f'{place}/dir')
    os.mkdir(f'{place}/dir/deep')
    write(f'{place}/dir/secret', b'mine')
    for path in ('dir', 'dir/deep', 'dir/secret'):
        os.chown(f'{place}/{path}', ALICE, ALICE)
    end = time.monotonic() + 4

    def swap(root):
        def inside():
            while time.monotonic() < end:
                attempt(rename_exchange, f'{root}/file', f'{root}/link')
                attempt(rename_exchange, f'{root}/dir', f'{root}/out')
                attempt(os.rename, f'{root}/other', f'{root}/dir/other')
                attempt(os.rename, f'{root}/dir/other', f'{root}/other')

        return inside

    def use(kind):
        def inside():
            count = 0
            while time.monotonic() < end:
                count += 1
                for name in ('file', 'link', 'dir/secret', 'out/secret', 'other', 'dir/other'):
                    path = f'{place}/{name}'
                    if kind == 'read':
                        for flags in (0, os.O_NOFOLLOW):
                            found = attempt(open_read, path, flags)
                            assert found != SECRET, f'{name} gave the secret'
                    elif kind == 'change':
                        attempt(os.truncate, path, 4)
                        attempt(os.chmod, path, 0o666)
                        attempt(os.setxattr, path, 'user.x', b'x')
                        attempt(lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)))
                        attempt(os.utime, path, (1, 1))
                    else:
                        attempt(os.link, path, f'{place}/new{count}')
                        attempt(os.unlink, f'{place}/new{count}')
                        attempt(os.mkdir, f'{place}/out/made')
                        attempt(os.listxattr, path)
            return count

        return inside

    # Also as root, who may write to the secret: names must not be mistaken for what they were a moment ago.
    jobs = [swap(place), swap(behind), use('read'), use('change'), use('other')]
    pids = []
    for job in jobs:
        pid = os.fork()
        if pid == 0:
            try:
                child(job, ALICE)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * len(jobs), codes
    world.assert_untouched()


@check
def no_handles_for_ordinary_users(world):
    place, _ = world.place('handles', ALICE)
    write(f'{place}/closed', SECRET, 0o600)

    def reopen(path):
        handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
        mount_id = ctypes.c_int()
        call('name_to_handle_at', -100, path.encode(), handle, ctypes.byref(mount_id), 0)
        root = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        fd = call('open_by_handle_at', root, handle, os.O_RDONLY)
        return os.read(fd, 100)

    # With or without handles on FUSE, using one takes CAP_DAC_READ_SEARCH.
    for path in (f'{place}/closed', place, world.mount):
        assert child(lambda: attempt(reopen, path), ALICE) in ('EPERM', 'EOPNOTSUPP', 'ESTALE'), path


def engines(world):
    found = []
    for control in glob.glob('/run/holdfast/[0-9]*/version'):
        for line in read(control).decode().splitlines():
            if line.startswith('pid '):
                found.append(int(line.split()[1]))
    listed = subprocess.run([world.holdfast, 'status', '--json'], stdout=subprocess.PIPE, check=True, timeout=30).stdout
    found += [int(word) for word in listed.replace(b',', b' ').replace(b'"pid":', b' PID ').split() if word.isdigit() and os.path.exists(f'/proc/{int(word)}')]
    named = []
    for pid in sorted(set(found)):
        if b'holdfast' in attempt(read, f'/proc/{pid}/cmdline'):
            named.append(pid)
    assert named, listed
    return named


@check
def the_engine_is_no_way_in(world):
    """What the engine has open leads past the permissions of parent directories: /proc must not give it away."""
    found = engines(world)

    def inside():
        reached = []
        for pid in found:
            for name in ('root', 'cwd', 'exe'):
                if attempt(os.readlink, f'/proc/{pid}/{name}') not in ('EACCES', 'EPERM'):
                    reached.append(f'{pid}/{name}')
            for directory in ('fd', 'fdinfo', 'map_files', 'task'):
                listed = attempt(os.listdir, f'/proc/{pid}/{directory}')
                if directory != 'task' and listed not in ('EACCES', 'EPERM'):
                    reached.append(f'{pid}/{directory}: {listed}')
            for fd in range(64):
                if isinstance(attempt(os.open, f'/proc/{pid}/fd/{fd}', os.O_RDONLY | os.O_NONBLOCK), int):
                    reached.append(f'{pid}/fd/{fd}')
            for name in ('mem', 'environ', 'maps', 'syscall', 'stack'):
                if isinstance(attempt(open_read, f'/proc/{pid}/{name}'), bytes):
                    reached.append(f'{pid}/{name}')
            try:
                os.pidfd_open(pid)
                pidfd = os.pidfd_open(pid)
                for fd in range(64):
                    if ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, fd, 0) >= 0:
                        reached.append(f'pidfd_getfd {pid} {fd}')
            except OSError:
                pass
        return reached

    assert child(inside, ALICE) == []


@check
def run_opens_no_file_in_a_closed_directory(world):
    """The private mount of `run` is on a file that everybody could read, in a directory that nobody may enter."""
    closed = f'{world.file_system}/closed-run'
    os.mkdir(closed, 0o700)
    write(f'{closed}/file', SECRET, 0o666)
    os.chmod(f'{closed}/file', 0o666)
    running = subprocess.Popen([world.holdfast, 'run', f'{closed}/file', '--', 'sleep', '60'], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: f' {closed}/file ' in open('/proc/self/mounts').read())
        wait_until(lambda: b'sleep' in read(f'/proc/{running.pid}/cmdline'))

        def inside():
            assert attempt(open_read, f'{closed}/file') == 'EACCES'
            for entry in os.listdir('/proc'):
                if not entry.isdigit() or attempt(os.stat, f'/proc/{entry}') == 'ENOENT':
                    continue
                for way in [f'root{closed}/file', 'cwd', *(f'fd/{n}' for n in range(40))]:
                    found = attempt(open_read, f'/proc/{entry}/{way}')
                    assert found != SECRET, f'/proc/{entry}/{way}'
            for path in glob.glob('/run/holdfast/**', recursive=True):
                if os.path.isfile(path) and not path.endswith(('events', 'ctl')):
                    found = attempt(open_read, path)
                    assert found != SECRET and b'sleep' not in (found if isinstance(found, bytes) else b''), path

        child(inside, ALICE)
        entered = ['unshare', '-Urm', 'cat', f'{closed}/file']
        done = child(lambda: subprocess.run(entered, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout, ALICE)
        assert SECRET not in done, done
    finally:
        running.kill()
        running.wait()
        wait_until(lambda: f' {closed}/file ' not in open('/proc/self/mounts').read())


def wait_until(condition, limit_s=20):
    end = time.monotonic() + limit_s
    while not attempt(condition) is True:
        assert time.monotonic() < end, 'it does not come about'
        time.sleep(0.02)


@check
def the_control_directory_tells_nothing_of_others(world):
    """Bob holds a file in a directory of his own; Alice reads and asks all that there is."""
    place, _ = world.place('bobs-private-place', BOB, 0o700)
    visible, _ = world.place('bobs-open-place', BOB, 0o755)
    write(f'{place}/hidden-name', b'x', 0o644)
    write(f'{visible}/shown-name', b'x', 0o644)
    for path in (f'{place}/hidden-name', f'{visible}/shown-name'):
        os.chown(path, BOB, BOB)
    controls = [path.split('/')[3] for path in glob.glob('/run/holdfast/[0-9]*/events')]
    assert controls, 'no control directory'
    listeners = {}
    for number in controls:

        def listen(number=number):
            fd = os.open(f'/run/holdfast/{number}/events', os.O_RDONLY | os.O_NONBLOCK)
            time.sleep(3)
            text = b''
            while True:
                part = attempt(os.read, fd, 65536)
                if not isinstance(part, bytes) or part == b'':
                    return text
                text += part

        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writable, child(listen, ALICE))
            os._exit(0)
        os.close(writable)
        listeners[pid] = readable

    def hold(path):
        os.setgroups([])
        os.setresgid(BOB, BOB, BOB)
        os.setresuid(BOB, BOB, BOB)
        fd = os.open(path, os.O_RDWR)
        os.set_inheritable(fd, True)
        for number in controls:
            control = os.open(f'/run/holdfast/{number}/ctl', os.O_RDWR)
            if attempt(os.write, control, b'hold %d' % fd) == len(b'hold %d' % fd):
                os.execvp('sleep', ['sleep', '3777'])
        os._exit(1)

    holders = []
    for path in (f'{place}/hidden-name', f'{visible}/shown-name'):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            hold(path)
        holders.append(pid)
    try:
        for pid in holders:
            wait_until(lambda: b'3777' in read(f'/proc/{pid}/cmdline') and b'sleep' == read(f'/proc/{pid}/cmdline')[:5])
        everything = b''.join(read(f'/run/holdfast/{number}/report') for number in controls)
        assert b'hidden-name' in everything and b'shown-name' in everything, everything
        marks = [b'hidden-name', b'shown-name', b'bobs-private', b'bobs-open', b'3777', b'"uid":4002']
        marks += [b'%d' % pid for pid in holders]

        def inside():
            texts = {}
            for number in controls:
                root = f'/run/holdfast/{number}'
                for name in ('leases', 'report', 'version'):
                    texts[f'{number}/{name}'] = read(f'{root}/{name}')
                texts[f'{number}/pins'] = repr(os.listdir(f'{root}/pins')).encode()
                for pid in (*holders, 1, os.getpid()):
                    found = attempt(read, f'{root}/pins/{pid}')
                    assert found == 'ENOENT' or pid not in holders, (pid, found)
                    assert attempt(os.stat, f'{root}/pins/{pid}') == 'ENOENT' or pid not in holders, pid
                for line in ('break-time 1', f'expect {holders[0]}x', f'hold {holders[0]}', 'revoke 1', 'release-all'):
                    fd = os.open(f'{root}/ctl', os.O_RDWR)
                    result = attempt(os.write, fd, line.encode())
                    assert isinstance(result, str), (line, result)
                    texts[f'{number}/ctl {line}'] = os.read(fd, 1000).replace(line.encode(), b'').replace(line.split()[-1].encode(), b'')
                    os.close(fd)
            for argv in (['leases'], ['leases', '--json'], ['pins'], ['status'], ['status', '--json'], ['who', f'{place}/hidden-name'], ['who', f'{visible}/shown-name'], ['pins', str(holders[0])]):
                done = subprocess.run([world.holdfast, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
                text = done.stdout + done.stderr
                # What she has said herself is no news.
                for word in argv[1:]:
                    text = text.replace(word.encode(), b'').replace(os.path.basename(word).encode(), b'')
                # R4: whoever can open a file is told because of whom a change of it would fail, and no more.
                if argv == ['who', f'{visible}/shown-name']:
                    assert b'%d(sleep)' % holders[1] in text, text
                    text = text.replace(b'%d(sleep)' % holders[1], b'')
                texts[' '.join(argv)] = text
            return texts

        leaks = {name: text for name, text in child(inside, ALICE).items() if any(mark in text for mark in marks)}
        assert not leaks, leaks
    finally:
        for pid in holders:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        heard = b''
        for pid, readable in listeners.items():
            heard += os.read(readable, 1 << 16)
            os.close(readable)
            os.waitpid(pid, 0)
    assert not any(mark in heard for mark in marks), heard


def in_a_user_namespace(root):
    """What a user can do who is root in a user namespace of his own; the same natively and on the mount."""
    uid = os.getuid()
    # A process that gave up being root cannot be looked into by anybody, itself included, until it says otherwise.
    call('prctl', 4, 1, 0, 0, 0)
    call('unshare', 0x10000000)
    for name, text in (('setgroups', 'deny'), ('uid_map', f'0 {uid} 1'), ('gid_map', f'0 {uid} 1')):
        with open(f'/proc/self/{name}', 'w') as file:
            file.write(text)
    assert os.getuid() == 0
    os.chdir(root)
    capability = bytes.fromhex('0100000201000000000000000000000000000000')
    actions = (
        (open_read, 'of-root'), (os.chown, 'of-root', 0, 0), (os.chmod, 'of-root', 0o777), (os.chown, 'own', 0, 0),
        (os.chmod, 'own', 0o4755), (os.chmod, 'own', 0o2755), (lambda: os.stat('own').st_mode,),
        (lambda: os.stat('own').st_uid,), (lambda: os.stat('of-root').st_uid,), (os.mknod, 'null', 0o20666, 0x103),
        (os.mkfifo, 'fifo'), (os.setxattr, 'own', 'user.a', b'1'), (os.setxattr, 'own', 'trusted.a', b'1'),
        (os.setxattr, 'own', 'security.capability', capability), (os.rename, 'of-root', 'x'), (os.link, 'x', 'y'),
        (os.unlink, 'x'), (os.mkdir, 'dir'), (os.chown, 'dir', 1, 1), (lambda: write('new'),),
        (lambda: os.close(os.open('.', os.O_TMPFILE | os.O_RDWR)),), (os.listxattr, 'own'),
    )
    return [attempt(*action) for action in actions]


@check
def user_namespaces_give_nothing(world):
    place, _ = world.place('userns', ALICE, 0o755)
    native = f'{world.file_system}/userns-native'
    os.mkdir(native)
    os.chown(native, ALICE, ALICE)
    for root in (place, native):
        write(f'{root}/of-root', SECRET, 0o600)
        write(f'{root}/own', b'x', 0o644)
        os.chown(f'{root}/own', ALICE, ALICE)
    if child(lambda: attempt(call, 'unshare', 0x10000000), ALICE) != 0:
        raise Skip('ordinary users may not make user namespaces')
    expected = child(lambda: in_a_user_namespace(native), ALICE)
    found = child(lambda: in_a_user_namespace(place), ALICE)
    assert found == expected, f'{found} instead of {expected}'
    assert expected[0] == 'EACCES', expected
    kinds = [(oct(os.lstat(f'{root}/{name}').st_mode), os.lstat(f'{root}/{name}').st_uid) for root in (native, place) for name in sorted(os.listdir(root))]
    half = len(kinds) // 2
    assert kinds[:half] == kinds[half:], kinds


@check
def default_acls_take_the_place_of_the_umask(world):
    granted = acl((USER_OBJ, 7, NOBODY), (USER, 7, BOB), (GROUP_OBJ, 5, NOBODY), (MASK, 7, NOBODY), (OTHER, 0, NOBODY))
    place, _ = world.place('acl', ALICE)
    native = f'{world.file_system}/acl-native'
    os.mkdir(native)
    os.chown(native, ALICE, ALICE)
    results = []
    for root in (native, place):
        try:
            os.setxattr(root, 'system.posix_acl_default', granted)
        except OSError as error:
            raise Skip('the file system has no ACLs') from error

        def make():
            os.chdir(root)
            os.mkdir('dir', 0o777)
            os.close(os.open('file', os.O_CREAT | os.O_WRONLY, 0o666))
            os.close(os.open('private', os.O_CREAT | os.O_WRONLY, 0o600))
            os.mkfifo('fifo', 0o644)
            os.symlink('x', 'link')
            os.mkdir('dir/sub', 0o711)

        for umask in (0o077,):
            child(make, ALICE, umask=umask)
        seen = {}
        for name in ('dir', 'file', 'private', 'fifo', 'dir/sub'):
            seen[name] = (oct(os.stat(f'{root}/{name}').st_mode), {key: os.getxattr(f'{root}/{name}', key) for key in os.listxattr(f'{root}/{name}')})
        seen['bob'] = child(lambda: [attempt(lambda: write(f'{root}/{name}')) for name in ('file', 'private', 'dir/new')], BOB)
        results.append(seen)
    assert results[0] == results[1], results


def main(holdfast, file_system, mount, backing, *names):
    os.umask(0o022)
    world = World(holdfast, file_system, mount, backing)
    for function in CHECKS:
        name = function.__name__
        if names and name not in names:
            continue
        try:
            function(world)
            print(f'ok {name}', flush=True)
        except Skip as reason:
            print(f'skip {name}: {reason}', flush=True)
        except BaseException:
            text = ' | '.join(traceback.format_exc().strip().splitlines()[-6:])
            print(f'FAIL {name}: {text}', flush=True)
    shutil.rmtree(world.outside)


if __name__ == '__main__':
    main(*sys.argv[1:])
