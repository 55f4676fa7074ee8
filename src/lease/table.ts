import { assert } from '../lib/assert.js'
import type {
  ContextId,
  FileId,
  Instant,
  LeaseId,
  Ofd,
  PinId,
  ProcessKey,
  RequestId,
  Uid,
} from '../lib/ids.js'
import { mint } from './answers.js'
import { Deadlines } from './deadlines.js'
import { LeaseList } from './lease-list.js'
import { leaseCountOf, Outcome } from './outcome.js'
import type {
  Change,
  ContextRecord,
  FileRecord,
  Lease,
  LeaseRequest,
  OfdRecord,
  Pin,
  ProcessRecord,
  UserRecord,
} from './records.js'
import type { LeaseMode, LeasePolicy, LeaseState } from './types.js'

/**
 * Who has what, with an index for every question the rules ask, so that no step looks at all leases. It keeps
 * the indices right; it decides nothing.
 */
export class Table extends Outcome {
  policy: LeasePolicy
  now: Instant = mint<Instant>(0)
  readonly leases = new Map<LeaseId, Lease>()
  readonly pins = new Map<PinId, Pin>()
  readonly files = new Map<FileId, FileRecord>()
  readonly ofds = new Map<Ofd, OfdRecord>()
  readonly processes = new Map<ProcessKey, ProcessRecord>()
  readonly contexts = new Map<ContextId, ContextRecord>()
  readonly users = new Map<Uid, UserRecord>()
  /** Requests that wait, and layout changes in flight. */
  readonly pending = new Map<RequestId, Change | LeaseRequest>()
  readonly deadlines = new Deadlines()
  #lastLeaseId = 0
  #lastPinId = 0

  constructor(policy: LeasePolicy) {
    super()
    this.policy = policy
  }

  // Ids

  nextLeaseId(): LeaseId {
    this.#lastLeaseId++
    return mint<LeaseId>(this.#lastLeaseId)
  }

  nextPinId(): PinId {
    this.#lastPinId++
    return mint<PinId>(this.#lastPinId)
  }

  // Files

  file(id: FileId): FileRecord {
    const known = this.files.get(id)
    if (known !== undefined) return known
    const file: FileRecord = {
      id,
      readers: new LeaseList(),
      writers: new LeaseList(),
      changes: [],
      requests: [],
      watchers: new Set(),
      isTouched: false,
    }
    this.files.set(id, file)
    return file
  }

  forgetFileIfUnused(file: FileRecord): void {
    if (leaseCountOf(file) > 0 || file.changes.length > 0) return
    if (file.requests.length === 0 && file.watchers.size === 0) this.files.delete(file.id)
  }

  // Open file descriptions

  ofd(id: Ofd, file: FileRecord): OfdRecord {
    const known = this.ofds.get(id)
    if (known !== undefined) {
      assert(known.file === file, `open file description ${id} is of another file`)
      return known
    }
    const ofd: OfdRecord = {
      id,
      file,
      leases: [],
      breakingCount: 0,
      revokedCount: 0,
      requestCount: 0,
      watch: null,
      isWorthTrying: false,
      pollBits: 0,
      isPollMarked: false,
    }
    this.ofds.set(id, ofd)
    return ofd
  }

  forgetOfdIfUnused(ofd: OfdRecord): void {
    if (ofd.leases.length > 0 || ofd.requestCount > 0) return
    if (ofd.watch === null && !ofd.isWorthTrying) this.ofds.delete(ofd.id)
  }

  /** B2, L6: remembers START's request, or forgets it (null); `isWorthTrying` is what poll says meanwhile. */
  setWatch(ofd: OfdRecord, watch: LeaseRequest | null, isWorthTrying: boolean): void {
    ofd.watch = watch
    if (watch !== null || isWorthTrying) ofd.file.watchers.add(ofd)
    else if (ofd.file.watchers.delete(ofd)) this.touch(ofd.file)
    ofd.isWorthTrying = isWorthTrying
    this.markPoll(ofd)
    this.forgetOfdIfUnused(ofd)
  }

  /** The lease with this id if it is this OFD's (L4). */
  leaseOf(ofd: Ofd, id: LeaseId): Lease | undefined {
    const lease = this.leases.get(id)
    return lease?.ofd?.id === ofd ? lease : undefined
  }

  // Leases

  addLease(lease: Lease, ofd: OfdRecord): void {
    this.leases.set(lease.id, lease)
    listOf(lease.file, lease.mode).add(lease)
    ofd.leases.push(lease)
    for (const owner of lease.owners) owner.process.leases.add(lease)
    this.user(lease.user).leaseCount++
  }

  removeLease(lease: Lease): void {
    assert(lease.pins === null || lease.pins.size === 0, `lease ${lease.id} ends while it has pins`)
    assert(lease.leaseBreak === null, `lease ${lease.id} ends while its break has not ended`)
    this.detachFromOfd(lease)
    this.leases.delete(lease.id)
    listOf(lease.file, lease.mode).delete(lease)
    for (const owner of lease.owners) {
      owner.process.leases.delete(lease)
      this.forgetProcessIfUnused(owner.process)
    }
    const user = this.user(lease.user)
    user.leaseCount--
    this.#forgetUserIfUnused(lease.user, user)
    if (leaseCountOf(lease.file) === 0) this.markEmptied(lease.file)
    this.touch(lease.file)
  }

  /** The lease has no descriptor any more. */
  detachFromOfd(lease: Lease): void {
    const ofd = lease.ofd
    if (ofd === null) return
    this.#countState(ofd, lease.state, -1)
    const index = indexAbove(ofd.leases, lease.id - 1)
    assert(ofd.leases[index] === lease, `lease ${lease.id} is not among those of its holder`)
    ofd.leases.splice(index, 1)
    lease.ofd = null
    this.forgetOfdIfUnused(ofd)
  }

  setState(lease: Lease, state: LeaseState): void {
    if (lease.ofd !== null) {
      this.#countState(lease.ofd, lease.state, -1)
      this.#countState(lease.ofd, state, 1)
    }
    lease.state = state
  }

  setMode(lease: Lease, mode: LeaseMode): void {
    listOf(lease.file, lease.mode).delete(lease)
    listOf(lease.file, mode).add(lease)
    lease.mode = mode
  }

  #countState(ofd: OfdRecord, state: LeaseState, step: 1 | -1): void {
    if (state === 'breaking') ofd.breakingCount += step
    else if (state === 'revoked') ofd.revokedCount += step
    else return
    this.markPoll(ofd)
  }

  // Processes, contexts and users

  process(key: ProcessKey): ProcessRecord {
    const known = this.processes.get(key)
    if (known !== undefined) return known
    const process: ProcessRecord = { key, leases: new Set(), pins: null, requests: null }
    this.processes.set(key, process)
    return process
  }

  forgetProcessIfUnused(process: ProcessRecord): void {
    if (process.leases.size > 0) return
    if ((process.pins?.size ?? 0) > 0 || (process.requests?.size ?? 0) > 0) return
    this.processes.delete(process.key)
  }

  context(id: ContextId): ContextRecord {
    const known = this.contexts.get(id)
    if (known !== undefined) return known
    const context: ContextRecord = { id, pins: new Set() }
    this.contexts.set(id, context)
    return context
  }

  user(uid: Uid): UserRecord {
    const known = this.users.get(uid)
    if (known !== undefined) return known
    const user: UserRecord = { leaseCount: 0, pinCount: 0 }
    this.users.set(uid, user)
    return user
  }

  #forgetUserIfUnused(uid: Uid, user: UserRecord): void {
    if (user.leaseCount === 0 && user.pinCount === 0) this.users.delete(uid)
  }

  // Pins

  addPin(pin: Pin): void {
    pin.lease.pins ??= new Map()
    pin.lease.pins.set(pin.key, pin)
    this.pins.set(pin.id, pin)
    this.#pinsOfHolder(pin).add(pin)
    this.user(pin.user).pinCount++
  }

  removePin(pin: Pin): void {
    pin.lease.pins?.delete(pin.key)
    this.pins.delete(pin.id)
    this.#pinsOfHolder(pin).delete(pin)
    if (pin.holder.kind === 'process') this.forgetProcessIfUnused(this.process(pin.holder.process))
    else if (this.context(pin.holder.context).pins.size === 0) this.contexts.delete(pin.holder.context)
    const user = this.user(pin.user)
    user.pinCount--
    this.#forgetUserIfUnused(pin.user, user)
  }

  #pinsOfHolder(pin: Pin): Set<Pin> {
    if (pin.holder.kind === 'context') return this.context(pin.holder.context).pins
    const process = this.process(pin.holder.process)
    process.pins ??= new Set()
    return process.pins
  }
}

/** Where the first lease with an id above `after` is in a list sorted by id; its length if there is none. */
export function indexAbove(leases: readonly Lease[], after: number): number {
  let low = 0
  let high = leases.length
  while (low < high) {
    const middle = (low + high) >> 1
    const lease = leases[middle]
    if (lease !== undefined && lease.id <= after) low = middle + 1
    else high = middle
  }
  return low
}

function listOf(file: FileRecord, mode: LeaseMode): LeaseList {
  return mode === 'read' ? file.readers : file.writers
}
