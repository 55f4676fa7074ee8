"""What changes past a mount look like on it, and how soon.

    coherence.py MOUNT OUTSIDE MODE [--passthrough] [--log FILE]

MOUNT shows what OUTSIDE is another way to. MODE is what the mount was given as --cache. Each check looks at something
through the mount, has another process change it in OUTSIDE, and looks again until it sees the change. One line per
check: "ok NAME: MILLISECONDS" or "FAIL NAME: what". A look that begins later after the change than MODE promises and does
not see it fails. With --log, a file that the mount was told to log requests to, also "requests NAME: COUNTS".
Needs root, and an unused uid 4001.
"""
import argparse
import errno
import mmap
import os
import re
import struct
import subprocess
import sys
import time

STRANGER = 4001
parser = argparse.ArgumentParser()
parser.add_argument('mount')
parser.add_argument('outside')
parser.add_argument('mode')
parser.add_argument('--passthrough', action='store_true')
parser.add_argument('--log')
options = parser.parse_args()

# Seconds after the change within which a look may still miss it. The kernel counts in ticks of at most 10 ms.
TICKS = 0.02
PROMISES = {
    'auto': {'path': 1 + TICKS, 'descriptor': 1 + TICKS},
    'strict': {'path': 0, 'descriptor': TICKS},
    'none': {'path': 0, 'descriptor': 0},
}
promise = PROMISES[options.mode]
LARGE_COUNT = 500
# A directory that changed less than two seconds ago is not kept.
SETTLED = 2.1
CHECKS = []


class Place:
    """A directory for one check, seen both ways."""

    def __init__(self, name):
        self.name = name
        self.inside = os.path.join(options.mount, name)
        self.outside = os.path.join(options.outside, name)
        os.mkdir(self.outside)
        self.looks = []
        self.script = ''
        self.kept = None

    def path(self, name):
        return os.path.join(self.inside, name)

    def write(self, name, text='before'):
        with open(os.path.join(self.outside, name), 'w') as file:
            file.write(text)
        return self.path(name)

    def change(self, script):
        self.script = script

    def look(self, kind, action, expected):
        """`kind`: does the look start from a path, or from a descriptor that is open already?"""
        self.looks.append((kind, action, expected))


def check(function):
    CHECKS.append(function)
    return function


def outcome(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]


def read(path):
    with open(path) as file:
        return file.read()


def try_as_stranger(path):
    """What open(2) says to a user who is nobody in particular."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            os.close(os.open(path, os.O_RDONLY))
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@check
def data_of_an_open_file(place):
    fd = os.open(place.write('file'), os.O_RDONLY)
    place.change('printf AFTERWARDS > file')
    place.look('descriptor', lambda: os.pread(fd, 100, 0), b'AFTERWARDS')


@check
def data_of_the_same_length_of_an_open_file(place):
    fd = os.open(place.write('file'), os.O_RDONLY)
    place.change('printf BEHIND | dd of=file conv=notrunc status=none')
    place.look('descriptor', lambda: os.pread(fd, 100, 0), b'BEHIND')


@check
def data_of_a_file_that_is_opened_anew(place):
    path = place.write('file')
    place.change('printf BEHIND | dd of=file conv=notrunc status=none')
    place.look('path', lambda: read(path), 'BEHIND')


@check
def data_of_a_mapping(place):
    path = place.write('file')
    fd = os.open(path, os.O_RDONLY)
    mapping = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    place.change('printf BEHIND | dd of=file conv=notrunc status=none')

    def look():
        if not options.passthrough:
            # The pages go when somebody finds the file changed: that takes a look at the file.
            os.pread(fd, 1, 0) if options.mode != 'none' else read(path)
        return mapping[0:6]

    if options.mode != 'none' or options.passthrough:
        place.look('descriptor', look, b'BEHIND')


@check
def data_through_a_hard_link_elsewhere(place):
    path = place.write('file')
    place.change('ln file "$ELSEWHERE/link" && printf BEHIND > "$ELSEWHERE/link"; rm "$ELSEWHERE/link"')
    place.look('path', lambda: read(path), 'BEHIND')


@check
def size(place):
    path = place.write('file')
    fd = os.open(path, os.O_RDONLY)
    place.change('truncate -s 1234567 file')
    place.look('path', lambda: os.stat(path).st_size, 1234567)
    place.look('descriptor', lambda: os.fstat(fd).st_size, 1234567)
    place.look('descriptor', lambda: os.lseek(fd, 0, os.SEEK_END), 1234567)


@check
def times(place):
    path = place.write('file')
    fd = os.open(path, os.O_RDONLY)
    place.change('touch -d @1000000000 file')
    place.look('path', lambda: os.stat(path).st_mtime, 1e9)
    place.look('descriptor', lambda: os.fstat(fd).st_mtime, 1e9)


@check
def mode_and_owner(place):
    path = place.write('file')
    fd = os.open(path, os.O_RDONLY)
    place.change('chmod 640 file; chown 12:34 file')
    what = lambda stat: (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)
    place.look('path', lambda: what(os.stat(path)), (0o640, 12, 34))
    place.look('descriptor', lambda: what(os.fstat(fd)), (0o640, 12, 34))


@check
def permission_on_a_directory(place):
    os.mkdir(os.path.join(place.outside, 'dir'), 0o755)
    path = place.write('dir/file')
    place.change('chmod 700 dir')
    place.look('path', lambda: try_as_stranger(path), errno.EACCES)


@check
def permission_by_an_acl(place):
    path = place.write('file')
    entry = lambda tag, perm, who=0xffffffff: struct.pack('<HHI', tag, perm, who)
    acl = struct.pack('<I', 2) + entry(1, 6) + entry(2, 0, STRANGER) + entry(4, 4) + entry(16, 4) + entry(32, 4)
    code = f'import os; os.setxattr("file", "system.posix_acl_access", bytes.fromhex("{acl.hex()}"))'
    place.change(f"$PYTHON -c '{code}'")
    place.look('path', lambda: try_as_stranger(path), errno.EACCES)
    place.look('path', lambda: outcome(lambda: os.getxattr(path, 'system.posix_acl_access')), acl)


@check
def extended_attributes(place):
    path = place.write('file')
    os.setxattr(os.path.join(place.outside, 'file'), 'user.gone', b'x')
    place.change("$PYTHON -c 'import os; os.setxattr(\"file\", \"user.new\", b\"y\"); os.removexattr(\"file\", \"user.gone\")'")
    place.look('path', lambda: outcome(lambda: os.getxattr(path, 'user.new')), b'y')
    place.look('path', lambda: outcome(lambda: os.getxattr(path, 'user.gone')), 'ENODATA')
    place.look('path', lambda: os.listxattr(path), ['user.new'])


@check
def a_new_name(place):
    path = place.path('file')
    place.change('printf new > file')
    place.look('path', lambda: outcome(lambda: read(path)), 'new')
    place.look('path', lambda: os.listdir(place.inside), ['file'])


@check
def a_name_that_is_removed(place):
    path = place.write('file')
    place.change('rm file')
    place.look('path', lambda: outcome(lambda: read(path)), 'ENOENT')
    place.look('path', lambda: os.listdir(place.inside), [])


@check
def a_name_that_is_taken(place):
    """O_CREAT | O_EXCL, which the kernel does not ask for where it believes the name to be there or not."""
    path = place.path('file')
    place.change('printf theirs > file')
    outside = os.path.join(place.outside, 'file')

    def look():
        if not os.path.exists(outside):
            return os.stat(path)
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)

    place.look('path', look, 'EEXIST')


def large(place):
    """Names of a directory that comes in several parts, and that the kernel may keep: it has been as it is for a while."""
    for number in range(LARGE_COUNT):
        place.write(f'{number:060}')
    place.write('old-one')
    place.kept = place.inside
    return place.inside


@check
def a_name_more_in_a_large_directory(place):
    path = large(place)
    fd = os.open(path, os.O_RDONLY)
    place.change('touch new')
    place.look('path', lambda: len(os.listdir(path)), LARGE_COUNT + 2)
    place.look('descriptor', lambda: len(os.listdir(fd)), LARGE_COUNT + 2)


@check
def a_name_less_in_a_large_directory_whose_time_is_set_back(place):
    path = large(place)
    place.change('touch -r . ../stamp; rm old-one; touch -r ../stamp .; rm ../stamp')
    place.look('path', lambda: len(os.listdir(path)), LARGE_COUNT)


@check
def a_directory_that_is_renamed(place):
    os.mkdir(os.path.join(place.outside, 'old'))
    path = place.write('old/file')
    place.change('mv old new')
    place.look('path', lambda: outcome(lambda: read(path)), 'ENOENT')
    place.look('path', lambda: outcome(lambda: read(place.path('new/file'))), 'before')


@check
def a_file_that_is_replaced(place):
    path = place.write('file')
    place.write('tmp', 'another')
    inode = os.stat(os.path.join(place.outside, 'tmp')).st_ino
    place.change('mv tmp file')
    place.look('path', lambda: read(path), 'another')
    place.look('path', lambda: os.stat(path).st_ino, inode)


@check
def a_file_that_becomes_a_directory(place):
    path = place.write('file')
    place.change('rm file; mkdir file; touch file/below')
    place.look('path', lambda: outcome(lambda: os.listdir(path)), ['below'])


@check
def the_target_of_a_symlink(place):
    os.symlink('one', os.path.join(place.outside, 'link'))
    path = place.path('link')
    place.change('ln -sfn two link')
    place.look('path', lambda: os.readlink(path), 'two')


@check
def the_number_of_links(place):
    path = place.write('file')
    place.change('ln file other')
    place.look('path', lambda: os.stat(path).st_nlink, 2)


def run(place):
    # Beside what is shown, if that is on the same file system.
    beside = os.path.dirname(os.path.normpath(options.outside))
    is_same = os.stat(beside).st_dev == os.stat(options.outside).st_dev
    elsewhere = beside if is_same else options.outside
    env = {**os.environ, 'ELSEWHERE': elsewhere, 'PYTHON': sys.executable}
    subprocess.run(['sh', '-ec', place.script], cwd=place.outside, check=True, env=env)
    return time.monotonic()


def main():
    places = []
    for function in CHECKS:
        place = Place(function.__name__)
        function(place)
        places.append(place)
    time.sleep(SETTLED)
    for place in places:
        for _ in range(3 if place.kept else 0):
            os.listdir(place.kept)
    waiting = []
    for place in places:
        # What the kernel is to forget must be what it has just been told.
        for kind, look, expected in place.looks:
            assert outcome(look) != expected, f'{place.name}: seen before it was changed'
        changed_at = run(place)
        for number, (kind, look, expected) in enumerate(place.looks):
            waiting.append((f'{place.name}-{number}', kind, look, expected, changed_at))
        waiting = [one for one in waiting if not seen(*one)]
    while waiting:
        waiting = [one for one in waiting if not seen(*one)]
        time.sleep(0.002)


def seen(name, kind, look, expected, changed_at):
    """Looks once. @returns whether the matter is settled."""
    began = time.monotonic() - changed_at
    found = outcome(look)
    if found == expected:
        print(f'ok {name}: {began * 1000:.0f}')
        return True
    if began > promise[kind]:
        print(f'FAIL {name}: {found!r} instead of {expected!r} after {began:.3f} s')
        return True
    return False


def appending():
    """Two who append, one past the mount: neither may overwrite what the other has written."""
    place = Place('appending')
    path = place.write('log', '')
    expected = b''
    for flags in (os.O_WRONLY, os.O_RDWR):
        fd = os.open(path, flags | os.O_APPEND)
        for number in range(3):
            os.write(fd, b'inside\n')
            subprocess.run(['sh', '-c', 'echo outside >> log'], cwd=place.outside, check=True)
            expected += b'inside\noutside\n'
    with open(os.path.join(place.outside, 'log'), 'rb') as file:
        found = file.read()
    print('ok appending: 0' if found == expected else f'FAIL appending: {found!r}')


def same_time_and_size():
    """Only who believes nothing notices a change that leaves size and modification time as they were."""
    place = Place('same_time_and_size')
    fd = os.open(place.write('file'), os.O_RDONLY)
    assert os.pread(fd, 100, 0) == b'before'
    script = 'touch -r file ref; printf BEHIND | dd of=file conv=notrunc status=none; touch -r ref file'
    subprocess.run(['sh', '-ec', script], cwd=place.outside, check=True)
    found = os.pread(fd, 100, 0)
    print('ok same_time_and_size: 0' if found == b'BEHIND' else f'FAIL same_time_and_size: {found!r}')


def requests(many):
    """What looking at the same things again asks of the engine."""
    place = Place('requests')
    os.makedirs(os.path.join(place.outside, 'a/b'))
    path = place.write('a/b/file', 'x' * 8192)
    missing = place.path('a/b/missing')
    for _ in range(2):
        os.listdir(many)
    fd = os.open(path, os.O_RDONLY)
    actions = {
        'stat': lambda: os.stat(path),
        'missing': lambda: outcome(lambda: os.stat(missing)),
        'fstat': lambda: os.fstat(fd),
        'read': lambda: os.pread(fd, 4096, 0),
        'open': lambda: os.close(os.open(path, os.O_RDONLY)),
        'list': lambda: os.listdir(many),
    }
    for name, action in actions.items():
        # The machine may be busy, and what the kernel remembers of other directories may end meanwhile.
        tries = []
        for _ in range(5):
            action()
            # A call must not live on what the one before it has just been told.
            time.sleep(TICKS + 0.005)
            before = os.path.getsize(options.log)
            action()
            with open(options.log) as log:
                log.seek(before)
                names = re.findall(r'^rx [^:]*: ([A-Z_]+)', log.read(), re.M)
            tries.append([one for one in names if one not in ('RELEASE', 'RELEASEDIR', 'FORGET', 'BATCH_FORGET')])
        asked = min(tries, key=len)
        counts = [f'{asked.count(one)} {one}' for one in sorted(set(asked))]
        print(f'requests {name}: {", ".join(counts) or "none"}')


# Made first, so that it has settled when it is its turn.
many = large(Place('requests_of_a_listing')) if options.log else None
main()
appending()
if options.mode == 'none' or options.passthrough:
    same_time_and_size()
if many is not None:
    requests(many)
