/**
 * Errors: one line on standard error that says what, which file, why, and what to do; exit code 1 (it failed)
 * or 2 (wrong usage); nothing left mounted, no process left.
 *
 * "Too old a kernel" cannot be had here: the kernel that runs the tests is the only one there is, so that line
 * is tested below the boundary, where the kernel's INIT is bytes (src/fuse). What an ordinary user may meet is in
 * user.mount.test.ts.
 */
import path from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { eventuallyTrue, staysPending } from './support/eventually.js'
import { NORMAL } from './support/ioctl.js'
import { statusMounts } from './support/listing.js'
import { HOLDFAST } from './support/programs.js'
import { type Result, type Running, Sandbox } from './support/sandbox.js'

let box: Sandbox

beforeAll(async () => {
  box = await Sandbox.create()
  await box.file('data')
  await box.must('mkdir tree other; touch tree/inside; mkfifo fifo; ln -s nowhere dangling; chmod 755 .')
  return async () => await box.dispose()
})

afterEach(async () => {
  await box.allGone()
})

function expectOneLine(result: Result, code: number, ...parts: (string | RegExp)[]): void {
  expect(result.stdout).toBe('')
  expect(result.stderr.trimEnd().split('\n'), result.stderr).toHaveLength(1)
  for (const part of parts) expect(result.stderr).toMatch(part)
  expect(result.stderr).not.toMatch(/\bat .*\.(js|ts|cjs):\d+|undefined|\[object|Error:/)
  expect(result.code).toBe(code)
}

describe('what cannot be done: exit code 1', () => {
  test.each<[string, string[], (string | RegExp)[]]>([
    ['run: FILE missing', ['run', 'missing', '--', 'echo', 'ran'], ['missing', /no such file/i]],
    ['run: a dangling symlink', ['run', 'dangling', '--', 'echo', 'ran'], ['dangling', /no such file/i]],
    ['run: FILE is a directory', ['run', 'tree', '--', 'echo', 'ran'], ['tree', /holdfast mount/]],
    ['run: FILE is a FIFO', ['run', 'fifo', '--', 'echo', 'ran'], ['fifo', /regular/]],
    ['run: FILE is a device', ['run', '/dev/null', '--', 'echo', 'ran'], ['/dev/null', /regular/]],
    ['run: a path through a file', ['run', 'data/x', '--', 'echo', 'ran'], ['data/x', /not a directory/i]],
    ['run: an empty name', ['run', '', '--', 'echo', 'ran'], ["''", /empty/]],
    ['who: an empty name', ['who', ''], ["''", /empty/]],
    ['mount: over the root', ['mount', '/'], [/^holdfast: \/:/, /Holdfast itself needs/]],
    ['mount: over /proc', ['mount', '/proc'], ['/proc', /Holdfast itself needs/]],
    ['mount: over what the engine runs from', ['mount', '/dev', '/usr'], ['/usr', /Holdfast itself needs/]],
    [
      'run: a library of the engine',
      ['run', process.execPath, '--', 'echo', 'ran'],
      [/Holdfast itself needs/],
    ],
    ['lease --fd: a descriptor that only Node has', ['lease', '--fd', '13'], ['13', /not a regular file/]],
    ['mount: DIR missing', ['mount', 'missing'], ['missing', /no such file/i]],
    ['mount: not a directory', ['mount', 'data'], ['data', /not a directory/i, /holdfast run/]],
    ['mount: MOUNTPOINT missing', ['mount', 'tree', 'missing'], ['missing', /no such file/i]],
    ['mount: MOUNTPOINT is a file', ['mount', 'tree', 'data'], ['data', /not a directory/i]],
    ['umount: not a mount', ['umount', 'tree'], ['tree', /not a holdfast mount/i]],
    ['umount: missing', ['umount', 'missing'], ['missing', /no such file/i]],
    ['umount: somebody else’s mount', ['umount', '/proc'], ['/proc', /not a holdfast mount/i]],
    ['who: missing', ['who', 'missing'], ['missing', /no such file/i]],
    [
      'lease --fd: the descriptor is not open',
      ['lease', '--fd', '77', '--exclusive'],
      ['77', /bad file|not open/i],
    ],
    ['run: FILE in /proc', ['run', '/proc/version', '--', 'echo', 'ran'], ['/proc/version']],
    [
      'lease FILE: under no Holdfast mount',
      ['lease', '--exclusive', 'data', '--', 'true'],
      ['data', /holdfast (run|mount)/],
    ],
  ])('%s', async (_name, words, parts) => {
    expectOneLine(await box.holdfast(...words), 1, ...parts)
  })

  test('mount: twice over one DIR: the second is refused, the first stays', async () => {
    const tree = path.join(box.work, 'tree')
    await box.mount(tree)
    expectOneLine(await box.holdfast('mount', tree), 1, 'tree', /already/)
    expect(box.dataMounts()).toHaveLength(1)
    expect(await box.must('ls tree')).toBe('inside\n')
    expectOneLine(await box.holdfast('umount', path.join(tree, 'inside')), 1, /not a holdfast mount/i)
    expect((await box.umount(tree)).code).toBe(0)
  })

  test('umount: an ordinary user does not end what root has mounted', async () => {
    const tree = path.join(box.work, 'tree')
    await box.mount(tree)
    const asUser = ['setpriv', '--reuid=4711', '--regid=4711', '--clear-groups']
    expectOneLine(await box.exec([...asUser, HOLDFAST, 'umount', tree]), 1, tree, /root/, /sudo/)
    expect((await box.umount(tree)).code).toBe(0)
  })

  test('lease --fd: a descriptor under no Holdfast mount', async () => {
    const result = await box.bash(`exec 3<data; '${HOLDFAST}' lease --fd 3 --exclusive`)
    expectOneLine(result, 1, /holdfast (run|mount)/)
  })

  test('lease --fd: a lease that conflicts says so and who holds the other', async () => {
    const tree = path.join(box.work, 'tree')
    await box.mount(tree)
    const agent = await box.agent('holder')
    await agent.setLease(await agent.open(path.join(tree, 'inside')), { mode: 2 })
    const result = await box.bash(`exec 3<>tree/inside; '${HOLDFAST}' lease --fd 3 --exclusive`)
    expectOneLine(result, 1, /Text file busy|ETXTBSY/)
    agent.disconnect()
    await eventuallyTrue('unmounted', async () => (await box.umount(tree)).code === 0)
  })

  test('run: COMMAND is not started when FILE cannot be protected', async () => {
    await box.holdfast('run', 'data', 'missing', '--', 'touch', 'it-ran')
    await box.must('test ! -e it-ran')
  })
})

describe('without what Holdfast needs: exit code 1', () => {
  /** In a mount namespace of its own, after some preparation. */
  async function prepared(preparation: string, ...words: string[]): Promise<Result> {
    const script = `${preparation}\nexec "$@"`
    const argv = [
      'unshare',
      '-m',
      '--propagation',
      'private',
      'bash',
      '-ec',
      script,
      'bash',
      HOLDFAST,
      ...words,
    ]
    return await box.exec(argv)
  }

  const emptyDev = [
    'mkdir -p /run/dev && mount -t tmpfs tmpfs /run/dev',
    'mknod -m 666 /run/dev/null c 1 3; mknod -m 666 /run/dev/zero c 1 5; mknod -m 666 /run/dev/urandom c 1 9',
    'mknod -m 666 /run/dev/random c 1 8; ln -s /proc/self/fd /run/dev/fd; mkdir /run/dev/shm',
    'mount --move /run/dev /dev',
  ].join('\n')

  test.each([
    ['run', ['run', 'data', '--', 'echo', 'ran']],
    ['mount', ['mount', 'tree']],
  ])('%s: no /dev/fuse', async (_name, words) => {
    expectOneLine(await prepared(emptyDev, ...words), 1, /\/dev\/fuse/, /modprobe fuse|load/)
  })

  test('doctor: no /dev/fuse: says so and ends', async () => {
    const result = await prepared(emptyDev, 'doctor')
    expect(result.stdout).toMatch(/\/dev\/fuse/)
    expect([0, 1]).toContain(result.code)
  })

  test('mount: /dev/fuse without a driver behind it', async () => {
    // 10:250 belongs to nobody; opening it fails as it does where the module is not loaded.
    const result = await prepared(`${emptyDev}\nmknod -m 666 /dev/fuse c 10 250`, 'mount', 'tree')
    expectOneLine(result, 1, /\/dev\/fuse/)
  })

  test.each([
    ['run', ['run', 'data', '--', 'echo', 'ran']],
    ['mount', ['mount', 'tree']],
  ])('%s: as root without CAP_SYS_ADMIN', async (_name, words) => {
    const without = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin']
    expectOneLine(await box.exec([...without, HOLDFAST, ...words]), 1, /CAP_SYS_ADMIN|root|sudo|privilege/i)
  })

  test('run: /run cannot be written to', async () => {
    const result = await prepared('mount -o remount,bind,ro /run', 'run', 'data', '--', 'echo', 'ran')
    expectOneLine(result, 1, /\/run/)
  })

  test('run: no node in PATH', async () => {
    const result = await box.exec([
      '/usr/bin/env',
      'PATH=/nowhere',
      '/bin/sh',
      HOLDFAST,
      'run',
      'data',
      '--',
      '/bin/true',
    ])
    if (result.code !== 0) expectOneLine(result, 1, /node/)
  })
})

describe('what it says cannot be written', () => {
  const onFull = async (...words: string[]) =>
    await box.bash('exec "$@" >/dev/full', { args: [HOLDFAST, ...words] })

  test.each([
    ['status', ['status']],
    ['status --json', ['status', '--json']],
    ['help', ['--help']],
    ['help of what the launcher starts', ['run', '--help']],
  ])('%s to a full disk: exit code 1', async (_name, words) => {
    expectOneLine(await onFull(...words), 1, /^holdfast: standard output/)
  })

  test.each([
    ['status', ['status'], 1],
    ['help', ['--help'], 1],
    // The launcher is a shell, and ends as other programs do.
    ['help of what the launcher starts', ['run', '--help'], 141],
  ])('%s to somebody who has gone: not a word', async (_name, words, code) => {
    const script = '"$@" | true; echo "$PIPESTATUS"'
    const result = await box.bash(script, { args: [HOLDFAST, ...words] })
    expect(result).toMatchObject({ stdout: `${code}\n`, stderr: '' })
  })

  test('mount: it is mounted all the same, and says so by its exit code', async () => {
    expectOneLine(await onFull('mount', 'tree'), 0, /^holdfast: standard output/)
    expect(box.dataMounts()).toHaveLength(1)
    expect(await box.holdfast('umount', 'tree')).toMatchObject({ code: 0 })
  })

  test('--debug to a full disk: said in one line, and nobody waits for an answer because of it', async () => {
    const result = await box.bash('"$1" mount --debug /dev/full tree >/dev/null', { args: [HOLDFAST] })
    expectOneLine(result, 0, /^holdfast: \/dev\/full: No space left on device/, /debug log/)
    expect(await box.must('timeout 5 ls tree')).toBe('inside\n')
    expect(await box.holdfast('umount', 'tree')).toMatchObject({ code: 0 })
  })

  test('--debug to a disk that gets full later: the mount goes on', async () => {
    await box.must('mkdir small && mount -t tmpfs -o size=64k tmpfs small')
    expect(await box.holdfast('mount', '--debug', 'small/log', 'tree')).toMatchObject({ code: 0 })
    await box.must('cat /dev/zero 2>/dev/null >small/rest; [ -s small/log ]')
    expect(await box.must('timeout 5 ls tree')).toBe('inside\n')
    expect(await box.holdfast('umount', 'tree')).toMatchObject({ code: 0 })
    await eventuallyTrue('the log is closed', async () => (await box.bash('umount small')).code === 0)
  })
})

describe('an engine that does not answer', () => {
  /** Mounts over two directories, and their engines. */
  async function twoMounts(): Promise<{ tree: string; other: string; engine: number; healthy: number }> {
    const [tree, other] = [path.join(box.work, 'tree'), path.join(box.work, 'other')]
    await box.must('"$1" mount tree && "$1" mount --break-time 60000 other && touch other/inside', {
      args: [HOLDFAST],
    })
    const rows = await statusMounts(box)
    const [engine = 0, healthy = 0] = [tree, other].map((mountpoint) => {
      const row = rows.find((one) => one.mountpoint === mountpoint)
      return (row?.engine as { pid: number } | undefined)?.pid
    })
    return { tree, other, engine, healthy }
  }

  /** A shell that has a file open, and goes on to a command when it is told. */
  async function opener(file: string, ...command: string[]): Promise<Running> {
    const script = 'exec 3<"$1"; shift; echo open; read; exec "$@"'
    const running = box.start(['bash', '-c', script, 'bash', file, HOLDFAST, ...command], { stdin: 'pipe' })
    await running.says('open')
    return running
  }

  /** SIGKILL reaches a stopped process, too. */
  async function end(...engines: number[]): Promise<void> {
    for (const pid of engines) process.kill(pid, 'SIGKILL')
    await box.allGone()
  }

  test('stopped: whoever needs it is told so in one line at once, and nobody else', async () => {
    const { tree, other, engine, healthy } = await twoMounts()
    await box.must('ln -s tree/inside link')
    const [late, holder] = [
      await opener('tree/inside', 'lease', '--fd', '3'),
      await opener('other/inside', 'lease', '--fd', '3'),
    ]
    const stopped = new RegExp(`^holdfast: ${tree}: its engine \\(pid ${engine}\\) is stopped: 'kill -CONT`)
    process.kill(engine, 'SIGSTOP')
    try {
      const needIt = [
        ['leases', 'tree'],
        ['who', 'tree/inside'],
        ['who', 'link'],
        ['pins'],
        ['lease', '--wait', 'tree/inside', '--', 'echo', 'ran'],
        ['run', 'tree/inside', '--', 'echo', 'ran'],
        ['run', '--debug', 'tree/log', 'data', '--', 'echo', 'ran'],
        ['mount', 'tree'],
        ['watch', 'tree'],
        ['revoke', '1'],
        ['revoke', '1', 'tree/inside'],
      ]
      const told = await Promise.all(needIt.map(async (words) => await box.holdfast(...words)))
      for (const result of told) expectOneLine(result, 1, stopped)
      expectOneLine(await box.holdfast('umount', 'tree'), 1, stopped, `'kill -KILL ${engine}' ends it`)
      late.type('\n')
      const { stdout, ...ended } = await late.ended
      expect(stdout).toBe('open\n')
      expectOneLine({ ...ended, stdout: '' }, 1, stopped)

      // What is known of others is listed.
      const listed = [['status'], ['status', '--json'], ['leases', '--json']]
      const [status, json, leases] = await Promise.all(
        listed.map(async (words) => await box.holdfast(...words)),
      )
      for (const result of [status, json, leases]) {
        if (result === undefined) throw new Error('no result')
        expectOneLine({ ...result, stdout: '' }, 1, stopped)
      }
      expect(status?.stdout).toContain(other)
      expect(JSON.parse(json?.stdout ?? '')).toMatchObject({
        mounts: [{ mountpoint: other }],
        silent: [{ mountpoints: [tree], pid: engine }],
      })
      expect(JSON.parse(leases?.stdout ?? '')).toEqual([])
      holder.type('\n')
      expect(await holder.ended).toMatchObject({ code: 0, stderr: '' })
      const needNot = [
        ['who', 'other/inside'],
        ['leases', 'other'],
        ['run', 'data', '--', 'true'],
        ['doctor'],
      ]
      for (const result of await Promise.all(needNot.map(async (words) => await box.holdfast(...words)))) {
        expect(result).toMatchObject({ code: 0, stderr: '' })
      }

      // Nobody who asked it is left behind.
      await eventuallyTrue('all have ended', (saw) => {
        const left = box.processes().filter(({ command }) => command.includes('/version'))
        saw(left)
        return left.length === 0
      })
      process.kill(engine, 'SIGCONT')
      expect(await box.holdfast('who', 'tree/inside')).toMatchObject({ code: 0, stderr: '' })
    } finally {
      await box.must('rm -f link')
      await end(engine, healthy)
    }
  })

  test('killed, and its supervisor too: a lease says so, and umount is content with what is left', async () => {
    await box.must('"$1" mount tree', { args: [HOLDFAST] })
    const late = await opener('tree/inside', 'lease', '--fd', '3')
    await eventuallyTrue('a supervisor runs', () => box.daemons().length === 2)
    for (const daemon of box.daemons()) process.kill(daemon.pid, 'SIGKILL')
    await eventuallyTrue('no process of Holdfast is left', () => box.daemons().length === 0)
    late.type('\n')
    const { stdout, ...ended } = await late.ended
    expect(stdout).toBe('open\n')
    expectOneLine({ ...ended, stdout: '' }, 1, /^holdfast: descriptor 3: .*the engine of its mount has ended/)
    expect(await box.holdfast('umount', 'tree')).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await box.must('ls tree')).toBe('inside\n')
  })

  test('held by a debugger: said after five seconds; who waits for a lease goes on waiting', async () => {
    const { tree, engine, healthy } = await twoMounts()
    const holder = await box.agent('keeper')
    const fd = await holder.open(path.join(box.work, 'other/inside'))
    await holder.setLease(fd, { flags: NORMAL })
    const waiter = box.start([
      'bash',
      '-c',
      'exec 3<>other/inside; exec "$0" lease --fd 3 --write --wait',
      HOLDFAST,
    ])
    const script = [
      'import ctypes, os, sys, time',
      'libc = ctypes.CDLL(None, use_errno=True)',
      'pid = int(sys.argv[1])',
      // PTRACE_ATTACH
      'assert libc.ptrace(16, pid, 0, 0) == 0, os.strerror(ctypes.get_errno())',
      'os.waitpid(pid, 0x40000000)',
      'print("attached", flush=True)',
      'time.sleep(1000)',
    ].join('\n')
    const tracer = box.start(['python3', '-c', script, String(engine)])
    try {
      await tracer.says('attached')
      const asked = [['umount', 'tree'], ['status'], ['who', 'tree/inside']]
      const told = await Promise.all(asked.map(async (words) => await box.holdfast(...words)))
      const line = new RegExp(
        `^holdfast: ${tree}: its engine \\(pid ${engine}\\) is held by a debugger \\(pid ${tracer.pid}\\)`,
      )
      for (const result of told) {
        expectOneLine({ ...result, stdout: '' }, 1, line)
        expect(result.durationMs).toBeGreaterThan(5_000)
        expect(result.durationMs).toBeLessThan(10_000)
      }
      await staysPending('the lease that is waited for', waiter.ended)
      await holder.call('close', fd)
      expect(await waiter.ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^lease \d+\n$/) })
    } finally {
      await tracer.kill()
      await waiter.kill()
      await end(engine, healthy)
    }
  })
})

describe('wrong usage: exit code 2', () => {
  test.each<[string, string[], (string | RegExp)[]]>([
    ['a command misspelt', ['moutn', 'tree'], [/mount/]],
    ['a command that is nothing', ['frobnicate'], [/frobnicate/]],
    ['an option misspelt', ['run', '--strct', 'data', '--', 'true'], [/--strct/, /--strict/]],
    ['an option of a listing misspelt', ['leases', '--jsno'], [/--jsno/, /--json/]],
    ['run without FILE', ['run', '--', 'true'], [/FILE/i]],
    ['run without COMMAND', ['run', 'data'], [/COMMAND|--/]],
    ['run with nothing behind --', ['run', 'data', '--'], [/COMMAND/i]],
    ['mount without DIR', ['mount'], [/DIR/i]],
    ['mount with too much', ['mount', 'a', 'b', 'c'], []],
    ['umount without MOUNTPOINT', ['umount'], [/MOUNTPOINT/i]],
    ['lease --fd without a number', ['lease', '--fd', 'x', '--exclusive'], [/--fd|fd/]],
    ['lease --fd with a negative number', ['lease', '--fd', '-1', '--exclusive'], []],
    ['lease with neither --fd nor FILE', ['lease', '--exclusive'], [/--fd|FILE/]],
    ['lease --fd with a COMMAND', ['lease', '--fd', '3', '--', 'true'], [/--fd N/, /FILE -- COMMAND/]],
    ['lease with a range that is none', ['lease', '--start', '-5', 'data', '--', 'true'], [/--start -5/]],
    ['pins of something that is no pid', ['pins', 'abc'], [/abc/]],
    ['who without PATH', ['who'], [/PATH/i, /holdfast who --help/]],
    ['help of a command that is none', ['help', 'frobnicate'], [/frobnicate/]],
    ['--help of a command that is none', ['frobnicate', '--help'], [/frobnicate/]],
  ])('%s', async (_name, words, parts) => {
    expectOneLine(await box.holdfast(...words), 2, ...parts)
  })

  test('no command at all: usage on standard error, exit code 2', async () => {
    const result = await box.holdfast()
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(/usage/i)
  })

  test('run: options of COMMAND are COMMAND’s', async () => {
    const result = await box.holdfast('run', 'data', '--', 'echo', '--strict', '--help', '--', '-x')
    expect(result).toMatchObject({ code: 0, stdout: '--strict --help -- -x\n', stderr: '' })
  })
})
