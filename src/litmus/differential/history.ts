/**
 * Random histories of several processes for both worlds. A step is drawn with the model at hand, so that what is
 * tried makes sense: descriptors that are open, leases that there are, processes that can do something. About one
 * step in twelve speaks of what another process has, or of what is not there any more.
 */
import { Random } from '../../lib/random.js'
import type { ModelMachine, ProcessView } from '../model/index.js'
import type { Action, Bytes, LeaseTerms, Line, Name, Scenario } from '../scenario.js'

/** Actions, and time that passes. */
export type Step = Extract<Line, { kind: 'action' | 'time' | 'deadline' }>

const PAGE_BYTES = 4096
const FILE_PAGES = 8
/** Long enough for deadlines of one lease to pass without those of another. */
const BREAK_TIMES_MS = [0, 0, 100, 300]
const PROCESSES_MAX = 6
const DESCRIPTORS_MAX = 5

/** The scene of every random history: two files, and users who may do different things with them. */
export function randomScenario(seed: number): Scenario {
  const random = new Random(seed)
  return {
    name: `random/seed-${seed}`,
    claim: 'the model and the mount tell the same story',
    rules: ['B2'],
    question: null,
    modelOnly: null,
    mount: {
      breakTimeMs: 600,
      onTimeout: random.oneIn(4) ? 'kill' : 'revoke',
      leaseCountMax: random.oneIn(4) ? 3 : 100_000,
      pinCountMax: random.oneIn(4) ? 2 : 100_000,
    },
    files: [
      { name: 'f', sizeBytes: FILE_PAGES * PAGE_BYTES, owner: 'root', mode: 0o666 },
      { name: 'g', sizeBytes: FILE_PAGES * PAGE_BYTES, owner: 'alice', mode: 0o644 },
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

type Draw = (process: ProcessView) => Action | null

/** Draws the steps of one history. */
export class StepMaker {
  readonly #random: Random
  readonly #machine: ModelMachine
  readonly #files: readonly Name[]
  readonly #leases: Name[] = []
  readonly #pins: Name[] = []
  readonly #draws: readonly (readonly [weight: number, draw: Draw])[]
  readonly #weight: number
  #lastName = 0

  constructor(seed: number, scenario: Scenario, machine: ModelMachine) {
    this.#random = new Random(seed ^ 0x5eed)
    this.#machine = machine
    this.#files = scenario.files.map(({ name }) => name)
    this.#draws = this.#table()
    this.#weight = this.#draws.reduce((sum, [weight]) => sum + weight, 0)
  }

  /** The next step; null if nobody can do anything any more. */
  next(): Step | null {
    const enabled = this.#machine.enabled()
    const isSomebodyStuck = enabled.length < this.#machine.processes().length
    if (enabled.length === 0 || (isSomebodyStuck && this.#random.oneIn(12))) return this.#time(enabled.length)
    for (let tries = 0; tries < 100; tries++) {
      const name = this.#random.pick(enabled)
      const process = this.#machine.processes().find((each) => each.name === name)
      const action = process === undefined ? null : this.#draw()(process)
      if (action === null) continue
      return { kind: 'action', process: name, action, expect: null, waitsAs: null }
    }
    return { kind: 'deadline' }
  }

  #time(enabledCount: number): Step | null {
    if (this.#machine.nextDeadlineMs() === null && enabledCount === 0) return null
    if (enabledCount > 0 && this.#random.oneIn(2)) {
      return { kind: 'time', passMs: this.#random.pick([50, 100, 300]) }
    }
    return { kind: 'deadline' }
  }

  #draw(): Draw {
    let left = this.#random.int(1, this.#weight)
    for (const [weight, draw] of this.#draws) {
      left -= weight
      if (left <= 0) return draw
    }
    return () => null
  }

  #table(): [number, Draw][] {
    const withFd = (make: (fd: Name, process: ProcessView) => Action | null): Draw => {
      return (process) => {
        const fd = this.#descriptor(process, ['file', 'context'])
        return fd === null ? null : make(fd, process)
      }
    }
    // What a control file says to a read or a punch is nobody's business here.
    const withFile = (make: (fd: Name, process: ProcessView) => Action | null): Draw => {
      return (process) => {
        const fd = this.#descriptor(process, ['file'])
        return fd === null ? null : make(fd, process)
      }
    }
    return [
      [10, (process) => this.#open(process)],
      [3, withFd((fd, process) => this.#ifRoom(process, { do: 'dup', fd, as: this.#name('d') }))],
      [4, withFd((fd, process) => this.#send(fd, process))],
      [5, withFd((fd) => ({ do: 'close', fd }))],
      [14, withFile((fd) => this.#lease(fd))],
      [5, withFile((fd) => this.#withLease((lease) => ({ do: 'change', fd, lease, ...this.#terms() })))],
      [8, withFile((fd) => this.#withLease((lease) => ({ do: 'release', fd, lease })))],
      [1, withFile((fd) => ({ do: 'release', fd, lease: null }))],
      [5, withFile((fd, process) => this.#own(fd, process))],
      [2, (process) => this.#ifRoom(process, { do: 'context', as: this.#name('c') })],
      [8, withFd((through) => this.#pin(through))],
      [4, withFd((through) => this.#withPin((pin) => ({ do: 'unpin', through, pin })))],
      [8, () => this.#truncate()],
      [4, withFile((fd) => ({ do: 'truncate', target: { fd }, sizeBytes: this.#size() }))],
      [5, withFile((fd) => this.#punch(fd))],
      [3, withFile((fd) => ({ do: 'allocate', fd, bytes: this.#bytes() }))],
      [3, withFile((fd) => ({ do: 'write', fd, offset: this.#offset(), countBytes: PAGE_BYTES }))],
      [3, withFile((fd) => ({ do: 'read', fd, offset: this.#offset(), countBytes: PAGE_BYTES }))],
      [1, withFile((fd) => ({ do: 'map', fd, bytes: this.#bytes(), as: this.#name('m') }))],
      [1, (process) => this.#unmap(process)],
      [1, () => ({ do: 'chown', file: this.#file(), owner: this.#random.pick(['root', 'alice', 'bob']) })],
      [1, () => ({ do: 'rename', file: this.#file() })],
      [
        3,
        withFile((fd) => ({
          do: 'query',
          fd,
          change: this.#random.pick(['truncate', 'punch']),
          bytes: this.#bytes(),
        })),
      ],
      [5, withFd((fd) => ({ do: 'poll', fd }))],
      [3, () => this.#withLease((lease) => ({ do: 'revoke', lease, kill: this.#random.oneIn(4) }))],
      [2, () => ({ do: 'pins', process: this.#anybody() })],
      [2, (process) => this.#fork(process)],
      [1, () => (this.#random.oneIn(3) ? { do: 'exec' } : null)],
      [1, () => (this.#random.oneIn(3) ? { do: 'exit' } : null)],
      [3, (process) => this.#kill(process)],
    ]
  }

  // Names

  #name(letter: string): Name {
    this.#lastName++
    return `${letter}${this.#lastName}`
  }

  #file(): Name {
    return this.#random.pick(this.#files)
  }

  #anybody(): Name {
    return this.#random.pick(this.#machine.processes()).name
  }

  #descriptor(process: ProcessView, kinds: readonly string[]): Name | null {
    const names = [...process.descriptors].flatMap(([name, { kind }]) => (kinds.includes(kind) ? [name] : []))
    return names.length === 0 ? null : this.#random.pick(names)
  }

  /** One that is there, mostly. */
  #withLease<Result>(make: (lease: Name) => Result): Result | null {
    const listed = this.#machine.leases().filter((name) => this.#leases.includes(name))
    const names = listed.length > 0 && !this.#random.oneIn(12) ? listed : this.#leases
    return names.length === 0 ? null : make(this.#random.pick(names))
  }

  #withPin<Result>(make: (pin: Name) => Result): Result | null {
    const names = this.#pins.slice(-4)
    return names.length === 0 ? null : make(this.#random.pick(names))
  }

  // Quantities

  #size(): number {
    return this.#random.pick([0, 1, 2, 4, 6, FILE_PAGES, FILE_PAGES + 1]) * PAGE_BYTES
  }

  #offset(): number {
    return this.#random.int(0, FILE_PAGES) * PAGE_BYTES
  }

  #bytes(): Bytes & { end: number } {
    const start = this.#random.int(0, FILE_PAGES - 1)
    return { start: start * PAGE_BYTES, end: this.#random.int(start + 1, FILE_PAGES) * PAGE_BYTES }
  }

  #terms(): LeaseTerms {
    return {
      mode: this.#random.oneIn(3) ? 'write' : 'read',
      level: this.#random.oneIn(2) ? 'exclusive' : 'normal',
      whenBusy: this.#random.pick(['fail', 'fail', 'wait', 'start']),
      breakTimeMs: this.#random.pick(BREAK_TIMES_MS),
    }
  }

  // Actions

  #ifRoom(process: ProcessView, action: Action): Action | null {
    return process.descriptors.size >= DESCRIPTORS_MAX ? null : action
  }

  #open(process: ProcessView): Action | null {
    const access = this.#random.pick(['rdonly', 'rdwr', 'rdwr'] as const)
    const more = this.#random.pick([[], [], ['nonblock'], ['trunc']] as const)
    return this.#ifRoom(process, {
      do: 'open',
      file: this.#file(),
      flags: [access, ...more],
      as: this.#name('d'),
    })
  }

  #send(fd: Name, process: ProcessView): Action | null {
    const others = this.#machine
      .processes()
      .filter(({ name, state }) => name !== process.name && state === 'running')
    const receiver = others.length === 0 ? null : this.#random.pick(others)
    if (receiver === null || receiver.descriptors.size >= DESCRIPTORS_MAX) return null
    return { do: 'send', fd, to: receiver.name, as: this.#name('d') }
  }

  #lease(fd: Name): Action {
    const as = this.#name('L')
    this.#leases.push(as)
    const bytes = this.#random.oneIn(2) ? { start: 0, end: null } : this.#bytes()
    return { do: 'lease', fd, bytes, as, ...this.#terms() }
  }

  #own(fd: Name, process: ProcessView): Action | null {
    const isChild = process.name.startsWith('E')
    return this.#withLease((lease) => ({
      do: 'own',
      fd,
      lease,
      who: isChild && this.#random.oneIn(3) ? 'parent' : 'self',
      operation: this.#random.oneIn(4) ? 'remove' : 'add',
      signal: this.#random.pick(['SIGUSR1', 'SIGUSR2', 'SIGIO', null]),
      value: this.#random.int(-3, 100),
    }))
  }

  #pin(through: Name): Action | null {
    return this.#withLease((lease): Action => {
      const as = this.#name('P')
      this.#pins.push(as)
      return { do: 'pin', through, lease, bytes: this.#bytes(), as }
    })
  }

  #truncate(): Action {
    return { do: 'truncate', target: { file: this.#file() }, sizeBytes: this.#size() }
  }

  #punch(fd: Name): Action {
    return { do: 'fallocate', change: this.#random.pick(['punch', 'zero']), fd, bytes: this.#bytes() }
  }

  #unmap(process: ProcessView): Action | null {
    const names = [...process.mappings.keys()]
    return names.length === 0 ? null : { do: 'unmap', mapping: this.#random.pick(names) }
  }

  #fork(process: ProcessView): Action | null {
    if (this.#machine.processes().length >= PROCESSES_MAX || process.state !== 'running') return null
    return { do: 'fork', as: this.#name('E') }
  }

  /** Rarely for good, and not often enough to leave nobody. */
  #kill(process: ProcessView): Action | null {
    const others = this.#machine.processes().filter(({ name }) => name !== process.name)
    if (others.length === 0) return null
    const target = this.#random.pick(others)
    const deadly = this.#random.oneIn(8) ? (['SIGKILL'] as const) : []
    const signal = this.#random.pick([
      'SIGUSR1',
      'SIGUSR2',
      'SIGSTOP',
      'SIGCONT',
      'SIGCONT',
      ...deadly,
    ] as const)
    return { do: 'kill', process: target.name, signal }
  }
}
