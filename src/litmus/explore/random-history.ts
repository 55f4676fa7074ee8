/**
 * Histories drawn from a seed: what processes of three users could do to a few small files. Most of what is drawn
 * can be done; what cannot has to fail, and that is watched too.
 */
import type { Random } from '../../lib/random.js'
import {
  type Action,
  type Bytes,
  DEFAULT_MOUNT,
  type LeaseTerms,
  type MountSpec,
  type Name,
  type OpenFlag,
  type Scenario,
  type Signal,
} from '../scenario.js'
import { Auditor } from './auditor.js'
import type { Facts } from './facts.js'
import { complaintOf, type MakeMachine, type Move, play } from './history.js'
import { AuditedMachine } from './observe.js'

const BLOCK_BYTES = 4096
const BLOCK_COUNT = 4
const FILES = ['f', 'g'] as const
/** They only fork, so that there always is somebody of each user; nobody kills them. */
const NURSES = ['nurse-r', 'nurse-a', 'nurse-b'] as const
const WORKER_COUNT = 6
const SIGNALS: readonly Signal[] = ['SIGUSR1', 'SIGUSR2', 'SIGIO']

/** Draws the mount too: small limits are reached, and both ways of B5 occur. */
function randomScenario(random: Random, seed: number): Scenario {
  const mount: MountSpec = {
    ...DEFAULT_MOUNT,
    onTimeout: random.oneIn(2) ? 'kill' : 'revoke',
    leaseCountMax: random.oneIn(3) ? 4 : 100,
    pinCountMax: random.oneIn(3) ? 2 : 100,
  }
  return {
    name: `random/seed-${seed}`,
    claim: 'Nothing that happens breaks a rule.',
    rules: ['L1'],
    question: null,
    modelOnly: null,
    mount,
    files: [
      { name: 'f', sizeBytes: BLOCK_BYTES * BLOCK_COUNT, owner: 'alice', mode: 0o666 },
      { name: 'g', sizeBytes: BLOCK_BYTES * BLOCK_COUNT, owner: 'bob', mode: 0o644 },
    ],
    processes: [
      { name: 'nurse-r', user: 'root' },
      { name: 'nurse-a', user: 'alice' },
      { name: 'nurse-b', user: 'bob' },
    ],
    lines: [],
  }
}

export interface Drawn {
  readonly scenario: Scenario
  readonly history: readonly Move[]
  /** What is wrong; null: nothing is. */
  readonly what: string | null
}

/** Draws a history and plays it at the same time, with an auditor, until something is wrong or it is over. */
export function drawHistory(
  random: Random,
  seed: number,
  stepCount: number,
  makeMachine: MakeMachine,
): Drawn {
  const scenario = randomScenario(random, seed)
  const machine = makeMachine(scenario)
  const audited = new AuditedMachine(machine, new Auditor(scenario.mount))
  const drawn = new RandomHistory(random)
  const history: Move[] = []
  try {
    for (let count = 0; count < stepCount; count++) {
      const due = machine.nextDeadlineMs()
      const move = drawn.next(audited.facts, due === null ? null : due - machine.nowMs)
      history.push(move)
      play(audited, move)
    }
    audited.end()
    return { scenario, history, what: null }
  } catch (error) {
    return { scenario, history, what: complaintOf(error) }
  }
}

/** Says what happens next, given what there is. */
class RandomHistory {
  readonly #random: Random
  #lastName = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** @param dueMs how long it is until the next deadline, if there is one. */
  next(facts: Facts, dueMs: number | null): Move {
    const free = [...facts.processes].filter(
      ([name, { isAlive, isStopped }]) =>
        isAlive && !isStopped && !facts.waits.some((wait) => wait.process === name),
    )
    const workers = free.map(([name]) => name).filter((name) => !isNurse(name))
    const aliveCount = [...facts.processes.values()].filter(({ isAlive }) => isAlive).length
    if (dueMs !== null && (workers.length === 0 || this.#random.oneIn(12))) {
      return { kind: 'pass', ms: this.#random.oneIn(4) ? dueMs >> 1 : dueMs }
    }
    // One may have been made an owner by its child, and killed for it.
    const nurses = free.map(([name]) => name).filter(isNurse)
    const isCrowded = aliveCount >= WORKER_COUNT + NURSES.length || this.#random.oneIn(2)
    if (nurses.length > 0 && (workers.length === 0 || !isCrowded)) {
      const child = this.#name('p')
      return { kind: 'act', process: this.#random.pick(nurses), action: { do: 'fork', as: child } }
    }
    if (workers.length === 0) return { kind: 'pass', ms: 1 }
    const process = this.#random.pick(workers)
    return { kind: 'act', process, action: this.#action(facts, process) }
  }

  #name(prefix: string): Name {
    this.#lastName++
    return `${prefix}${this.#lastName}`
  }

  #action(facts: Facts, process: Name): Action {
    const self = facts.processes.get(process)
    const fds = [...(self?.descriptors.keys() ?? [])]
    const fd = fds.length === 0 ? null : this.#random.pick(fds)
    if (fd === null || (fds.length < 4 && this.#random.oneIn(8))) return this.#open()
    const kind = this.#random.int(1, 100)
    if (kind <= 18) return { do: 'lease', fd, bytes: this.#bytes(), as: this.#name('L'), ...this.#terms() }
    if (kind <= 24)
      return this.#withLease(facts, process, (lease) => ({
        do: 'change',
        fd: lease.fd,
        lease: lease.name,
        ...this.#terms(),
      }))
    if (kind <= 30) {
      const isAll = this.#random.oneIn(4)
      return this.#withLease(facts, process, (lease) => ({
        do: 'release',
        fd: lease.fd,
        lease: isAll ? null : lease.name,
      }))
    }
    if (kind <= 38) return this.#own(facts, process)
    if (kind <= 46) return this.#pin(facts, process, fds)
    if (kind <= 50) return this.#unpin(facts, fds)
    if (kind <= 60) return this.#truncate(fd)
    if (kind <= 66) {
      const change = this.#random.oneIn(2) ? 'punch' : 'zero'
      return { do: 'fallocate', change, fd, bytes: this.#closedBytes() }
    }
    if (kind <= 69) return { do: 'write', fd, offset: 0, countBytes: BLOCK_BYTES * BLOCK_COUNT }
    if (kind <= 76) return { do: 'close', fd }
    if (kind <= 83) return this.#other(process, fd)
    if (kind <= 87) return this.#map(facts, process, fd)
    if (kind <= 90)
      return this.#toOther(facts, process, (to) => ({ do: 'send', fd, to, as: this.#name('d') }), fd)
    if (kind <= 93) return this.#kill(facts, process, fd)
    if (kind <= 95) {
      const change = this.#random.oneIn(2) ? 'punch' : 'truncate'
      return { do: 'query', fd, change, bytes: this.#closedBytes() }
    }
    if (kind <= 96) return { do: 'exit' }
    if (kind <= 97) return { do: 'exec' }
    if (kind <= 98) return { do: 'fork', as: this.#name('p') }
    const lease = this.#anyLease(facts)
    return { do: 'revoke', lease, kill: this.#random.oneIn(2) }
  }

  #open(): Action {
    if (this.#random.oneIn(8)) return { do: 'context', as: this.#name('c') }
    const access: OpenFlag = this.#random.oneIn(4) ? 'rdonly' : 'rdwr'
    const flags: OpenFlag[] = [access]
    if (this.#random.oneIn(8)) flags.push('nonblock')
    if (access === 'rdwr' && this.#random.oneIn(8)) flags.push('trunc')
    return { do: 'open', file: this.#random.oneIn(4) ? 'g' : 'f', flags, as: this.#name('d') }
  }

  #terms(): LeaseTerms {
    return {
      mode: this.#random.oneIn(3) ? 'write' : 'read',
      level: this.#random.oneIn(3) ? 'exclusive' : 'normal',
      whenBusy: this.#random.pick(['fail', 'wait', 'wait', 'start']),
      breakTimeMs: this.#random.oneIn(3) ? this.#random.int(1, 1000) : 0,
    }
  }

  #bytes(): Bytes {
    const start = this.#random.int(0, BLOCK_COUNT - 1)
    const end = this.#random.oneIn(3) ? null : this.#random.int(start + 1, BLOCK_COUNT) * BLOCK_BYTES
    return { start: start * BLOCK_BYTES, end }
  }

  #closedBytes(): Bytes {
    const { start, end } = this.#bytes()
    return { start, end: end ?? BLOCK_COUNT * BLOCK_BYTES }
  }

  /** Mostly a lease that the process can do something with. */
  #withLease(facts: Facts, process: Name, make: (lease: { fd: Name; name: Name }) => Action): Action {
    const fds = [...(facts.processes.get(process)?.descriptors ?? [])]
    const own = fds.flatMap(([fd, openFile]) =>
      [...facts.leaseHolders].flatMap(([name, holder]) => (holder === openFile ? [{ fd, name }] : [])),
    )
    if (own.length > 0 && !this.#random.oneIn(10)) return make(this.#random.pick(own))
    const [fd] = this.#random.pick(fds)
    return make({ fd, name: this.#anyLease(facts) })
  }

  #anyLease(facts: Facts): Name {
    const names = [...facts.sights.keys()]
    return names.length === 0 ? 'no-lease' : this.#random.pick(names)
  }

  #own(facts: Facts, process: Name): Action {
    const signals = [...SIGNALS, ...SIGNALS, 'SIGKILL'] as const
    const terms = {
      who: this.#random.oneIn(4) ? 'parent' : 'self',
      operation: this.#random.oneIn(4) ? 'remove' : 'add',
      signal: this.#random.oneIn(4) ? null : this.#random.pick(signals),
      value: this.#random.int(1, 99),
    } as const
    return this.#withLease(facts, process, ({ fd, name }) => ({ do: 'own', fd, lease: name, ...terms }))
  }

  #pin(facts: Facts, process: Name, fds: readonly Name[]): Action {
    const bytes = this.#bytes()
    const isThroughAny = this.#random.oneIn(3)
    const as = this.#name('P')
    return this.#withLease(facts, process, ({ fd, name }) => {
      const through = isThroughAny ? this.#random.pick(fds) : fd
      return { do: 'pin', through, lease: name, bytes, as }
    })
  }

  #unpin(facts: Facts, fds: readonly Name[]): Action {
    const pins = [...facts.pins]
    return {
      do: 'unpin',
      through: this.#random.pick(fds),
      pin: pins.length === 0 ? 'no-pin' : this.#random.pick(pins),
    }
  }

  #truncate(fd: Name): Action {
    const target = this.#random.oneIn(3) ? { file: this.#random.pick(FILES) } : { fd }
    return { do: 'truncate', target, sizeBytes: this.#random.int(0, BLOCK_COUNT) * BLOCK_BYTES }
  }

  #map(facts: Facts, process: Name, fd: Name): Action {
    const mappings = [...(facts.processes.get(process)?.mappings.keys() ?? [])]
    if (mappings.length > 0 && this.#random.oneIn(2)) {
      return { do: 'unmap', mapping: this.#random.pick(mappings) }
    }
    return { do: 'map', fd, bytes: this.#closedBytes(), as: this.#name('m') }
  }

  #toOther(facts: Facts, process: Name, make: (to: Name) => Action, fd: Name): Action {
    const others = [...facts.processes].filter(
      ([name, { isAlive }]) => isAlive && name !== process && !isNurse(name),
    )
    return others.length === 0 ? { do: 'close', fd } : make(this.#random.pick(others)[0])
  }

  #kill(facts: Facts, process: Name, fd: Name): Action {
    const signal = this.#random.pick([
      'SIGKILL',
      'SIGUSR1',
      'SIGUSR2',
      'SIGSTOP',
      'SIGCONT',
      'SIGCONT',
    ] as const)
    return this.#toOther(facts, process, (to) => ({ do: 'kill', process: to, signal }), fd)
  }

  #other(process: Name, fd: Name): Action {
    const file = this.#random.pick(FILES)
    switch (this.#random.int(1, 7)) {
      case 1:
        return { do: 'dup', fd, as: this.#name('d') }
      case 2:
        return { do: 'poll', fd }
      case 3:
        return { do: 'chmod', file, mode: 0o666 }
      case 4:
        return { do: 'rename', file }
      case 5:
        return { do: 'allocate', fd, bytes: this.#closedBytes() }
      case 6:
        return { do: 'pins', process }
      default:
        return { do: 'chown', file, owner: this.#random.pick(['alice', 'bob']) }
    }
  }
}

function isNurse(name: Name): boolean {
  return NURSES.some((nurse) => nurse === name)
}
