/**
 * The mount world of the litmus lab: does it really do, on a real mount, what the actions of a scenario say, and does
 * it tell what came of them? Scenarios about the rules are elsewhere (src/litmus/scenarios); these are about the
 * world. It keeps the runner away from the mount and leaves nothing behind, whatever becomes of the runner.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { mountWorld } from '../dist/litmus/mount/index.js'
import {
  type Action,
  DEFAULT_MOUNT,
  type MountSpec,
  type Name,
  type Notice,
  type Outcome,
  type Scenario,
  WHOLE_FILE,
} from '../dist/litmus/scenario.js'
import type { World, WorldMaker } from '../dist/litmus/world.js'
import { eventuallyTrue } from './support/eventually.js'

const FILE_BYTES = 16_384

/** Root's A and B, alice's C and bob's D; root's file f, and g that alice owns. */
function scenario(mount: Partial<MountSpec> = {}): Scenario {
  return {
    name: 'world/test',
    claim: 'the world does what it is told',
    rules: ['L1'],
    question: null,
    modelOnly: null,
    mount: { ...DEFAULT_MOUNT, ...mount },
    files: [
      { name: 'f', sizeBytes: FILE_BYTES, owner: 'root', mode: 0o644 },
      { name: 'g', sizeBytes: FILE_BYTES, owner: 'alice', mode: 0o666 },
    ],
    processes: [
      { name: 'A', user: 'root' },
      { name: 'B', user: 'root' },
      { name: 'C', user: 'alice' },
      { name: 'D', user: 'bob' },
    ],
    lines: [],
  }
}

const OK: Outcome = { is: 'ok', value: '' }
const WAITS: Outcome = { is: 'waits' }
const ok = (value: string): Outcome => ({ is: 'ok', value })
const failed = (errno: string): Outcome => ({ is: 'failed', errno })
const killed = (signal: string): Outcome => ({ is: 'killed', signal })

const open = (file: Name, as: Name, flags: Extract<Action, { do: 'open' }>['flags'] = ['rdwr']): Action => ({
  do: 'open',
  file,
  flags,
  as,
})
const TERMS = { mode: 'read', level: 'normal', whenBusy: 'fail', breakTimeMs: 0 } as const
const lease = (fd: Name, as: Name, terms: Partial<Extract<Action, { do: 'lease' }>> = {}): Action => ({
  ...TERMS,
  ...terms,
  do: 'lease',
  fd,
  bytes: WHOLE_FILE,
  as,
})
const release = (fd: Name, name: Name | null): Action => ({ do: 'release', fd, lease: name })
const truncate = (file: Name, sizeBytes = 0): Action => ({ do: 'truncate', target: { file }, sizeBytes })
const touch = (mapping: Name, offset: number): Action => ({ do: 'touch', mapping, offset })
const read = (fd: Name, countBytes: number): Action => ({ do: 'read', fd, offset: 0, countBytes })
const kill = (process: Name, signal: Extract<Action, { do: 'kill' }>['signal']): Action => ({
  do: 'kill',
  process,
  signal,
})

describe.each([
  ['with passthrough', true],
  ['without passthrough', false],
])('%s', (_title, passthrough) => {
  let maker: WorldMaker
  let world: World

  beforeAll(async () => {
    maker = await mountWorld({ passthrough })
  })
  afterAll(async () => {
    await maker.close()
  })
  afterEach(async () => {
    await world.close()
  })

  async function begin(mount: Partial<MountSpec> = {}): Promise<void> {
    world = await maker.make(scenario(mount))
  }

  async function does(process: Name, action: Action): Promise<Outcome> {
    return (await world.start(process, action)).outcome
  }

  /** Each of them is done by the process, and comes to what is said. */
  async function play(lines: readonly (readonly [Name, Action, Outcome])[]): Promise<void> {
    for (const [process, action, expected] of lines) {
      expect([process, action.do, await does(process, action)]).toEqual([process, action.do, expected])
    }
  }

  async function events(...kinds: string[]): Promise<Notice[]> {
    const notices = await world.notices()
    return notices.filter((notice) => notice.kind === 'event' && kinds.includes(notice.event))
  }

  test('reads, writes, allocates, punches, zeroes and copies, with the results that system calls have', async () => {
    await begin()
    const bytes = { start: 0, end: 4096 }
    const punch: Action = { do: 'fallocate', change: 'punch', fd: 'f1', bytes }
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', open('g', 'g1'), OK],
      ['A', read('f1', 8192), ok('8192 data')],
      ['A', punch, OK],
      ['A', read('f1', 8192), ok('8192 mixed')],
      ['A', { ...punch, change: 'zero', bytes: { start: 4096, end: 8192 } }, OK],
      ['A', read('f1', 8192), ok('8192 zeros')],
      ['A', { ...punch, change: 'collapse' }, failed('EOPNOTSUPP')],
      ['A', { do: 'write', fd: 'f1', offset: 0, countBytes: 100 }, ok('100')],
      ['A', read('f1', 100), ok('100 data')],
      ['A', { do: 'allocate', fd: 'f1', bytes: { start: 0, end: 32_768 } }, OK],
      ['A', { do: 'read', fd: 'f1', offset: FILE_BYTES, countBytes: 100 }, ok('100 zeros')],
      [
        'A',
        { do: 'copy', from: 'f1', fromOffset: 4096, to: 'g1', toOffset: 0, countBytes: 4096 },
        ok('4096'),
      ],
      ['A', read('g1', 4096), ok('4096 zeros')],
      ['A', { do: 'truncate', target: { fd: 'g1' }, sizeBytes: 0 }, OK],
      ['A', read('g1', 1), ok('0')],
      ['A', { do: 'close', fd: 'g1' }, OK],
      ['A', read('g1', 1), failed('EBADF')],
    ])
  })

  test('processes are the users they are said to be', async () => {
    await begin()
    await play([
      ['D', open('f', 'f1'), failed('EACCES')],
      ['D', open('f', 'f1', ['rdonly']), OK],
      ['D', truncate('f'), failed('EACCES')],
      ['D', { do: 'chmod', file: 'g', mode: 0o600 }, failed('EPERM')],
      ['C', { do: 'chmod', file: 'g', mode: 0o600 }, OK],
      ['D', open('g', 'g1', ['rdonly']), failed('EACCES')],
      ['A', { do: 'chown', file: 'g', owner: 'bob' }, OK],
      ['D', open('g', 'g1', ['rdonly']), OK],
      ['C', open('g', 'g1', ['rdonly']), failed('EACCES')],
      ['D', kill('A', 'SIGUSR1'), failed('EPERM')],
      ['C', { do: 'become', user: 'root' }, failed('EPERM')],
      ['B', { do: 'become', user: 'alice' }, OK],
      ['B', open('g', 'g1'), failed('EACCES')],
    ])
  })

  test('a file keeps its name in the scenario wherever its path goes; a file that is gone is ENOENT', async () => {
    await begin()
    await play([
      ['A', { do: 'rename', file: 'f' }, OK],
      ['A', { do: 'rename', file: 'f' }, OK],
      ['B', open('f', 'f1'), OK],
      ['B', open('f', 'f2', ['rdwr', 'past']), OK],
      ['A', { do: 'unlink', file: 'f' }, OK],
      ['A', truncate('f'), failed('ENOENT')],
      ['B', read('f1', 100), ok('100 data')],
      ['B', lease('f2', 'L'), failed('ENOTTY')],
    ])
  })

  test('a truncate of a leased file waits, its owners are told, and it goes ahead when they let go', async () => {
    await begin()
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', lease('f1', 'L'), OK],
      ['A', { do: 'poll', fd: 'f1' }, OK],
    ])
    const started = await world.start('B', truncate('f'), true)
    expect(started.outcome).toEqual(WAITS)
    expect(await events('break')).toEqual([{ kind: 'event', event: 'break', lease: 'L', offender: 'B' }])
    expect(await does('A', { do: 'poll', fd: 'f1' })).toEqual(ok('PRI'))
    expect(await world.sight('L')).toMatchObject({ state: 'breaking', owners: ['A'], pinCount: 0 })
    expect(await world.finished()).toEqual([])
    await expect(world.start('B', truncate('f'))).rejects.toThrow("its 'truncate' has not returned")
    await play([['A', release('f1', 'L'), OK]])
    expect(await world.finished()).toEqual([{ id: started.id, outcome: OK }])
    expect(await world.leases()).toEqual([])
    expect(await does('A', read('f1', 1))).toEqual(ok('0'))
  })

  test('a write to a file whose truncate waits, waits in the kernel and goes on with it', async () => {
    await begin()
    await play([
      ['A', open('f', 'f1'), OK],
      ['C', open('f', 'c1', ['rdonly']), OK],
      ['A', lease('f1', 'L'), OK],
      ['B', truncate('f'), WAITS],
      ['C', read('c1', 1), ok('1 data')],
    ])
    const write = await world.start('A', { do: 'write', fd: 'f1', offset: 0, countBytes: 10 }, true)
    expect(write.outcome).toEqual(WAITS)
    await world.passDeadlines()
    const finished = await world.finished()
    expect(finished).toContainEqual({ id: write.id, outcome: ok('10') })
    expect(finished).toHaveLength(2)
    expect(await world.sight('L')).toMatchObject({ state: 'revoked' })
    expect(await does('C', read('c1', 100))).toEqual(ok('10 data'))
  })

  test('time stands still until it is told to pass', async () => {
    await begin({ breakTimeMs: 600 })
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', lease('f1', 'L', { breakTimeMs: 200 }), OK],
      ['B', truncate('f'), WAITS],
    ])
    await world.pass(199)
    expect(await world.sight('L')).toMatchObject({ state: 'breaking' })
    expect(await world.finished()).toEqual([])
    await world.pass(1)
    expect(await world.finished()).toHaveLength(1)
    expect(await world.sight('L')).toMatchObject({ state: 'revoked' })
    expect(await does('A', { do: 'poll', fd: 'f1' })).toEqual(ok('ERR'))
  })

  test('a signal interrupts what waits, and is told with its value', async () => {
    await begin()
    const own = (signal: 'SIGUSR1' | 'SIGUSR2' | 'SIGIO', value: number): Action => {
      return { do: 'own', fd: 'f1', lease: 'L', who: 'self', operation: 'add', signal, value }
    }
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', lease('f1', 'L'), OK],
      ['A', own('SIGUSR2', -5), OK],
      ['A', { do: 'fork', as: 'E' }, OK],
      ['E', own('SIGIO', 2_000_000_000), OK],
      ['E', { ...own('SIGUSR1', 3), who: 'parent' } as Action, OK],
    ])
    const started = await world.start('B', truncate('f'), true)
    expect(started.outcome).toEqual(WAITS)
    await play([['D', kill('B', 'SIGUSR1'), failed('EPERM')]])
    await play([['A', kill('B', 'SIGUSR1'), OK]])
    expect(await world.finished()).toEqual([{ id: started.id, outcome: failed('EINTR') }])
    const signals = (await world.notices()).filter(({ kind }) => kind === 'signal')
    expect(signals).toHaveLength(3)
    expect(signals).toContainEqual({ kind: 'signal', process: 'A', signal: 'SIGUSR1', value: 3 })
    expect(signals).toContainEqual({ kind: 'signal', process: 'E', signal: 'SIGIO', value: 2_000_000_000 })
    expect(signals).toContainEqual({ kind: 'signal', process: 'B', signal: 'SIGUSR1', value: 0 })
  })

  test('fork and a descriptor that is sent share the open file description', async () => {
    await begin()
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', lease('f1', 'L'), OK],
      ['A', { do: 'fork', as: 'E' }, OK],
      ['A', { do: 'send', fd: 'f1', to: 'D', as: 'd1' }, OK],
      ['A', { do: 'send', fd: 'f1', to: 'B', as: 'b1' }, OK],
      ['A', { do: 'exit' }, OK],
    ])
    expect(await world.isAlive('A')).toBe(false)
    expect(await world.sight('L')).toMatchObject({ state: 'active', owners: [] })
    await play([
      ['B', { do: 'dup', fd: 'b1', as: 'b2' }, OK],
      ['B', { do: 'close', fd: 'b1' }, OK],
      ['E', { do: 'close', fd: 'f1' }, OK],
      ['D', { do: 'own', fd: 'd1', lease: 'L', who: 'self', operation: 'add', signal: null, value: 0 }, OK],
    ])
    expect(await world.sight('L')).toMatchObject({ owners: ['D'] })
    await play([['B', { do: 'close', fd: 'b2' }, OK]])
    expect(await world.leases()).toEqual(['L'])
    await play([['D', { do: 'close', fd: 'd1' }, OK]])
    expect(await world.leases()).toEqual([])
    await expect(does('A', read('f1', 1))).rejects.toThrow('it is dead')
  })

  test('exec keeps descriptors and the process, and drops mappings', async () => {
    await begin()
    await play([
      ['C', open('g', 'g1'), OK],
      ['C', { do: 'map', fd: 'g1', bytes: { start: 0, end: 4096 }, as: 'm' }, OK],
      ['C', lease('g1', 'L'), OK],
      ['C', { do: 'exec' }, OK],
      ['C', touch('m', 0), failed('EINVAL')],
      ['C', read('g1', 10), ok('10 data')],
      ['C', open('f', 'f1'), failed('EACCES')],
      ['C', { do: 'fork', as: 'E' }, OK],
      ['E', read('g1', 10), ok('10 data')],
      ['C', { do: 'exec' }, OK],
      ['A', kill('C', 'SIGUSR2'), OK],
    ])
    expect(await world.sight('L')).toMatchObject({ owners: ['C'] })
    expect(await world.notices()).toContainEqual({
      kind: 'signal',
      process: 'C',
      signal: 'SIGUSR2',
      value: 0,
    })
  })

  test('a mapping sees the file; where the file ends, the process that touches it is killed', async () => {
    await begin()
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', { do: 'map', fd: 'f1', bytes: WHOLE_FILE, as: 'm' }, OK],
      ['A', { do: 'map', fd: 'f1', bytes: { start: 0, end: 4096 }, as: 'n' }, OK],
      ['A', touch('m', 4096), ok('data')],
      ['A', { do: 'fallocate', change: 'punch', fd: 'f1', bytes: { start: 4096, end: 8192 } }, OK],
      ['A', touch('m', 4096), ok('zeros')],
      ['A', { do: 'fork', as: 'E' }, OK],
      ['E', touch('m', 0), failed('EINVAL')],
      ['A', { do: 'unmap', mapping: 'n' }, OK],
      ['A', touch('n', 0), failed('EINVAL')],
      ['B', truncate('f', 4096), OK],
      ['A', touch('m', 0), ok('data')],
      ['A', touch('m', 4096), killed('SIGBUS')],
    ])
    expect(await world.isAlive('A')).toBe(false)
    expect(await world.isAlive('E')).toBe(true)
  })

  test('pins, of the process and of a context, are counted, listed and refuse', async () => {
    await begin()
    const bytes = { start: 0, end: 4096 }
    const pin = (through: Name, as: Name): Action => ({ do: 'pin', through, lease: 'L', bytes, as })
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', lease('f1', 'L', { level: 'exclusive' }), OK],
      ['A', pin('f1', 'P'), ok('1')],
      ['A', pin('f1', 'P'), ok('2')],
      ['A', { do: 'context', as: 'c' }, OK],
      ['A', pin('c', 'Q'), ok('1')],
      ['B', { do: 'pins', process: 'A' }, ok('c: f; f')],
      ['B', truncate('f'), failed('ETXTBSY')],
      ['A', { do: 'query', fd: 'f1', change: 'punch', bytes }, failed('EDEADLK')],
      ['A', release('f1', 'L'), failed('EBUSY')],
      ['B', { do: 'revoke', lease: 'L', kill: false }, failed('EBUSY')],
      ['A', { do: 'unpin', through: 'f1', pin: 'P' }, OK],
      ['A', { do: 'unpin', through: 'f1', pin: 'P' }, OK],
      ['A', { do: 'unpin', through: 'f1', pin: 'P' }, failed('ENOENT')],
      ['A', { do: 'close', fd: 'c' }, OK],
      ['B', { do: 'pins', process: 'A' }, failed('ENOENT')],
      ['B', { do: 'revoke', lease: 'L', kill: false }, OK],
      ['B', truncate('f'), OK],
    ])
    expect(await events('refused')).toEqual([{ kind: 'event', event: 'refused', lease: 'L', offender: 'B' }])
    expect(await world.sight('L')).toMatchObject({ state: 'revoked', level: 'exclusive' })
  })

  test('a process that waits can be killed, and one that is stopped does nothing', async () => {
    await begin()
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', lease('f1', 'L', { mode: 'write' }), OK],
      ['B', open('f', 'f1'), OK],
    ])
    const started = await world.start('B', lease('f1', 'M', { whenBusy: 'wait' }), true)
    expect(started.outcome).toEqual(WAITS)
    await play([['D', kill('B', 'SIGKILL'), failed('EPERM')]])
    await play([['C', open('g', 'g1'), OK]])
    await play([['A', kill('B', 'SIGKILL'), OK]])
    expect(await world.isAlive('B')).toBe(false)
    expect(await world.finished()).toEqual([{ id: started.id, outcome: killed('SIGKILL') }])
    await play([
      ['A', kill('B', 'SIGUSR1'), failed('ESRCH')],
      ['A', kill('C', 'SIGSTOP'), OK],
    ])
    await expect(does('C', read('g1', 1))).rejects.toThrow('it is stopped')
    expect(await world.isAlive('C')).toBe(true)
    await play([
      ['A', { do: 'send', fd: 'f1', to: 'C', as: 'c1' }, OK],
      ['A', { do: 'close', fd: 'f1' }, OK],
      ['A', kill('C', 'SIGCONT'), OK],
      ['C', read('c1', 1), ok('1 data')],
    ])
    expect(await world.leases()).toEqual(['L'])
  })

  test('owners are killed at the deadline, where the mount says so', async () => {
    await begin({ onTimeout: 'kill' })
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', lease('f1', 'L'), OK],
    ])
    const started = await world.start('B', truncate('f'), true)
    expect(started.outcome).toEqual(WAITS)
    await world.passDeadlines()
    expect(await world.isAlive('A')).toBe(false)
    expect(await world.finished()).toEqual([{ id: started.id, outcome: OK }])
    expect(await world.leases()).toEqual([])
  })

  test('what is not there fails as a made-up number would', async () => {
    await begin()
    await play([
      ['A', open('f', 'f1'), OK],
      ['A', read('x', 1), failed('EBADF')],
      ['A', touch('x', 0), failed('EINVAL')],
      ['A', release('f1', 'X'), failed('ENOENT')],
      ['A', { do: 'unpin', through: 'f1', pin: 'X' }, failed('ENOENT')],
      ['A', { do: 'send', fd: 'x', to: 'B', as: 'y' }, failed('EBADF')],
    ])
    await expect(does('Z', read('f1', 1))).rejects.toThrow("no process 'Z'")
  })
})

describe('with the real clock', () => {
  test('deadlines pass by themselves', async () => {
    const maker = await mountWorld({ passthrough: true, clock: 'real', backing: 'tmpfs' })
    try {
      const world = await maker.make(scenario({ breakTimeMs: 300 }))
      await world.start('A', open('f', 'f1'))
      await world.start('A', lease('f1', 'L'))
      await world.start('B', truncate('f'), true)
      await eventuallyTrue('it is revoked', async () => (await world.sight('L')).state === 'revoked')
      await world.close()
    } finally {
      await maker.close()
    }
  })
})

describe('a runner that is killed', () => {
  /** A runner in the middle of a scenario: one process waits for Holdfast, one for the kernel, one is stopped. */
  const RUNNER = `
    import { mountWorld } from ${JSON.stringify(new URL('../dist/litmus/mount/index.js', import.meta.url).href)}
    const maker = await mountWorld({ passthrough: true })
    const world = await maker.make(${JSON.stringify(scenario())})
    const { lines } = JSON.parse(process.argv[1])
    for (const [process, action] of lines) await world.start(process, action)
    console.log('in the middle')
    setInterval(() => {}, 1000)
  `

  /** Everything below a process, however deep: the kernel gives orphans of the lab to the lab's own init. */
  function descendants(root: number): number[] {
    const parents = new Map<number, number>()
    for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
      const stat = readIfAny(`/proc/${name}/stat`)
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    }
    const found = [root]
    for (const pid of found) for (const [child, parent] of parents) if (parent === pid) found.push(child)
    return found
  }

  function readIfAny(path: string): string {
    try {
      return readFileSync(path, 'latin1')
    } catch {
      return ''
    }
  }

  test('leaves no process, no mount and no loop device behind', async () => {
    const mounts = readFileSync('/proc/self/mountinfo', 'latin1')
    const lines = [
      ['A', open('f', 'f1')],
      ['A', lease('f1', 'L')],
      ['B', truncate('f')],
      ['C', open('g', 'g1')],
      ['A', kill('C', 'SIGSTOP')],
      ['A', { do: 'write', fd: 'f1', offset: 0, countBytes: 10 }],
    ]
    const argv = ['--input-type=module', '-e', RUNNER, '--', JSON.stringify({ lines })]
    const runner = spawn(process.execPath, argv, { cwd: fileURLToPath(new URL('..', import.meta.url)) })
    let said = ''
    runner.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    runner.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    await eventuallyTrue(
      'the runner is in the middle',
      (saw) => {
        saw(said)
        return said.includes('in the middle')
      },
      60_000,
    )
    const members = descendants(runner.pid ?? 0)
    // Host, engine and its supervisor, those who watch, and those who play.
    expect(members.length).toBeGreaterThan(10)
    const loop = members
      .map((pid) => /\/dev\/(loop\d+) /.exec(readIfAny(`/proc/${pid}/mountinfo`))?.[1])
      .find((name) => name !== undefined)
    expect(loop).toBeDefined()
    runner.kill('SIGKILL')
    await eventuallyTrue(
      'everything has gone',
      (saw) => {
        const left = members.filter((pid) => readIfAny(`/proc/${pid}/cmdline`) !== '')
        const file = readIfAny(`/sys/block/${loop ?? ''}/loop/backing_file`)
        saw({ left, file })
        return left.length === 0 && file === ''
      },
      20_000,
    )
    expect(readFileSync('/proc/self/mountinfo', 'latin1')).toBe(mounts)
  })
})
