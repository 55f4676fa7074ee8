"""Where the directory below is read-only, nosuid, nodev or noexec, the mount is so, too.

    restrictions.py HOLDFAST FILE_SYSTEM DIRECTORY

HOLDFAST is the program, FILE_SYSTEM a mountpoint that may be remounted, DIRECTORY a new directory of it. What
programs meet is noted on the directory itself, then on a Holdfast mount of it, and must be the same. One line per
claim: "ok CLAIM", "FAIL CLAIM: what". Needs root and a mount namespace of its own.
"""
import errno
import mmap
import os
import shutil
import stat
import subprocess
import sys
import traceback

sys.dont_write_bytecode = True
import trees  # noqa: E402

FLAGS = ('ro', 'nosuid', 'nodev', 'noexec')
OWNER = 4001


def command(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 0, f'{argv}: {done.stderr!r}'
    return done.stdout


def make(root):
    os.makedirs(f'{root}/directory')
    with open(f'{root}/file', 'w') as file:
        file.write('content')
    with open(f'{root}/script', 'w') as file:
        file.write('#!/bin/sh\nexit 7\n')
    os.chmod(f'{root}/script', 0o755)
    shutil.copy(shutil.which('id'), f'{root}/setuid')
    os.chown(f'{root}/setuid', OWNER, OWNER)
    os.chmod(f'{root}/setuid', 0o4755)
    os.mknod(f'{root}/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.symlink('file', f'{root}/symlink')


def outcome(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]


def there_and_back(root, do, *undo):
    def action():
        do(root)
        for step in undo:
            step(root)
        return 'done'

    return outcome(action)


def writing(root):
    """What becomes of everything that writes; where it works it is undone."""
    def overwrite(path):
        with open(f'{path}/file', 'r+') as file:
            file.write('content')

    def create(path):
        os.close(os.open(f'{path}/new', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    remove = lambda path: os.unlink(f'{path}/new')
    attempts = {
        'overwrite': (overwrite,),
        'truncate': (lambda path: os.truncate(f'{path}/file', 7),),
        'create': (create, remove),
        'mkdir': (lambda path: os.mkdir(f'{path}/new'), lambda path: os.rmdir(f'{path}/new')),
        'mknod': (lambda path: os.mkfifo(f'{path}/new'), remove),
        'symlink': (lambda path: os.symlink('x', f'{path}/new'), remove),
        'link': (lambda path: os.link(f'{path}/file', f'{path}/new'), remove),
        'rename': (
            lambda path: os.rename(f'{path}/file', f'{path}/new'),
            lambda path: os.rename(f'{path}/new', f'{path}/file'),
        ),
        'chmod': (lambda path: os.chmod(f'{path}/file', 0o644),),
        'chown': (lambda path: os.chown(f'{path}/file', 0, 0),),
        'utime': (lambda path: os.utime(f'{path}/file', (1, 1)),),
        'setxattr': (
            lambda path: os.setxattr(f'{path}/file', 'user.x', b'x'),
            lambda path: os.removexattr(f'{path}/file', 'user.x'),
        ),
        'access': (lambda path: None if os.access(f'{path}/file', os.W_OK) else os.open(f'{path}/file', os.O_WRONLY),),
    }
    seen = {name: there_and_back(root, *steps) for name, steps in attempts.items()}
    # Those two remove something when they work: only tried where nothing can be written.
    if seen['create'] != 'done':
        seen['unlink'] = outcome(lambda: os.unlink(f'{root}/symlink'))
        seen['rmdir'] = outcome(lambda: os.rmdir(f'{root}/directory'))
    return seen


def running(root):
    """What becomes of a setuid program, a script, a mapped program and a device."""
    def map_program():
        with open(f'{root}/setuid', 'rb') as file:
            mmap.mmap(file.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
        return 'mapped'

    def read_device():
        with open(f'{root}/null', 'rb') as file:
            return file.read()

    return {
        'setuid': outcome(lambda: int(command(f'{root}/setuid', '-u'))),
        'script': outcome(lambda: subprocess.run([f'{root}/script']).returncode),
        'mapped': outcome(map_program),
        'device': outcome(read_device),
    }


def flags_in_proc(mountpoint):
    with open('/proc/self/mounts') as lines:
        found = [line.split(' ')[3].split(',') for line in lines if line.split(' ')[1] == mountpoint]
    return {flag for flag in FLAGS if flag in found[-1]}


def observe(root):
    bits = os.statvfs(root).f_flag & (os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)
    return {'tree': trees.manifest(root, False), 'statvfs': bits, **writing(root), **running(root)}


def equal(native, shown):
    differing = {name: (native[name], shown[name]) for name in native if native[name] != shown.get(name)}
    assert not differing, f'(directory, mount): {differing!r}'


def expect_flags(seen, flags):
    """That the directory itself behaves as its flags say: else nothing was tested."""
    noexec = 'noexec' in flags
    wanted = {
        'create': 'EROFS' if 'ro' in flags else 'done',
        'script': 'EACCES' if noexec else 7,
        'mapped': 'EPERM' if noexec else 'mapped',
        'setuid': 'EACCES' if noexec else 0 if 'nosuid' in flags else OWNER,
        'device': 'EACCES' if 'nodev' in flags else b'',
    }
    found = {name: seen[name] for name in wanted}
    assert found == wanted, found


def carried_over(holdfast, backing, place, flags):
    command('mount', '--bind', backing, backing)
    try:
        command('mount', '-o', ','.join(('remount', 'bind', *flags)), backing)
        native = observe(backing)
        expect_flags(native, flags)
        command(holdfast, 'mount', backing, *([] if place == backing else [place]))
        try:
            assert flags_in_proc(place) == set(flags), flags_in_proc(place)
            equal(native, observe(place))
        finally:
            command(holdfast, 'umount', place)
        equal(native, observe(backing))
    finally:
        command('umount', backing)


def remounted(holdfast, file_system, backing, place):
    command(holdfast, 'mount', backing, place)
    try:
        before = observe(place)
        expect_flags(before, ())
        command('mount', '-o', 'remount,ro', file_system)
        try:
            native, shown = writing(backing), writing(place)
            # access(2) is answered by the kernel from the flags of the mount and of FUSE, which nobody changed.
            assert native.pop('access') == 'EROFS' and shown.pop('access') == 'done'
            equal(native, shown)
            assert set(shown.values()) == {'EROFS'}, shown
            assert trees.manifest(place, False) == before['tree']
        finally:
            command('mount', '-o', 'remount,rw', file_system)
        equal(before, observe(place))
    finally:
        command(holdfast, 'umount', place)


def mount_remounted(holdfast, backing, place):
    """The restriction is put on the Holdfast mount itself, as who mounts over a directory will do."""
    command(holdfast, 'mount', backing, place)
    try:
        command('mount', '-i', '-o', 'remount,bind,ro,nosuid', place)
        seen = observe(place)
        expect_flags(seen, ('ro', 'nosuid'))
        assert flags_in_proc(place) == {'ro', 'nosuid'}
        command('mount', '-i', '-o', 'remount,bind,rw,suid', place)
        expect_flags(observe(place), ())
    finally:
        command(holdfast, 'umount', place)


def main(holdfast, file_system, directory):
    os.umask(0o022)
    backing, place = f'{directory}/backing', f'{directory}/place'
    make(backing)
    os.mkdir(place)
    claims = {f'{flag} is carried over': (carried_over, backing, place, (flag,)) for flag in FLAGS}
    claims['all four are carried over, over the directory itself'] = (carried_over, backing, backing, FLAGS)
    claims['nothing is added to a mount without'] = (carried_over, backing, backing, ())
    claims['remounting the file system read-only is felt'] = (remounted, file_system, backing, place)
    claims['the mount itself can be remounted'] = (mount_remounted, backing, place)
    for claim, (check, *arguments) in claims.items():
        try:
            check(holdfast, *arguments)
            print(f'ok {claim}', flush=True)
        except Exception:
            text = ' | '.join(traceback.format_exc().strip().splitlines()[-4:])
            print(f'FAIL {claim}: {text}', flush=True)
    shutil.rmtree(directory)


if __name__ == '__main__':
    main(*sys.argv[1:])
