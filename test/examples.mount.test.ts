/** What is in examples/, run as its README says, on a real mount: what it prints, and that others are let go on. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { controlDirectory, readEventsOf } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { EXCLUSIVE } from './support/ioctl.js'
import { listing } from './support/listing.js'
import { HOLDFAST, REPOSITORY } from './support/programs.js'
import { PLAIN_ENVIRONMENT, type Running, Sandbox } from './support/sandbox.js'

const SIZE = 65_536
const EXAMPLES = path.join(REPOSITORY, 'examples')
/** As the README asks for it: `holdfast` is in PATH. Python must not leave compiled files in the tree. */
const ENVIRONMENT = {
  ...PLAIN_ENVIRONMENT,
  PATH: `${path.dirname(HOLDFAST)}:${PLAIN_ENVIRONMENT.PATH}`,
  PYTHONDONTWRITEBYTECODE: '1',
}

let box: Sandbox
let built: string
let file: string
let other: Agent
let counter = 0

beforeAll(async () => {
  box = await Sandbox.create()
  built = mkdtempSync(path.join(tmpdir(), 'hf-examples-'))
  // Another user runs one of them.
  chmodSync(built, 0o755)
  await box.must('mkdir tree')
  await box.mount(path.join(box.work, 'tree'))
  await box.must('make -C "$1" OUT="$2"', { args: [path.join(EXAMPLES, 'c'), built] })
  other = await box.agent('other')
})

afterAll(async () => {
  await box.dispose()
  rmSync(built, { recursive: true })
})

beforeEach(async () => {
  file = await box.file(`tree/file-${++counter}`, SIZE)
})

function example(name: string, ...args: string[]): Running {
  return box.start(
    [name.startsWith('c/') ? path.join(built, name.slice(2)) : path.join(EXAMPLES, name), ...args],
    {
      env: ENVIRONMENT,
    },
  )
}

async function ended(running: Running): Promise<string[]> {
  await eventuallyTrue(
    `${running.argv.join(' ')} ends`,
    (saw) => {
      saw({ stdout: running.stdout, stderr: running.stderr })
      return running.result !== undefined
    },
    10_000,
  )
  expect(running.result).toMatchObject({ code: 0, stderr: '' })
  return running.stdout.trimEnd().split('\n')
}

async function leaseOf(target: string): Promise<Record<string, unknown>> {
  const rows = await listing(box, 'leases', target)
  expect(rows).toHaveLength(1)
  return rows[0] ?? {}
}

test('examples/c builds with every compiler that is there, without a warning', async () => {
  for (const compiler of ['gcc', 'clang']) {
    if ((await box.bash(`command -v ${compiler}`)).code !== 0) continue
    const directory = path.join(box.outside, compiler)
    const make = 'mkdir -p "$2" && make -C "$1" CC="$3" OUT="$2"'
    const result = await box.bash(make, { args: [path.join(EXAMPLES, 'c'), directory, compiler] })
    expect(result).toMatchObject({ code: 0, stderr: '' })
  }
})

test('examples/README.md names every example', async () => {
  const names = await box.must('cd "$1" && ls c/*.c python/*.py shell/*.sh', { args: [EXAMPLES] })
  const text = await box.must('cat "$1"', { args: [path.join(EXAMPLES, 'README.md')] })
  for (const name of names.trim().split('\n')) {
    expect(text).toContain(name.startsWith('c/') ? `\`${path.basename(name, '.c')} FILE` : `\`${name}`)
  }
})

describe('hold, be told, let go', () => {
  test.each([
    ['c/hold', /^lease (\d+) is breaking: \d+ ms to let go$/],
    ['python/hold.py', /^lease (\d+) is breaking: \d+ ms to let go$/],
    ['shell/letgo.sh', /^told: lease (\d+) is breaking$/],
  ])('B1, B2: %s is told of a truncate, lets go, and the truncate goes ahead', async (name, told) => {
    const running = example(name, file)
    await running.says(`holding ${file}`)
    const { id, owners, level, state } = await leaseOf(file)
    expect({ level, state }).toEqual({ level: 'normal', state: 'active' })
    // Also the shell, which took it by another program.
    expect(owners).toMatchObject([{ pid: running.pid }])
    expect(running.stdout).toContain(`lease ${id}`)
    // Growing is nobody's business.
    expect(await other.call('truncate', file, SIZE + 1)).toBe('0')
    expect(running.result).toBeUndefined()

    const start = performance.now()
    expect(await other.call('truncate', file, 7)).toBe('0')
    // The break time is 10 s: it went ahead because it was let.
    expect(performance.now() - start).toBeLessThan(5_000)
    const [first = '', second = '', ...more] = await ended(running)
    expect(first).toContain(`holding ${file}`)
    expect(told.exec(second)?.[1]).toBe(String(id))
    expect(more).toEqual(['let go'])
    expect(await listing(box, 'leases', file)).toEqual([])
    expect(await other.call('stat', file)).toMatch(/^7 /)
  })

  test('B5: c/hold and python/hold.py that were stopped for too long find their lease revoked', async () => {
    const control = await controlDirectory(box, file)
    await box.must('echo "break-time 300" > "$1/ctl"', { args: [control] })
    try {
      for (const name of ['c/hold', 'python/hold.py']) {
        await box.must('truncate -s 100 "$1"', { args: [file] })
        const running = example(name, file)
        await running.says(`holding ${file}`)
        running.signal('SIGSTOP')
        expect(await other.call('truncate', file, 7)).toBe('0')
        running.signal('SIGCONT')
        expect((await ended(running)).slice(1)).toEqual([
          expect.stringMatching(/^lease \d+ was revoked$/),
          'let go',
        ])
      }
    } finally {
      await box.must('echo "break-time 10000" > "$1/ctl"', { args: [control] })
    }
  })

  test('L8: c/hold says that nobody waits for a stranger', async () => {
    const stranger = ['setpriv', '--reuid=4711', '--clear-groups', path.join(built, 'hold'), file]
    const running = box.start(stranger, { env: ENVIRONMENT })
    await running.says('nobody will wait for us')
    expect(await other.call('truncate', file, 7)).toBe('0')
    expect((await ended(running)).at(-1)).toBe('let go')
  })
})

test('P2, P4, P5: c/share keeps a page by a pin context that only another process has', async () => {
  const lines = (await ended(example('c/share', file))).map((line) => line.replace(/\d+/g, 'N'))
  const inOrder = lines.filter((line) => !line.startsWith('worker: has'))
  expect(inOrder).toEqual([
    'lease N, pin N of N bytes',
    'release: Device or resource busy',
    'server: closed file and pin context',
    'a truncate would fail: Resource deadlock avoided, because of lease N',
    'worker: closed the pin context',
    'a truncate would go ahead',
  ])
  expect(lines).toContain('worker: has the pin context')
})

test('R3: python/events.py prints what happens to its file and to no other, with who was refused', async () => {
  const running = example('python/events.py', file)
  await running.says('watching')
  const elsewhere = await box.file(`tree/elsewhere-${counter}`)
  await other.setLease(await other.open(elsewhere))
  const holder = await box.agent(`holder-${counter}`)
  const fd = await holder.open(file)
  const { id } = await holder.setLease(fd, { flags: EXCLUSIVE })
  expect(await other.call('truncate', file, 0)).toBe('ETXTBSY')
  expect(await holder.release(fd, id)).toBe('ok')
  await running.says('released')
  holder.disconnect()
  running.signal('SIGINT')
  expect(await ended(running)).toEqual([
    `watching ${file}`,
    `granted lease ${id}`,
    expect.stringMatching(
      `^refused lease ${id}: truncate by ${other.pid} \\(leasectl.*\\), answered ETXTBSY$`,
    ),
    `released lease ${id}: release`,
  ])
})

test('X1: shell/copy.sh has an exclusive lease while it copies, as its own output shows, and no longer', async () => {
  const copy = path.join(box.outside, 'copy')
  const lines = await ended(example('shell/copy.sh', file, copy))
  expect(lines[0]).toMatch(/^lease \d+$/)
  expect(lines[1]).toContain(`${file}: exclusive read ${lines[0]} on whole file`)
  await box.must('cmp "$1" "$2"', { args: [file, copy] })
  expect(await other.call('truncate', file, 0)).toBe('0')
})

test('X1: shell/copy.sh: a truncate in the middle of the copy is refused', async () => {
  // A reader that does not read yet: the copy stops when the pipe is full.
  await box.must('head -c 1000000 /dev/zero > "$1" && mkfifo "$2"', {
    args: [file, path.join(box.outside, 'pipe')],
  })
  const running = example('shell/copy.sh', file, path.join(box.outside, 'pipe'))
  const reader = box.start([
    'sh',
    '-c',
    'exec <"$1"; read -r go; exec cat >&2',
    'sh',
    path.join(box.outside, 'pipe'),
  ])
  await eventuallyTrue('the lease is there', async () => (await listing(box, 'leases', file)).length === 1)
  expect(await other.call('truncate', file, 0)).toBe('ETXTBSY')
  await reader.kill()
  await running.ended
  expect(await other.call('truncate', file, 0)).toBe('0')
})

test('R3: shell/watch.sh prints every event, one JSON object a line, and leaves nothing when it is ended', async () => {
  const running = example('shell/watch.sh')
  const events = await readEventsOf(box, `${await controlDirectory(box, file)}/events`)
  const holder = await box.agent(`holder-${counter}`)
  // Opening takes its time: a lease is taken until one is seen.
  await eventuallyTrue('watch.sh prints an event', async () => {
    const fd = await holder.open(file)
    await holder.setLease(fd)
    await holder.call('close', fd)
    return running.stdout.includes('\n')
  })
  const last = await holder.setLease(await holder.open(file))
  await running.says(`"event":"granted","lease":${last.id},`)
  holder.disconnect()
  for (const line of running.stdout.trimEnd().split('\n')) {
    expect(JSON.parse(line)).toMatchObject({ time: expect.any(String), file })
  }
  running.signal('SIGTERM')
  await ended(running)
  await events.stop()
  await eventuallyTrue(
    'no reader is left',
    () => !box.processes().some((line) => /^cat .*events$/.test(line.command)),
  )
})

describe('a break told by a signal', () => {
  test('B2, L5: c/signal gets its signal with the descriptor in si_value, once, and lets go', async () => {
    const running = example('c/signal', file)
    await running.says('holding')
    const descriptor = /on descriptor (\d+)/.exec(running.stdout)?.[1]
    const start = performance.now()
    expect(await other.call('truncate', file, 7)).toBe('0')
    expect(performance.now() - start).toBeLessThan(5_000)
    expect((await ended(running)).slice(1)).toEqual([
      `told by signal SIGRTMIN+0, value ${descriptor}`,
      'let go',
    ])
  })
})

test('without a Holdfast mount every example says so and changes nothing', async () => {
  const plain = path.join(box.outside, 'plain')
  await box.must('echo x > "$1"', { args: [plain] })
  for (const name of [
    'c/hold',
    'c/share',
    'c/signal',
    'python/hold.py',
    'python/events.py',
    'shell/letgo.sh',
  ]) {
    const running = example(name, plain)
    const { code, stderr } = await running.ended
    expect(code, name).toBe(1)
    expect(stderr, name).toMatch(/not (a file )?on a Holdfast mount|Inappropriate ioctl for device/)
  }
})
