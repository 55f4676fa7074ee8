/** Random inputs that could come from an engine: descriptors that are open, processes that run, ids that exist. */
import type { Random } from '../lib/random.js'
import type { Range } from '../lib/range.js'
import type { Auditor } from './test-auditor.js'
import {
  contextOf,
  fileOf,
  leaseOf,
  mappingOf,
  ofdOf,
  pinOf,
  processOf,
  requestOf,
  userOf,
} from './test-world.js'
import type { Input, LayoutOperation, LeaseLevel, LeaseMode, Mapping, WhenBusy } from './types.js'

const FILE_COUNT = 3
const BLOCK_COUNT = 8
const MODES: readonly LeaseMode[] = ['read', 'read', 'write']
const LEVELS: readonly LeaseLevel[] = ['normal', 'normal', 'exclusive']
const WHEN_BUSY: readonly WhenBusy[] = ['fail', 'wait', 'start']
const OPERATIONS: readonly LayoutOperation[] = ['truncate', 'punch-hole', 'zero-range', 'open-truncate']

export class History {
  readonly #random: Random
  readonly #books: Auditor
  /** Open descriptions by number; their file follows from it. A closed one is replaced by a new number. */
  readonly #ofds = Array.from({ length: 8 }, (_, index) => index + 1)
  readonly #processes = [1, 2, 3, 4, 5]
  #lastOfd = 8
  #lastProcess = 5
  #lastRequest = 0

  constructor(random: Random, books: Auditor) {
    this.#random = random
    this.#books = books
  }

  next(): Input {
    // Changes are short; with many of them in flight no lease would ever be granted (L6).
    if (this.#books.inFlight.size > 1 && this.#random.oneIn(2)) return this.#finish()
    const kind = this.#random.int(1, 100)
    if (kind <= 24) return this.#acquire()
    if (kind <= 32) return this.#change()
    if (kind <= 40) return this.#release()
    if (kind <= 48) return this.#setOwner()
    if (kind <= 60) return this.#pin()
    if (kind <= 64) return this.#unpin()
    if (kind <= 80) return this.#layoutChange()
    if (kind <= 88) return this.#finish()
    if (kind <= 89) return { kind: 'context-closed', context: contextOf(this.#random.int(1, 2)) }
    if (kind <= 92) return this.#close()
    if (kind <= 93) return this.#exit()
    if (kind <= 95) return this.#remap()
    if (kind <= 96) return { kind: 'revoke', lease: this.#lease(), kill: this.#random.oneIn(3) }
    if (kind <= 98) return this.#interrupt()
    return { kind: 'time-passed' }
  }

  /** Whatever is still open, running or under way, in the order in which it can end. */
  *ending(): Generator<Input> {
    for (const request of this.#books.inFlight.keys()) yield { kind: 'layout-change-done', request }
    for (const ofd of this.#ofds) yield { kind: 'ofd-closed', ofd: ofdOf(ofd), mappings: [] }
    for (let file = 1; file <= FILE_COUNT; file++) {
      yield { kind: 'mappings-changed', file: fileOf(file), mappings: [] }
    }
    for (const process of this.#processes) yield { kind: 'process-exited', process: processOf(process) }
    for (const context of [1, 2]) yield { kind: 'context-closed', context: contextOf(context) }
  }

  #acquire(): Input {
    const ofd = this.#random.pick(this.#ofds)
    const user = this.#random.int(1, 2)
    return {
      kind: 'acquire',
      request: this.#request(),
      ofd: ofdOf(ofd),
      file: fileOf(fileOfOfd(ofd)),
      process: this.#random.oneIn(10) ? null : this.#process(),
      user: userOf(user),
      range: this.#range(),
      ...this.#wish(),
    }
  }

  #change(): Input {
    const booked = this.#books.leases.get(this.#lease())
    return {
      kind: 'change',
      request: this.#request(),
      ofd: booked?.isOpen === true ? booked.ofd : ofdOf(this.#random.pick(this.#ofds)),
      lease: booked?.id ?? leaseOf(999_999_999),
      process: this.#process(),
      ...this.#wish(),
    }
  }

  #wish() {
    return {
      mode: this.#random.pick(MODES),
      level: this.#random.pick(LEVELS),
      mayDelayOthers: !this.#random.oneIn(4),
      whenBusy: this.#random.pick(WHEN_BUSY),
      breakTimeMs: this.#random.oneIn(3) ? this.#random.int(1, 100) : 0,
    }
  }

  #release(): Input {
    const booked = this.#books.leases.get(this.#lease())
    const ofd = booked?.isOpen === true ? booked.ofd : ofdOf(this.#random.pick(this.#ofds))
    return { kind: 'release', ofd, lease: this.#random.oneIn(4) ? null : (booked?.id ?? null) }
  }

  #setOwner(): Input {
    const booked = this.#books.leases.get(this.#lease())
    const ofd = booked?.isOpen === true ? booked.ofd : ofdOf(this.#random.pick(this.#ofds))
    const lease = booked?.id ?? leaseOf(999_999_999)
    const owner = this.#process()
    if (this.#random.oneIn(3)) return { kind: 'remove-owner', ofd, lease, owner }
    const signal = this.#random.oneIn(2)
      ? null
      : { signo: this.#random.int(1, 64), value: 7, registrar: userOf(1) }
    return { kind: 'set-owner', ofd, lease, owner, signal }
  }

  #pin(): Input {
    const booked = this.#books.leases.get(this.#lease(true))
    const lease = booked?.id ?? leaseOf(999_999_999)
    const covered = booked?.range
    const owners = [...(booked?.owners ?? [])]
    const process = owners.length === 0 || this.#random.oneIn(5) ? this.#process() : this.#random.pick(owners)
    const isContext = this.#random.oneIn(3)
    return {
      kind: 'pin',
      lease,
      range: covered !== undefined && this.#random.oneIn(2) ? covered : this.#range(),
      process: this.#random.oneIn(20) ? null : process,
      user: userOf(1),
      holder: isContext
        ? { kind: 'context', context: contextOf(this.#random.int(1, 2)) }
        : { kind: 'process', process: process },
    }
  }

  #unpin(): Input {
    const pins = [...this.#books.pins.values()]
    const holder = { kind: 'process', process: this.#process() } as const
    if (pins.length === 0) return { kind: 'unpin', pin: pinOf(999_999_999), holder }
    const { id, holder: its } = this.#random.pick(pins)
    return { kind: 'unpin', pin: id, holder: this.#random.oneIn(8) ? holder : its }
  }

  #layoutChange(): Input {
    const ofd = this.#random.pick(this.#ofds)
    const isThroughOfd = !this.#random.oneIn(3)
    return {
      kind: 'layout-change',
      request: this.#request(),
      file: fileOf(isThroughOfd ? fileOfOfd(ofd) : this.#random.int(1, FILE_COUNT)),
      ofd: isThroughOfd ? ofdOf(ofd) : null,
      process: this.#random.oneIn(10) ? null : this.#process(),
      operation: this.#random.pick(OPERATIONS),
      range: this.#range(),
      nonBlocking: this.#random.oneIn(5),
    }
  }

  #finish(): Input {
    const requests = [...this.#books.inFlight.keys()]
    if (requests.length === 0) return { kind: 'time-passed' }
    return { kind: 'layout-change-done', request: this.#random.pick(requests) }
  }

  #interrupt(): Input {
    const requests = [...this.#books.waitingChanges.keys(), ...this.#books.waitingRequests.keys()]
    const request = requests.length === 0 ? requestOf(this.#lastRequest) : this.#random.pick(requests)
    return { kind: 'interrupt', request }
  }

  #close(): Input {
    const index = this.#random.int(0, this.#ofds.length - 1)
    const ofd = this.#ofds[index] ?? 1
    this.#lastOfd++
    this.#ofds[index] = this.#lastOfd
    return { kind: 'ofd-closed', ofd: ofdOf(ofd), mappings: this.#mappings() }
  }

  #remap(): Input {
    return {
      kind: 'mappings-changed',
      file: fileOf(this.#random.int(1, FILE_COUNT)),
      mappings: this.#mappings(),
    }
  }

  #mappings(): Mapping[] {
    const processes = this.#processes.filter(() => this.#random.oneIn(3))
    return processes.map((process) => {
      const { start, end } = this.#range()
      return mappingOf(process, [start, end])
    })
  }

  #exit(): Input {
    const index = this.#random.int(0, this.#processes.length - 1)
    const process = this.#processes[index] ?? 1
    this.#lastProcess++
    this.#processes[index] = this.#lastProcess
    return { kind: 'process-exited', process: processOf(process) }
  }

  #request() {
    this.#lastRequest++
    return requestOf(this.#lastRequest)
  }

  #process() {
    return processOf(this.#random.pick(this.#processes))
  }

  #lease(isExclusive = false) {
    const wanted = [...this.#books.leases.values()].filter(
      (lease) => !isExclusive || lease.level === 'exclusive',
    )
    const ids = wanted.map((lease) => lease.id)
    return ids.length === 0 ? leaseOf(999_999_999) : this.#random.pick(ids)
  }

  #range(): Range {
    const start = this.#random.int(0, BLOCK_COUNT - 1)
    const end = this.#random.oneIn(4) ? Number.POSITIVE_INFINITY : this.#random.int(start + 1, BLOCK_COUNT)
    return { start, end }
  }
}

function fileOfOfd(ofd: number): number {
  return (ofd % FILE_COUNT) + 1
}
