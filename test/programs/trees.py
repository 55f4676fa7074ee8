"""Ordinary programs leave the same tree on a mount as on a plain directory.

    trees.py PLAIN MOUNT [--backing DIRECTORY] [NAME ...]

PLAIN and MOUNT are directories of the same file system, the second one through a mount. Each scenario runs in a new
directory of each; then contents, types, modes, owners, times, link groups, holes and extended attributes are
compared, and what the scenario printed. One line per scenario: "ok NAME", "skip NAME: why", "FAIL NAME: what".
As root; an ordinary user makes the same tree without what only root may make, and without a file nobody can read.
"""
import hashlib
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import traceback

SCENARIOS = []
IS_ROOT = os.geteuid() == 0
ENVIRONMENT = {
    'PATH': os.environ['PATH'],
    'HOME': '/nonexistent',
    'LC_ALL': 'C',
    'GIT_AUTHOR_NAME': 'a',
    'GIT_AUTHOR_EMAIL': 'a@example.org',
    'GIT_COMMITTER_NAME': 'a',
    'GIT_COMMITTER_EMAIL': 'a@example.org',
    'GIT_AUTHOR_DATE': '1700000000 +0000',
    'GIT_COMMITTER_DATE': '1700000000 +0000',
    'GIT_CONFIG_NOSYSTEM': '1',
    'npm_config_cache': '/nonexistent-npm-cache',
    'npm_config_update_notifier': 'false',
}


class Skip(Exception):
    pass


def scenario(times=False, needs=()):
    def register(function):
        function.times = times
        function.needs = needs
        SCENARIOS.append(function)
        return function

    return register


def sh(script, cwd, **variables):
    done = subprocess.run(
        ['sh', '-ec', script],
        cwd=cwd,
        env={**ENVIRONMENT, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=100,
    )
    if done.returncode != 0:
        raise AssertionError(f'exit code {done.returncode}: {done.stderr[-1500:]!r} {done.stdout[-500:]!r}')
    return done.stdout


def manifest(root, times):
    """One line per file, with everything that a backup would want to keep."""
    root = os.fsencode(root)
    lines = []
    groups = {}
    for directory, directories, files in os.walk(root):
        for name in sorted(directories + files) if directory != root else [b'.'] + sorted(directories + files):
            path = os.path.join(directory, name)
            info = os.lstat(path)
            shown = os.path.relpath(path, root)
            line = [shown, oct(info.st_mode), info.st_uid, info.st_gid]
            if not stat.S_ISDIR(info.st_mode):
                line += [info.st_nlink, info.st_size]
            if times and name != b'.':
                line.append(info.st_mtime_ns)
            if stat.S_ISLNK(info.st_mode):
                line.append(os.readlink(path))
            if stat.S_ISREG(info.st_mode):
                with open(path, 'rb') as file:
                    line.append(hashlib.sha256(file.read()).hexdigest())
                if info.st_size > 1 << 20:
                    line.append('holes' if info.st_blocks * 512 < info.st_size * 0.9 else 'full')
            if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
                line.append(info.st_rdev)
            for attribute in sorted(os.listxattr(path, follow_symlinks=False)):
                line.append((attribute, os.getxattr(path, attribute, follow_symlinks=False)))
            if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
                groups.setdefault(info.st_ino, []).append(shown)
            lines.append(repr(line))
    lines += [f'one file: {sorted(names)!r}' for names in groups.values()]
    return sorted(lines)


def make_source(root):
    """A tree with something of everything."""
    os.makedirs(f'{root}/a/b/c')
    for i in range(400):
        directory = f'{root}/many/{i % 20}'
        os.makedirs(directory, exist_ok=True)
        with open(f'{directory}/{i}', 'wb') as file:
            file.write(hashlib.sha256(b'%d' % i).digest() * (i % 90))
    with open(f'{root}/a/large', 'wb') as file:
        for i in range(40):
            file.write(hashlib.sha512(b'%d' % i).digest() * 2048)
    with open(f'{root}/sparse', 'wb') as file:
        file.truncate(32 << 20)
        file.seek(9 << 20)
        file.write(b'in the middle')
    os.link(f'{root}/a/large', f'{root}/a/b/link')
    os.link(f'{root}/a/large', f'{root}/link')
    os.symlink('../nowhere', f'{root}/a/dangling')
    os.symlink('large', f'{root}/a/symlink')
    os.link(f'{root}/a/symlink', f'{root}/a/symlink-again', follow_symlinks=False)
    os.mkfifo(f'{root}/fifo', 0o640)
    if IS_ROOT:
        os.mknod(f'{root}/device', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with open(os.fsencode(root) + b'/not \xff utf-8\n', 'wb') as file:
        file.write(b'name')
    os.mkdir(f'{root}/empty')
    modes = {'setuid': 0o4755, 'setgid': 0o2755, 'nobody': 0o000 if IS_ROOT else 0o400, 'all': 0o777}
    for name, mode in modes.items():
        with open(f'{root}/{name}', 'w') as file:
            file.write(name)
        if IS_ROOT:
            os.chown(f'{root}/{name}', 4001 + len(name), 4002)
        os.chmod(f'{root}/{name}', mode)
    os.mkdir(f'{root}/shared')
    if IS_ROOT:
        os.chown(f'{root}/shared', 0, 4010)
        os.lchown(f'{root}/a/dangling', 4001, 4002)
    os.chmod(f'{root}/shared', 0o3775)
    os.setxattr(f'{root}/all', 'user.colour', b'blue\0green')
    os.setxattr(f'{root}/a', 'user.directory', b'yes')
    if IS_ROOT:
        os.setxattr(f'{root}/all', 'trusted.secret', b'1')
    try:
        os.setxattr(
            f'{root}/all',
            'system.posix_acl_access',
            struct.pack('<I', 2)
            + b''.join(
                struct.pack('<HHI', *entry)
                for entry in ((1, 7, 2**32 - 1), (2, 5, 4001), (4, 5, 2**32 - 1), (16, 7, 2**32 - 1), (32, 1, 2**32 - 1))
            ),
        )
        with open(f'{root}/cap', 'w') as file:
            file.write('x')
        os.setxattr(f'{root}/cap', 'security.capability', struct.pack('<IIIII', 0x2000001, 0x400, 0, 0, 0))
    except OSError:
        pass
    for directory, directories, files in os.walk(root, topdown=False):
        for i, name in enumerate(sorted(directories + files)):
            os.utime(os.path.join(directory, name), ns=(10**18 + i, 10**18 + i * 1_000_000_007), follow_symlinks=False)


@scenario(times=True)
def cp_archive(source, target):
    sh('cp -a "$SOURCE" copy && cp -a --sparse=always copy again', target, SOURCE=source)


@scenario(times=True, needs=('tar',))
def tar_there_and_back(source, target):
    options = "--xattrs --xattrs-include='*' --acls --sparse --numeric-owner"
    sh(f'tar -C "$SOURCE" {options} -cf - . | tar {options} -xpf -', target, SOURCE=source)
    return sh('tar --sort=name --numeric-owner -cf - . | sha256sum', target)


@scenario(times=True, needs=('rsync',))
def rsync_with_everything(source, target):
    sh('rsync -aHAX --sparse "$SOURCE/" here/', target, SOURCE=source)
    sh('rm -rf here/many/3 here/sparse && echo changed > here/all', target)
    sh('rsync -aHAX --sparse --delete "$SOURCE/" here/', target, SOURCE=source)
    return sh('rsync -aHAXn --itemize-changes --delete "$SOURCE/" here/', target, SOURCE=source)


@scenario(needs=('find',))
def find_lists_everything(source, target):
    sh('cp -a "$SOURCE" copy', target, SOURCE=source)
    listed = sh(r"find . -printf '%y %m %n %U %G %p %l\n' | LC_ALL=C sort", target)
    assert sh('find . | wc -l', target) == sh('find . -noleaf -type f -o -true | wc -l', target)
    sh('rm -rf copy', target)
    return listed


@scenario(needs=('git',))
def git_clone_and_gc(source, target):
    repository = f'{source}-repository'
    if not os.path.exists(repository):
        os.mkdir(repository)
        sh(
            'git init -q -b main . && cp -a "$SOURCE/many" . && git add . && git commit -qm one'
            ' && rm -rf many/7 && echo two > many/two && git add -A && git commit -qm two && git tag v2',
            repository,
            SOURCE=source,
        )
    sh('git clone -q --no-local "file://$REPOSITORY" clone', target, REPOSITORY=repository)
    seen = sh('git rev-parse HEAD && git status --porcelain && git log --oneline --stat | tail -3', f'{target}/clone')
    sh('git checkout -q HEAD~1 && echo x > many/1/x && git add . && git commit -qm three', f'{target}/clone')
    sh('git stash list; git checkout -q main; git gc -q --prune=now; git fsck --strict', f'{target}/clone')
    seen += sh('git status --porcelain; git count-objects', f'{target}/clone')
    sh('rm -rf clone/.git', target)
    return seen


@scenario(needs=('make', 'cc'))
def c_build(source, target):
    for i in range(12):
        with open(f'{target}/part{i}.c', 'w') as file:
            file.write(f'int part{i}(void) {{ return {i}; }}\n')
    with open(f'{target}/main.c', 'w') as file:
        file.write('#include <stdio.h>\n' + ''.join(f'int part{i}(void);\n' for i in range(12)))
        file.write('int main(void) { printf("%d\\n", ' + '+'.join(f'part{i}()' for i in range(12)) + '); }\n')
    with open(f'{target}/Makefile', 'w') as file:
        file.write('OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))\n')
        file.write('program: $(OBJECTS)\n\tcc -o $@ $^\nlibparts.a: $(OBJECTS)\n\tar rcD $@ $^\n')
        file.write('%.o: %.c\n\tcc -O1 -ffile-prefix-map=$(CURDIR)=. -c -o $@ $<\n')
    sh('make -s -j2 program libparts.a', target)
    seen = sh('./program; make -q program && echo nothing to do', target)
    sh('touch part3.c', target)
    return seen + sh('if make -q program; then echo forgotten; else echo to be made; fi; make -s; ./program', target)


@scenario(needs=('python3',))
def sqlite_in_wal_mode_by_two_processes(source, target):
    try:
        import sqlite3  # noqa: F401
    except ImportError:
        raise Skip('this Python has no sqlite3')
    program = """
import sqlite3, sys
db = sqlite3.connect('db', timeout=60, isolation_level=None)
for n in range(150):
    db.execute('BEGIN IMMEDIATE')
    db.execute('INSERT INTO t VALUES (?, ?)', (sys.argv[1], n))
    db.execute('COMMIT')
    db.execute('SELECT count(*) FROM t').fetchone()
"""
    # Changing the mode takes a lock that SQLite does not wait for: it is done before there are two.
    prepare = "import sqlite3; db = sqlite3.connect('db'); db.execute('PRAGMA journal_mode=WAL'); db.execute('CREATE TABLE t (who, n)')"
    subprocess.run([sys.executable, '-c', prepare], cwd=target, check=True)
    workers = [
        subprocess.Popen([sys.executable, '-c', program, who], cwd=target, stderr=subprocess.PIPE) for who in ('a', 'b')
    ]
    errors = [worker.communicate(timeout=90)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    check = """
import sqlite3
db = sqlite3.connect('db')
print(db.execute('PRAGMA journal_mode').fetchone(), db.execute('PRAGMA integrity_check').fetchone())
print(db.execute('SELECT who, count(*), sum(n) FROM t GROUP BY who ORDER BY who').fetchall())
db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
"""
    seen = subprocess.run([sys.executable, '-c', check], cwd=target, stdout=subprocess.PIPE, check=True).stdout
    # Page order in the database depends on who was first.
    sh('rm -f db db-wal db-shm', target)
    return seen


@scenario(needs=('npm', 'node'))
def npm_ci(source, target):
    sh(
        """
        mkdir dep project
        echo '{"name":"dep","version":"1.0.0","bin":{"dep":"cli.js"}}' > dep/package.json
        printf '#!/usr/bin/env node\\nconsole.log("dep runs")\\n' > dep/cli.js
        cd dep && npm pack --silent --cache "$CACHE" --pack-destination ../project >/dev/null && cd ../project
        echo '{"name":"project","version":"1.0.0","dependencies":{"dep":"file:dep-1.0.0.tgz"}}' > package.json
        npm install --offline --no-audit --no-fund --silent --cache "$CACHE"
        rm -rf node_modules
        npm ci --offline --no-audit --no-fund --silent --cache "$CACHE"
        """,
        target,
        CACHE=f'{target}/cache',
    )
    seen = sh('npm ls --offline --all; node_modules/.bin/dep', f'{target}/project').replace(target.encode(), b'HERE')
    # The tarball carries the time it was packed, and the cache and the lock file what follows from that.
    sh('rm -rf cache project/*.tgz project/package-lock.json project/node_modules/.package-lock.json', target)
    return seen


def difference(left, right):
    return [f'plain: {line}' for line in left if line not in right][:3] + [
        f'mount: {line}' for line in right if line not in left
    ][:3]


def run(function, source, plain, mount, backing):
    for command in function.needs:
        if shutil.which(command) is None:
            raise Skip(f'{command} is not installed')
    name = function.__name__
    seen = []
    for root in (plain, mount):
        os.mkdir(f'{root}/{name}')
        seen.append(function(source, f'{root}/{name}'))
    assert seen[0] == seen[1], f'printed {seen[0]!r} but {seen[1]!r}'
    expected = manifest(f'{plain}/{name}', function.times)
    found = manifest(f'{mount}/{name}', function.times)
    assert expected == found, difference(expected, found)
    if backing is not None:
        assert manifest(f'{backing}/{name}', function.times) == found, 'the backing directory differs'
    for root in (plain, mount):
        shutil.rmtree(f'{root}/{name}')


def main(arguments):
    plain, mount = (os.path.abspath(argument) for argument in arguments[:2])
    names = arguments[2:]
    backing = None
    if names[:1] == ['--backing']:
        backing = os.path.abspath(names[1])
        names = names[2:]
    chosen = [function for function in SCENARIOS if not names or function.__name__ in names]
    if not chosen:
        raise SystemExit('no such scenario')
    signal.alarm(280)
    os.umask(0o022)
    # The source is on the file system itself, so that nothing is lost in copying what it cannot keep.
    source = f'{plain}/source'
    os.mkdir(source)
    make_source(source)
    for function in chosen:
        try:
            run(function, source, plain, mount, backing)
            print(f'ok {function.__name__}', flush=True)
        except Skip as reason:
            print(f'skip {function.__name__}: {reason}', flush=True)
        except BaseException:
            text = ' | '.join(traceback.format_exc().strip().splitlines()[-4:])
            print(f'FAIL {function.__name__}: {text}', flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
