/**
 * Holdfast without root: everything here is done by an ordinary user with the fusermount3 that is installed. What holds
 * for mounts of root holds for these too, but for what docs/SEMANTICS.md lists under "Known limits".
 */
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readEventsOf } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { type Result, type Running, Sandbox, SOON_MS } from './support/sandbox.js'
import { RUNTIME, USER, USER_HOLDFAST, USER_PROGRAMS, User, WHY_NOT } from './support/user.js'

const SIZE = 65_536
const PAGE = 4096

let box: Sandbox
let user: User
let file: string

/** Shell code that puts a file which is no program over a program. */
function hide(program: string): string {
  return `echo > /run/no-program; mount --bind /run/no-program ${program}`
}

const NOT_SETUID =
  'cp -f --no-preserve=mode /usr/bin/fusermount3 /run/plain-fusermount3; chmod 755 /run/plain-fusermount3; mount --bind /run/plain-fusermount3 /usr/bin/fusermount3'
const ROOT_ONLY =
  'rm -f /run/root-fuse; mknod -m 600 /run/root-fuse c 10 229; mount --bind /run/root-fuse /dev/fuse'

/** Shell code that lets ordinary users have so many mounts (those of the sandbox do not count). */
function limit(count: number): string {
  return `echo "mount_max = ${count}" > /run/fuse.conf; mount --bind /run/fuse.conf /etc/fuse.conf`
}

/** A file of the user's with `SIZE` times the letter A. */
async function fresh(name: string): Promise<string> {
  await user.must('head -c "$2" /dev/zero | tr "\\0" A > "$1"', name, String(SIZE))
  return path.join(box.work, name)
}

function expectOneLine(result: Result, ...parts: (string | RegExp)[]): void {
  expect(result.stdout).toBe('')
  expect(result.stderr.trimEnd().split('\n'), result.stderr).toHaveLength(1)
  for (const part of parts) expect(result.stderr).toMatch(part)
  expect(result.stderr).not.toMatch(/\bat .*\.(js|ts|cjs):\d+|undefined|\[object|Error:|bug in/)
  expect(result.code).toBe(1)
}

/** Nothing of ours is mounted, no process of ours runs, and no place is taken in the run directory. */
async function nothingLeft(timeoutMs = SOON_MS): Promise<void> {
  await box.allGone(timeoutMs)
  expect(await user.must(`ls "${RUNTIME}/holdfast" 2>/dev/null | grep -vx lock || true`)).toBe('')
}

describe.skipIf(WHY_NOT !== null)(`an ordinary user ${WHY_NOT ?? ''}`, () => {
  beforeAll(async () => {
    box = await Sandbox.create()
    user = await User.in(box)
    return async () => await box.dispose()
  })

  describe('run: while COMMAND runs', () => {
    let command: Running

    beforeAll(async () => {
      file = await fresh('model.gguf')
      await fresh('other')
      command = await user.run(['model.gguf'], 'echo started; exec sleep 1000')
    })

    afterAll(async () => {
      await command.kill()
      await nothingLeft()
      // The protection goes with COMMAND.
      expect(await user.must('truncate -s 0 model.gguf && stat -c %s model.gguf')).toBe('0\n')
    })

    test('what it is without root is said in one line at the start', () => {
      expect(command.stderr.trimEnd().split('\n')).toHaveLength(1)
      expect(command.stderr).toMatch(/model\.gguf.*without root.*nobody else.*through the daemon/)
    })

    test.each([
      ['truncate -s 0', 'truncate -s 0 "$1"'],
      ['truncate to one byte less', 'truncate -s -1 "$1"'],
      [': > FILE', ': > "$1"'],
      ['fallocate -p', 'fallocate -p -o 4096 -l 4096 "$1"'],
      ['fallocate -z', 'fallocate -z -o 4096 -l 4096 "$1"'],
      ['cp other FILE', 'cp other "$1"'],
    ])('X1: %s by the same user ends with "Text file busy" and changes nothing', async (_name, script) => {
      const result = await user.bash(script, file)
      expect(result.stderr).toContain('Text file busy')
      expect(result.code).not.toBe(0)
      expect(await user.must('stat -c %s "$1"; tr -d A < "$1" | wc -c', file)).toBe(`${SIZE}\n0\n`)
    })

    test.each([
      ['mv other FILE', 'mv other "$1"'],
      ['mv FILE away', 'mv "$1" away'],
      ['rm FILE', 'rm -f "$1"'],
    ])('%s ends with "Device or resource busy"', async (_name, script) => {
      const result = await user.bash(script, file)
      expect(result.stderr).toContain('Device or resource busy')
      expect(result.code).not.toBe(0)
    })

    test('reading, mapping, writing in place, appending and chmod work', async () => {
      const script = `
        printf B | dd of="$1" conv=notrunc status=none && head -c 1 "$1" && printf A | dd of="$1" conv=notrunc status=none
        printf A >> "$1" && stat -c %s "$1" && chmod 600 "$1" && stat -c '%a %U' "$1"
        python3 -c 'import mmap, sys; f = open(sys.argv[1], "r+b"); m = mmap.mmap(f.fileno(), 0); m[7:8] = b"A"; print(m[1:4])' "$1"
      `
      expect(await user.must(script, file)).toBe(`B${SIZE + 1}\n600 holdfast-user\nb'AAA'\n`)
    })

    test('nobody else can reach FILE: not root, not another user', async () => {
      for (const argv of [['cat', file], user.argv(['cat', file], 4712)]) {
        const result = await box.exec(argv)
        expect(result.stderr).toContain('Permission denied')
        expect(result.code).toBe(1)
      }
    })

    test('R1, R2: the listings name lease and pin, and what the mount is', async () => {
      const leases = await user.holdfast('leases')
      expect(leases.stdout).toMatch(
        new RegExp(`read +exclusive +active .*${command.pid}\\(sleep\\) +${file}`),
      )
      expect((await user.holdfast('pins', String(command.pid))).stdout).toContain(file)
      expect((await user.holdfast('status')).stdout).toMatch(
        new RegExp(`${file} +run +ext4 +no .*${RUNTIME}/holdfast/0`),
      )
      expect((await user.holdfast('who', file)).stdout).toContain('Text file busy')
    })

    test('root sees that there is a mount, and its commands neither fail nor touch it', async () => {
      const status = await box.holdfast('status')
      expect(status).toMatchObject({ code: 0, stderr: '' })
      expect(status.stdout).toContain(`${file}: mounted by uid ${USER}`)
      expect(box.isMounted(file)).toBe(true)
    })

    test('a second run joins the mount, and leaves it when it ends first', async () => {
      const second = await user.exec([USER_HOLDFAST, 'run', file, '--', 'sh', '-c', 'head -c 3 <&9'])
      expect(second).toMatchObject({ code: 0, stdout: 'AAA', stderr: '' })
      expect(box.dataMounts()).toHaveLength(1)
    })
  })

  describe('run: ends', () => {
    afterEach(async () => {
      await box.endCommands()
      await nothingLeft()
    })

    test('COMMAND finds itself as without: pid, exit code, standard error', async () => {
      await fresh('f')
      const script =
        'echo $$ > pid; "$1" run f -- sh -c \'echo $PPID > parent; readlink /proc/self/fd/9; exit 7\'; echo $?'
      expect(await user.must(script, USER_HOLDFAST)).toBe(`${box.work}/f\n7\n`)
      expect(await user.must('cat pid')).toBe(await user.must('cat parent'))
    })

    test('L7, P6: kill -9 of COMMAND: within a second lease, pin and mount are gone', async () => {
      const target = await fresh('f')
      const running = await user.run([target])
      running.signal('SIGKILL')
      await nothingLeft()
      await user.must('truncate -s 0 "$1"', target)
    })

    test('kill -9 of the supervisor: COMMAND keeps its protection, nothing stays behind', async () => {
      const target = await fresh('f')
      const running = await user.run([target])
      await eventuallyTrue('a supervisor runs', () => box.daemons().length === 2)
      for (const line of box.daemons().filter(({ command }) => !command.includes('holdfast.cjs run'))) {
        process.kill(line.pid, 'SIGKILL')
      }
      expect((await user.bash('truncate -s 0 "$1"', target)).stderr).toContain('Text file busy')
      running.signal('SIGKILL')
    })

    test('kill -9 of the engine: the supervisor removes the mount, and FILE is usable at once', async () => {
      const target = await fresh('f')
      await user.run([target])
      await eventuallyTrue('a supervisor runs', () => box.daemons().length === 2)
      for (const line of box.daemons().filter(({ command }) => command.includes('holdfast.cjs run'))) {
        process.kill(line.pid, 'SIGKILL')
      }
      await nothingLeft()
      await user.must('truncate -s 0 "$1"', target)
    })

    test('kill -9 of every process of Holdfast: the next holdfast command removes the dead mounts', async () => {
      const target = await fresh('f')
      await user.run([target])
      await eventuallyTrue('a supervisor runs', () => box.daemons().length === 2)
      // The supervisor first, so that it does not do its work.
      const daemons = box.daemons()
      const isEngine = ({ command }: { command: string }) => command.includes('holdfast.cjs run')
      for (const line of [...daemons.filter((l) => !isEngine(l)), ...daemons.filter(isEngine)]) {
        process.kill(line.pid, 'SIGKILL')
      }
      await eventuallyTrue('both have ended', () => box.daemons().length === 0)
      expect((await user.bash('cat "$1"', target)).stderr).toMatch(/not connected|aborted/)
      // Root does not believe what an ordinary user's mount says of itself.
      expect((await box.holdfast('status')).code).toBe(0)
      const status = await user.holdfast('status')
      expect(status).toMatchObject({ code: 0 })
      expect(box.fuseMounts()).toEqual([])
      await user.must('truncate -s 0 "$1"', target)
    })

    test('L10: a mount that is pulled away under a lease is reported as bypassed, and nothing hangs', async () => {
      const target = await fresh('f')
      const running = await user.run([target])
      const argv = user.argv(['cat', `${RUNTIME}/holdfast/0/events`])
      const reading = box.start(argv, { env: user.env })
      await eventuallyTrue('events is being read', async () =>
        (await user.must(`ls -l /proc/${reading.pid}/fd`)).includes('/events'),
      )
      await user.must('fusermount3 -u -z "$1"', target)
      await reading.says('"event":"bypassed"')
      expect(reading.stdout).toMatch(/cannot be attached again/)
      running.signal('SIGKILL')
    })

    test('several FILEs, one with a name that is no text: all are held', async () => {
      await user.must('printf AAAA > "$(printf "odd \\377,\\\\\\n_")"; cp odd* plain')
      const running = box.start(
        user.argv([
          'bash',
          '-c',
          'exec "$1" run odd* plain -- sh -c "echo started; exec sleep 1000"',
          'bash',
          USER_HOLDFAST,
        ]),
        { env: user.env },
      )
      await running.says('started', 20_000)
      for (const name of ['odd*', 'plain']) {
        expect((await user.bash(`truncate -s 0 ${name}`)).stderr).toContain('Text file busy')
      }
      expect(box.dataMounts()).toHaveLength(2)
      running.signal('SIGKILL')
      await nothingLeft()
      await user.must('rm odd* plain')
    })

    test('without XDG_RUNTIME_DIR the control directory is one in /tmp, and that is said', async () => {
      await fresh('f')
      const { XDG_RUNTIME_DIR: _, ...env } = user.env
      const script = `rmdir ${RUNTIME}/holdfast 2>/dev/null; "$1" run f -- "$1" status`
      const moved = `mount -t tmpfs -o mode=755 tmpfs /run/user`
      const inner = user.argv(['bash', '-c', script, 'bash', USER_HOLDFAST])
      const argv = [
        'unshare',
        '-m',
        '--propagation',
        'private',
        'bash',
        '-ec',
        `${moved}\nexec "$@"`,
        'bash',
        ...inner,
      ]
      try {
        const result = await box.exec(argv, { env })
        expect(result.code).toBe(0)
        expect(result.stdout).toContain(`/tmp/holdfast-${USER}/0`)
        expect(result.stderr.trimEnd().split('\n')).toHaveLength(1)
        expect(result.stderr).toContain(`/tmp/holdfast-${USER}/0`)
        await box.allGone()
        // Its engine lives in another mount namespace, where nobody looks for it.
        await eventuallyTrue('the directory has gone with its engine', async () => {
          return (await box.bash(`[ -e /tmp/holdfast-${USER} ]`)).code === 1
        })
      } finally {
        await user.must(`rm -rf /tmp/holdfast-${USER}`)
      }
    })
  })

  describe('mount', () => {
    afterEach(async () => {
      await box.endCommands()
      // After a failure only: what is left would fail every test behind it too.
      await user.bash('[ ! -d tree ] || "$1" umount tree 2>&1; rm -rf tree', USER_HOLDFAST)
      await nothingLeft()
    })

    test('over DIR itself: leases, pins and their end, by ioctl', async () => {
      await user.must('mkdir tree')
      const target = await fresh('tree/data')
      const mounted = await user.holdfast('mount', 'tree')
      expect(mounted.code).toBe(0)
      expect(mounted.stderr.trimEnd().split('\n')).toHaveLength(1)
      const events = await readEventsOf(box, `${RUNTIME}/holdfast/0/events`, (argv) => user.argv(argv))
      const agent = await user.agent('holder')
      // L8: the owner may take an exclusive lease by a descriptor for reading.
      const fd = await agent.open(target, 'rdonly')
      const lease = await agent.setLease(fd, { start: 0, length: 2 * PAGE })
      expect((await user.bash('truncate -s 0 tree/data')).stderr).toContain('Text file busy')
      await events.next((event) => event.event === 'refused')
      // X1: it owns the lease itself.
      const writable = await agent.open(target)
      expect(await agent.call('ftruncate', writable, 0)).toBe('EDEADLK')
      const pin = await agent.pin(fd, lease.id, 0, PAGE)
      expect(await agent.release(fd, lease.id)).toBe('EBUSY')
      expect(await user.must('truncate -s 8192 tree/data && stat -c %s tree/data')).toBe('8192\n')
      // P5: closing leaves a zombie, which ends with its pin.
      await agent.call('close', fd)
      await events.next((event) => event.event === 'zombie')
      expect((await user.bash('truncate -s 0 tree/data')).stderr).toContain('Text file busy')
      expect(await agent.unpin(writable, pin.id)).toBe('ok')
      await user.must('truncate -s 4096 tree/data')
      // B1: a normal lease makes a change wait; the holder lets go.
      await agent.setLease(writable, { flags: 0 })
      const waiting = box.start(user.argv(['python3', '-c', 'import os; os.truncate("tree/data", 0)']), {
        env: user.env,
      })
      await events.next((event) => event.event === 'break')
      expect(waiting.result).toBeUndefined()
      expect(await agent.release(writable, 0)).toBe('ok')
      expect(await waiting.ended).toMatchObject({ code: 0 })
      // A lease keeps umount away, an open file too.
      await agent.setLease(writable)
      expectOneLine(
        await user.holdfast('umount', 'tree'),
        'tree',
        /busy/,
        `${agent.pid}(leasectl`,
        /holds lease \d+/,
      )
      await agent.release(writable, 0)
      expectOneLine(await user.holdfast('umount', 'tree'), 'tree', /busy/, /has data open/, /not yours/)
      agent.disconnect()
      await events.stop()
      await eventuallyTrue('unmounted', async () => (await user.holdfast('umount', 'tree')).code === 0)
      expect(await user.must('ls tree; stat -c %s tree/data')).toBe('data\n0\n')
    })

    test('kill -9 of the engine: the mount is removed, and the files are there', async () => {
      await user.must('mkdir tree; echo inside > tree/file')
      expect((await user.holdfast('mount', 'tree')).code).toBe(0)
      await eventuallyTrue('a supervisor runs', () => box.daemons().length === 2)
      for (const line of box.daemons().filter(({ command }) => command.includes('holdfast.cjs mount'))) {
        process.kill(line.pid, 'SIGKILL')
      }
      await box.allGone()
      expect(await user.must('cat tree/file')).toBe('inside\n')
    })
  })

  describe('mount, with ordinary programs', () => {
    let place: string

    /** A file system of its own: they need more than the sandbox has. */
    beforeEach(async () => {
      place = path.join(box.outside, 'programs')
      await box.must(
        'mkdir -p "$1" && mount -t tmpfs -o size=800m tmpfs "$1" && cd "$1" && mkdir tree plain other',
        {
          args: [place],
        },
      )
      await box.must(`chown ${USER}:${USER} . tree plain other`, { cwd: place })
    })

    afterEach(async () => {
      for (const name of ['tree', 'other']) await user.holdfast('umount', `${place}/${name}`)
      await box.must('umount -R "$1"', { args: [place] })
      await nothingLeft()
    })

    test('DIR at another place: what holds on a plain directory holds on the mount', async () => {
      const check = async (...args: string[]) => {
        const argv = ['python3', `${USER_PROGRAMS}/conformance.py`, ...args]
        return (await user.exec(argv, { cwd: place, timeoutMs: 100_000 })).stdout.trimEnd().split('\n')
      }
      const holds = (await check('plain')).filter((line) => line.startsWith('ok '))
      expect(holds.length).toBeGreaterThan(25)
      expect((await user.holdfast('mount', `${place}/tree`, `${place}/other`)).code).toBe(0)
      const seen = await check('other', '--backing', 'tree')
      expect(
        holds.filter((line) => !seen.includes(line)),
        seen.join('\n'),
      ).toEqual([])
      expect((await user.holdfast('umount', `${place}/other`)).code).toBe(0)
    }, 240_000)

    test('over DIR itself: programs leave the same tree', async () => {
      // The only other way to what is covered. A user's mount needs none, the comparison does.
      await box.must('mount --bind tree other', { cwd: place })
      expect((await user.holdfast('mount', `${place}/tree`)).code).toBe(0)
      const argv = ['python3', `${USER_PROGRAMS}/trees.py`, 'plain', 'tree', '--backing', 'other']
      const { stdout, stderr } = await user.exec(argv, { cwd: place, timeoutMs: 200_000 })
      const lines = stdout.trimEnd().split('\n')
      expect(
        lines.filter((line) => !/^(ok|skip) /.test(line)),
        stderr,
      ).toEqual([])
      expect(lines.length).toBeGreaterThan(7)
      expect((await user.holdfast('umount', `${place}/tree`)).code).toBe(0)
    }, 240_000)
  })

  describe('doctor', () => {
    test('says what an ordinary user can do, and ends with 0', async () => {
      const result = await user.holdfast('doctor')
      expect(result.stdout).toMatch(/ok +FUSE: protocol 7\.\d+: mounting works/)
      expect(result.stdout).toMatch(/ok +fusermount3: .*set-user-ID root/)
      expect(result.stdout).toMatch(/note +privileges: uid 4711.*nobody else/)
      expect(result.code).toBe(0)
      await nothingLeft()
    })

    test.each([
      ['fusermount3 is missing', hide('/usr/bin/fusermount3'), /fail +fusermount3: missing.*fuse3/],
      ['fusermount3 is not set-user-ID', NOT_SETUID, /fail +fusermount3: .*not set-user-ID/],
      ['/dev/fuse is for root only', ROOT_ONLY, /fail +FUSE: .*chmod 666/],
    ])('%s: says so, and ends with 1', async (_name, preparation, line) => {
      const result = await user.holdfastAfter(preparation, 'doctor')
      expect(result.stdout).toMatch(line)
      expect(result.code).toBe(1)
      await nothingLeft()
    })
  })

  describe('what cannot be done: one line, exit code 1, nothing left mounted', () => {
    beforeAll(async () => {
      await fresh('data')
      await user.must('mkdir tree tree/within; echo x > read-only; chmod 400 read-only')
      await box.must(
        'mkdir theirs sticky; echo x > theirs/file; chmod 666 theirs/file; touch sticky/file; chmod 666 sticky/file; chmod 1777 sticky; mkdir sticky/dir; chmod 777 sticky/dir; echo x > foreign; chmod 644 foreign; echo x > secret; chmod 600 secret',
      )
    })

    afterEach(async () => {
      await nothingLeft()
    })

    const RUN = ['run', 'data', '--', 'echo', 'ran']
    test.each<[string, string, string[], (string | RegExp)[]]>([
      ['run: fusermount3 is missing', hide('/usr/bin/fusermount3'), RUN, [/fuse3/, /sudo/]],
      ['mount: fusermount3 is missing', hide('/usr/bin/fusermount3'), ['mount', 'tree'], [/fuse3/, /sudo/]],
      ['run: fusermount3 is not set-user-ID', NOT_SETUID, RUN, [/set-user-ID/]],
      ['run: /dev/fuse is for root only', ROOT_ONLY, RUN, [/\/dev\/fuse/, /chmod 666/]],
      ['run: too many mounts', limit(0), RUN, [/too many/i, /mount_max/]],
      ['run: one mount too many, after the first was made', limit(1), RUN, [/too many/i, /mount_max/]],
      ['mount: one mount too many, after the first was made', limit(1), ['mount', 'tree'], [/mount_max/]],
      [
        'run: a file that is not theirs to write',
        '',
        ['run', 'foreign', '--', 'echo', 'ran'],
        ['foreign', /sudo/],
      ],
      [
        'run: a file of theirs that is read-only',
        '',
        ['run', 'read-only', '--', 'echo', 'ran'],
        ['read-only', /chmod u\+w/],
      ],
      ['mount: a directory that is not theirs', '', ['mount', 'theirs'], ['theirs', /no write access/]],
      ['mount: another’s directory in a sticky one', '', ['mount', 'sticky'], ['sticky', /not owned/]],
      ['mount: MOUNTPOINT inside of DIR', '', ['mount', 'tree', 'tree/within'], ['tree', /inside/]],
      ['mount: the runtime directory', '', ['mount', RUNTIME], [/Holdfast/]],
      ['mount: what holds the runtime directory, elsewhere', '', ['mount', '/run/user', 'tree'], [/inside/]],
    ])('%s', async (_name, preparation, words, parts) => {
      expectOneLine(await user.holdfastAfter(preparation, ...words), ...parts)
    })

    test('run: privileges may not be gained (PR_SET_NO_NEW_PRIVS)', async () => {
      const argv = ['setpriv', '--no-new-privs', '--', USER_HOLDFAST, ...RUN]
      expectOneLine(await user.exec(argv), /no new privileges/)
    })

    test('run: a user without a name', async () => {
      const argv = user.argv([USER_HOLDFAST, 'run', 'nameless', '--', 'echo', 'ran'], 4712)
      await box.must('echo x > nameless; chown 4712 nameless')
      try {
        expectOneLine(await box.exec(argv, { env: { ...user.env, XDG_RUNTIME_DIR: '' } }), /\/etc\/passwd/)
        await box.must('! [ -e /tmp/holdfast-4712 ]')
      } finally {
        await box.must('rm -rf /tmp/holdfast-4712 nameless')
      }
    })

    test('a run directory in /tmp that somebody else has made is not used', async () => {
      const { XDG_RUNTIME_DIR: _, ...env } = user.env
      await box.must(`mkdir /tmp/holdfast-4712; echo x > mine; chown 4712 mine`)
      try {
        const argv = user.argv([USER_HOLDFAST, 'run', 'mine', '--', 'echo', 'ran'], 4712)
        expectOneLine(await box.exec(argv, { env }), '/tmp/holdfast-4712')
      } finally {
        await box.must('rmdir /tmp/holdfast-4712; rm mine')
      }
    })
  })
})
