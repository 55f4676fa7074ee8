/** The commands other than `run`: mount, umount, lease, leases, pins, who, status, doctor. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { readEvents } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { NORMAL, POLLPRI } from './support/ioctl.js'
import { listing, statusMounts } from './support/listing.js'
import { HOLDFAST, program } from './support/programs.js'
import { inSandbox, SOON_MS } from './support/sandbox.js'

describe('mount and umount', () => {
  test(
    'mount DIR: over DIR itself, the same tree with nothing added; umount brings everything back',
    inSandbox(async (box) => {
      const tree = path.join(box.work, 'tree')
      await box.file('tree/a')
      await box.file('tree/sub/b')
      await box.must('ln tree/a tree/hard; ln -s a tree/soft; mkfifo tree/fifo; chmod 1777 tree/sub')
      const look =
        'cd tree && find . -printf "%P %y %m %u %g %s %n %l %t %i\\n" | sort && find . -type f | sort | xargs cksum'
      const before = await box.must(look)
      await box.mount(tree)
      expect(box.dataMounts()).toMatchObject([{ target: tree, type: 'fuse.holdfast' }])
      expect(await box.must(look)).toBe(before)
      await box.must('echo new > tree/new && mkdir tree/newdir && rm tree/hard')
      expect(await box.umount(tree)).toMatchObject({ code: 0, stderr: '' })
      await box.allGone()
      expect(await box.must('ls -A tree')).toBe('a\nfifo\nnew\nnewdir\nsoft\nsub\n')
      expect(await box.must('cat tree/new')).toBe('new\n')
    }),
  )

  test(
    'mount DIR MOUNTPOINT: shows DIR at another place; DIR itself stays as it was',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.must('mkdir shown')
      const tree = path.join(box.work, 'tree')
      const shown = path.join(box.work, 'shown')
      await box.mount(tree, shown)
      expect(box.dataMounts().map((mount) => mount.target)).toEqual([shown])
      await box.must('cmp tree/a shown/a && echo text > shown/b && test "$(cat tree/b)" = text')
      expect((await box.umount(shown)).code).toBe(0)
      await box.allGone()
      expect(await box.must('ls -A shown; ls tree')).toBe('a\nb\n')
    }),
  )

  test(
    'mount: relative paths, a trailing slash, blanks, and a symlink to a directory',
    inSandbox(async (box) => {
      await box.must('mkdir "a b" "c d"; ln -s "c d" link')
      await box.must(`'${HOLDFAST}' mount "./a b/" && '${HOLDFAST}' mount link`)
      const targets = box.dataMounts().map((mount) => mount.target)
      expect(targets.sort()).toEqual([path.join(box.work, 'a b'), path.join(box.work, 'c d')])
      await box.must(`'${HOLDFAST}' umount "a b" && '${HOLDFAST}' umount link`)
      await box.allGone()
    }),
  )

  test(
    'mount: returns when the mount is usable, keeps no output open, and survives its terminal',
    inSandbox(async (box) => {
      await box.file('tree/a')
      const result = await box.bash(`'${HOLDFAST}' mount tree | cat; cat tree/a | wc -c`)
      expect(result).toMatchObject({ code: 0, stderr: '' })
      expect(result.stdout).toMatch(/65536\n$/)
      expect((await box.holdfast('umount', 'tree')).code).toBe(0)
    }),
  )

  test(
    'umount: EBUSY in one line while a lease exists, and everything goes on; fine after its release',
    inSandbox(async (box) => {
      const file = await box.file('tree/a')
      const tree = path.join(box.work, 'tree')
      await box.mount(tree)
      const agent = await box.agent('a')
      const fd = await agent.open(file)
      const { id } = await agent.setLease(fd)
      const refused = await box.holdfast('umount', tree)
      expect(refused.code).toBe(1)
      expect(refused.stderr.trim().split('\n')).toHaveLength(1)
      expect(refused.stderr).toContain(`Device or resource busy: ${agent.pid}(leasectl`)
      expect(refused.stderr).toContain(`holds lease ${id}, has a open`)
      expect(box.isMounted(tree)).toBe(true)
      expect(await agent.call('ftruncate', fd, 0)).toBe('EDEADLK')
      await agent.release(fd, id)
      await agent.call('close', fd)
      expect(await box.umount(tree)).toMatchObject({ code: 0 })
    }),
  )

  test(
    'umount: EBUSY names who has a file open, by a descriptor that was sent too, maps one, works in it, runs a program',
    inSandbox(async (box) => {
      const file = await box.file('tree/sub/a')
      await box.must('cp "$(command -v sleep)" tree/tool')
      const tree = path.join(box.work, 'tree')
      await box.must('"$1" mount tree', { args: [HOLDFAST] })
      /** What umount says of this process. */
      const said = async (pid: number) => {
        const { code, stderr } = await box.holdfast('umount', tree)
        expect({ code, lines: stderr.trim().split('\n').length }).toEqual({ code: 1, lines: 1 })
        return (
          new RegExp(`busy: ${pid}\\([^)]*\\) (.*): it can be unmounted when`).exec(stderr)?.[1] ?? stderr
        )
      }
      const sender = await box.agent('sender')
      const receiver = await box.agent('receiver')
      const fd = await sender.open(file, 'rdonly')
      expect(await said(sender.pid)).toBe('has sub/a open')
      const { id } = await sender.setLease(fd)
      await sender.call('sendfd', fd, receiver.name)
      await sender.call('close', fd)
      expect(await said(sender.pid)).toBe(`holds lease ${id}`)
      sender.signal('SIGKILL')
      await eventuallyTrue(
        'nobody owns it',
        async () => !(await box.must('cat /run/holdfast/0/leases')).includes('leasectl'),
      )
      const { code, stderr } = await box.holdfast('umount', tree)
      expect([code, stderr]).toEqual([
        1,
        expect.stringContaining('a descriptor on its way between processes'),
      ])
      const copy = await receiver.number('recvfd')
      expect(await said(receiver.pid)).toBe('has sub/a open')
      const mapping = await receiver.call('mmap', copy, 0, 4096, 'shared')
      await receiver.call('close', copy)
      expect(await said(receiver.pid)).toBe('maps sub/a')
      await receiver.call('munmap', mapping)

      const inside = box.start(['sleep', '1000'], { cwd: path.join(tree, 'sub') })
      await eventuallyTrue('it works there', async () => (await said(inside.pid)) === 'works in sub')
      await inside.kill()
      const runs = box.start([path.join(tree, 'tool'), '1000'])
      await eventuallyTrue('it runs', async () => (await said(runs.pid)) === 'maps tool, runs tool')
      await runs.kill()
      await box.must('mount -t tmpfs tmpfs tree/sub')
      expect((await box.holdfast('umount', tree)).stderr).toContain(
        'busy: sub is another mount: unmount that first\n',
      )
      await box.must('umount tree/sub')
      // Who asks is not in its own way.
      expect(await box.bash('cd tree && exec "$1" umount .', { args: [HOLDFAST] })).toMatchObject({ code: 0 })
    }),
  )

  test(
    'umount: files of many processes are still one line: a few processes are named, the others counted',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.file('tree/b')
      const tree = path.join(box.work, 'tree')
      await box.mount(tree)
      const script = 'exec 3<tree/a 4<tree/b; echo open; exec sleep 1000'
      const running = Array.from({ length: 6 }, () => box.start(['bash', '-c', script]))
      for (const each of running) await each.says('open')
      const { code, stderr } = await box.holdfast('umount', tree)
      expect(code).toBe(1)
      expect(stderr).toMatch(/busy: (\d+\(\w+\) has 2 files open; ){4}and 2 more: it can be .*\n$/)
      for (const each of running) await each.kill()
      expect(await box.umount(tree)).toMatchObject({ code: 0 })
    }),
  )

  test(
    'L10: mount names in one line who has a file below DIR open already; --strict refuses',
    inSandbox(async (box) => {
      await box.file('tree/sub/a')
      const other = box.start(['bash', '-c', 'exec 3<tree/sub/a; echo open; exec sleep 1000'])
      await other.says('open')
      const strict = await box.exec([HOLDFAST, 'mount', '--strict', 'tree'])
      expect(strict.code).toBe(1)
      expect(strict.stderr).toContain(String(other.pid))
      await box.allGone()
      const result = await box.exec([HOLDFAST, 'mount', 'tree'])
      expect(result.code).toBe(0)
      expect(result.stderr.trim().split('\n')).toHaveLength(1)
      expect(result.stderr).toContain(String(other.pid))
      expect(result.stderr).toContain('sleep')
      expect((await box.holdfast('umount', 'tree')).code).toBe(0)
      await other.kill()
    }),
  )

  test.each([['nosuid'], ['nodev'], ['noexec'], ['ro'], ['nosuid,nodev,noexec,ro']])(
    'mount: carries over %s of the file system below',
    async (option) => {
      await inSandbox(async (box) => {
        await box.must(`mkdir below && mount -t tmpfs -o ${option} tmpfs below`)
        const below = path.join(box.work, 'below')
        await box.mount(below)
        const shown = box.dataMounts().find((mount) => mount.target === below)
        for (const word of option.split(',')) expect(shown?.options.split(',')).toContain(word)
        if (option.includes('ro')) expect((await box.bash('touch below/x')).stderr).toContain('Read-only')
        expect((await box.umount(below)).code).toBe(0)
        await box.must('umount below')
      })()
    },
  )

  test(
    'mount: kill -9 of every process of Holdfast: the next command removes the dead mount',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.must(`'${HOLDFAST}' mount tree`)
      for (const daemon of box.daemons()) process.kill(daemon.pid, 'SIGKILL')
      await eventuallyTrue('no process of Holdfast is left', () => box.daemons().length === 0)
      expect((await box.holdfast('status')).code).toBe(0)
      expect(box.fuseMounts()).toEqual([])
      expect(await box.must('wc -c < tree/a')).toBe('65536\n')
    }),
  )

  test(
    'mount: kill -9 of the engine: the mount is removed and the directory usable at once',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.must(`'${HOLDFAST}' mount tree`)
      for (const engine of (await box.helpers()).engines) process.kill(engine.pid, 'SIGKILL')
      await box.allGone()
      expect(await box.must('wc -c < tree/a')).toBe('65536\n')
    }),
  )

  test(
    'mount: kill -9 of the engine ends whoever waits in it with an error, and changes no file',
    inSandbox(async (box) => {
      const file = await box.file('tree/a')
      await box.must(`'${HOLDFAST}' mount tree`)
      const holder = await box.agent('holder')
      const breaker = await box.agent('breaker')
      const fd = await holder.open(file)
      await holder.setLease(fd, { flags: NORMAL, breakMs: 10_000 })
      const events = await readEvents(box, file)
      const polled = holder.call('poll', fd, POLLPRI, 10_000)
      const truncated = breaker.call('truncate', file, 0)
      expect(await polled).toBe(String(POLLPRI))
      for (const engine of (await box.helpers()).engines) process.kill(engine.pid, 'SIGKILL')
      expect(await truncated).toMatch(/^(ECONNABORTED|ENOTCONN|EIO)$/)
      await box.allGone()
      expect(await box.must('wc -c < tree/a')).toBe('65536\n')
      await events.stop()
    }),
  )

  test(
    'mount: an ordinary umount(8) ends the daemon too',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.must(`'${HOLDFAST}' mount tree`)
      await box.must('umount tree')
      await box.allGone()
    }),
  )

  test(
    'mount: `umount -l` with a file still open: the daemon serves it to the end, then goes',
    inSandbox(async (box) => {
      const file = await box.file('tree/a')
      await box.must(`'${HOLDFAST}' mount tree`)
      const agent = await box.agent('a')
      const fd = await agent.open(file)
      await box.must('umount -l tree')
      expect(await agent.call('read', fd, 0, 1)).toBe('1 41')
      expect(await agent.call('write', fd, 0, '42')).toBe('1')
      expect(await agent.call('ftruncate', fd, 10)).toBe('0')
      await agent.call('close', fd)
      await box.allGone()
      expect(await box.must('cat tree/a')).toBe('BAAAAAAAAA')
    }),
  )
})

describe('lease', () => {
  test(
    'lease --fd 3 --exclusive: a shell holds a lease: itself EDEADLK, children ETXTBSY, free after close',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.mount(path.join(box.work, 'tree'))
      const script = [
        'exec 3<tree/a',
        `'${HOLDFAST}' lease --fd 3 --exclusive || exit 1`,
        '{ : > tree/a; } 2>&1',
        'truncate -s 0 tree/a 2>&1',
        'wc -c < tree/a',
        'exec 3<&-',
        'truncate -s 5 tree/a && wc -c < tree/a',
      ].join('\n')
      const result = await box.bash(script)
      const lines = result.stdout.trim().split('\n').slice(-4)
      expect(lines[0]).toContain('Resource deadlock avoided')
      expect(lines[1]).toContain('Text file busy')
      expect(lines.slice(2)).toEqual(['65536', '5'])
      expect(result.stderr).toBe('')
    }),
  )

  test.each([['sh'], ['bash']])(
    'lease --fd: the owner is %s, not the process that took it',
    async (shell) => {
      await inSandbox(async (box) => {
        await box.file('tree/a')
        await box.mount(path.join(box.work, 'tree'))
        const script = `exec 7<>tree/a; '${HOLDFAST}' lease --fd 7 --exclusive; echo started; read line; true`
        const running = box.start([shell, '-c', script], { stdin: 'pipe' })
        await running.says('started')
        const rows = await listing(box, 'leases')
        expect(rows).toMatchObject([
          { level: 'exclusive', state: 'active', owners: [{ pid: running.pid, command: shell }] },
        ])
        running.type('\n')
        await running.ended
        await eventuallyTrue(
          'the lease is gone',
          async () => (await listing(box, 'leases')).length === 0,
          SOON_MS,
        )
      })()
    },
  )

  test(
    'lease FILE -- COMMAND: COMMAND holds the lease, with its own exit code',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.mount(path.join(box.work, 'tree'))
      const words = [
        HOLDFAST,
        'lease',
        '--exclusive',
        'tree/a',
        '--',
        'bash',
        '-c',
        'truncate -s 0 tree/a 2>&1; exit 7',
      ]
      const result = await box.exec(words)
      expect(result).toMatchObject({ code: 7 })
      expect(result.stdout).toContain('Text file busy')
      const own = await box.exec([
        HOLDFAST,
        'lease',
        '--exclusive',
        'tree/a',
        '--',
        program('opentrunc'),
        'tree/a',
        'rdwr',
      ])
      expect(own.stderr).toContain('Resource deadlock avoided')
      await eventuallyTrue(
        'the lease is gone',
        async () => (await listing(box, 'leases')).length === 0,
        SOON_MS,
      )
    }),
  )
})

describe('listings', () => {
  test(
    'leases, pins, who, status: in words and as JSON with the documented keys',
    inSandbox(async (box) => {
      const file = await box.file('tree/a', 8192)
      await box.file('tree/b', 8192)
      const tree = path.join(box.work, 'tree')
      await box.mount(tree)
      const agent = await box.agent('holder')
      const fd = await agent.open(file)
      const { id } = await agent.setLease(fd, { start: 0, length: 4096 })
      const pin = await agent.pin(fd, id, 0, 4096)
      const owner = { pid: agent.pid }

      const words = await box.holdfast('leases')
      expect(words).toMatchObject({ code: 0, stderr: '' })
      for (const part of [String(id), String(agent.pid), file, 'exclusive', 'active']) {
        expect(words.stdout).toContain(part)
      }
      const lease = {
        id: Number(id),
        file,
        mountpoint: tree,
        start: 0,
        length: 4096,
        mode: 'read',
        level: 'exclusive',
        state: 'active',
        pins: 1,
        uid: 0,
        owners: [owner],
      }
      expect(await listing(box, 'leases')).toMatchObject([lease])
      expect(await listing(box, 'leases', file)).toMatchObject([lease])
      expect(await listing(box, 'leases', tree)).toMatchObject([lease])
      expect(await listing(box, 'leases', path.join(tree, 'b'))).toEqual([])

      const pins = await box.holdfast('pins')
      expect(pins.code).toBe(0)
      for (const part of [String(pin.id), String(agent.pid), file]) expect(pins.stdout).toContain(part)
      const row = { id: Number(pin.id), lease: Number(id), file, start: 0, length: 4096, count: 1, uid: 0 }
      expect(await listing(box, 'pins')).toMatchObject([
        { ...row, holder: { kind: 'process', pid: agent.pid } },
      ])
      expect(await listing(box, 'pins', String(agent.pid))).toMatchObject([row])
      expect(await listing(box, 'pins', '1')).toEqual([])

      const who = await box.holdfast('who', file)
      expect(who.code).toBe(0)
      expect(who.stdout).toContain(String(agent.pid))
      expect(who.stdout).toContain('leasectl')
      expect((await box.holdfast('who', path.join(tree, 'b'))).stdout).not.toContain(String(agent.pid))
      JSON.parse((await box.holdfast('who', file, '--json')).stdout)

      const status = await box.holdfast('status')
      expect(status.code).toBe(0)
      expect(status.stdout).toContain(tree)
      expect(await statusMounts(box)).toMatchObject([
        { mountpoint: tree, kind: 'mount', backing: 'ext4', leases: 1, pins: 1 },
      ])
    }),
  )

  test(
    'listings without any mount: exit code 0, nothing listed, an empty array',
    inSandbox(async (box) => {
      for (const command of ['leases', 'pins']) {
        expect(await box.holdfast(command)).toMatchObject({ code: 0, stderr: '' })
        expect(await listing(box, command)).toEqual([])
      }
      expect(await box.holdfast('status')).toMatchObject({ code: 0, stderr: '' })
      expect(await statusMounts(box)).toEqual([])
    }),
  )

  test(
    'leases: of several mounts and of `run`, all in one listing',
    inSandbox(async (box) => {
      const inside = await box.file('tree/a')
      const alone = await box.file('alone')
      await box.mount(path.join(box.work, 'tree'))
      const runs = [await box.run([inside]), await box.run([alone])]
      const rows = await listing(box, 'leases')
      expect(rows.map((row) => row.file).sort()).toEqual([alone, inside].sort())
      expect((await statusMounts(box)).map((row) => row.kind).sort()).toEqual(['mount', 'run'])
      expect((await box.holdfast('who', alone)).stdout).toContain('sleep')
      await Promise.all(runs.map((run) => run.kill()))
    }),
  )

  test(
    'R1: an ordinary user sees their own in the listings, root everything',
    inSandbox(async (box) => {
      const file = await box.file('tree/a')
      await box.mount(path.join(box.work, 'tree'))
      const agent = await box.agent('holder')
      await agent.setLease(await agent.open(file))
      const as = ['setpriv', '--reuid=4711', '--regid=4711', '--clear-groups', HOLDFAST, 'leases', '--json']
      const result = await box.exec(as)
      expect(result).toMatchObject({ code: 0, stderr: '' })
      expect(JSON.parse(result.stdout)).toEqual([])
      expect(await listing(box, 'leases')).toHaveLength(1)
    }),
  )

  test(
    'who: on a file that is under no Holdfast mount says just that',
    inSandbox(async (box) => {
      await box.file('data')
      const result = await box.holdfast('who', 'data')
      expect(result).toMatchObject({ code: 0, stderr: '' })
      expect(result.stdout).toMatch(/data.*not under a Holdfast mount/)
    }),
  )

  test(
    'R1: a lease without an owner: leases and who name the process that has the file open',
    inSandbox(async (box) => {
      await box.file('tree/a')
      await box.mount(path.join(box.work, 'tree'))
      // The owner is the inner shell, which ends at once; the outer one keeps the descriptor.
      const inner = `exec 4<&3; '${HOLDFAST}' lease --fd 4 --exclusive; exit 0`
      const running = box.start(
        ['bash', '-c', `exec 3<tree/a; bash -c "$0"; echo taken; read line; true`, inner],
        {
          stdin: 'pipe',
        },
      )
      await running.says('taken')
      const rows = await listing(box, 'leases')
      expect(rows).toMatchObject([{ owners: [], openIn: [{ pid: running.pid, command: 'bash' }] }])
      const words = await box.holdfast('leases')
      expect(words.stdout).toContain(`open in ${running.pid}(bash)`)
      expect((await box.holdfast('who', 'tree/a')).stdout).toContain(
        `without an owner, open in ${running.pid}(bash)`,
      )
      running.type('\n')
      await running.ended
    }),
  )

  test(
    'doctor: says what this machine can do, in words and as JSON',
    inSandbox(async (box) => {
      const words = await box.holdfast('doctor')
      expect(words).toMatchObject({ code: 0, stderr: '' })
      for (const subject of [/kernel/i, /fuse/i, /passthrough/i, /privilege|root/i, /timeout/i]) {
        expect(words.stdout).toMatch(subject)
      }
      JSON.parse((await box.holdfast('doctor', '--json')).stdout)
      await box.allGone()
    }),
  )
})

describe('--debug', () => {
  test(
    'a relative name is meant from where the caller is, and may have any bytes',
    inSandbox(async (box) => {
      await box.must('mkdir logged')
      expect(await box.holdfast('mount', '--debug', 'log é', 'logged')).toMatchObject({ code: 0 })
      await box.must('ls logged')
      expect(await box.holdfast('umount', 'logged')).toMatchObject({ code: 0 })
      expect(await box.must('grep -c READDIR "log é"')).toMatch(/^\d+\n?$/)
      await box.allGone()
    }),
  )
})

describe('help', () => {
  test(
    '--help of every command: exit code 0, on standard output, with an example; --version is a number',
    inSandbox(async (box) => {
      const top = await box.holdfast('--help')
      expect(top).toMatchObject({ code: 0, stderr: '' })
      const commands = [
        'mount',
        'umount',
        'run',
        'lease',
        'leases',
        'pins',
        'who',
        'watch',
        'revoke',
        'status',
        'doctor',
      ]
      for (const command of commands) {
        expect(top.stdout).toContain(command)
        const help = await box.holdfast(command, '--help')
        expect(help).toMatchObject({ code: 0, stderr: '' })
        expect(help.stdout).toMatch(new RegExp(`holdfast ${command}`))
      }
      expect((await box.holdfast('--version')).stdout).toMatch(/^(holdfast )?\d+\.\d+\.\d+\n$/)
    }),
  )
})
