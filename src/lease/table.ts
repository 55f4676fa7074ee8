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
import { IdTable } from './id-table.js'
import type { Lease } from './lease.js'
import { Obstacles } from './obstacles.js'
import { OfdRecord } from './ofd-record.js'
import { leaseCountOf, Outcome } from './outcome.js'
import type { Owner } from './owner-set.js'
import { ProcessRecord } from './process-record.js'
import { RangeTree } from './range-tree.js'
import type { ContextRecord, FileQueue, FileRecord, Pin, UserRecord } from './records.js'
import type { LeaseMode, LeasePolicy, LeaseState } from './types.js'
import type { Change, PendingRequest, Waiter } from './waiter.js'

/**
 * Who has what, with an index for every question the rules ask, so that no step looks at all leases. It keeps
 * the indices right; it decides nothing.
 */
export class Table extends Outcome {
  policy: LeasePolicy
  now: Instant = mint<Instant>(0)
  readonly leases = new IdTable<Lease>()
  readonly files = new IdTable<FileRecord>()
  readonly ofds = new IdTable<OfdRecord>()
  readonly processes = new IdTable<ProcessRecord>()
  readonly pins = new Map<PinId, Pin>()
  readonly contexts = new Map<ContextId, ContextRecord>()
  readonly users = new Map<Uid, UserRecord>()
  /** Requests that wait, and layout changes in flight. */
  readonly pending = new Map<RequestId, Waiter>()
  readonly obstacles = new Obstacles()
  readonly deadlines = new Deadlines()
  #lastLeaseId = 0
  #lastPinId = 0
  #lastWaiterId = 0

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

  nextWaiterId(): number {
    this.#lastWaiterId++
    return this.#lastWaiterId
  }

  // Files

  file(id: FileId): FileRecord {
    const known = this.files.get(id)
    if (known !== undefined) return known
    const file: FileRecord = {
      id,
      readers: new RangeTree(),
      writers: new RangeTree(),
      queue: null,
      isTouched: false,
      isEmptied: false,
    }
    this.files.add(file)
    return file
  }

  protected override forgetFileIfUnused(file: FileRecord): void {
    if (file.queue !== null && isQueueUnused(file.queue)) file.queue = null
    if (file.queue === null && leaseCountOf(file) === 0) this.files.delete(file)
  }

  // Open file descriptions

  ofd(id: Ofd, file: FileRecord): OfdRecord {
    const known = this.ofds.get(id)
    if (known !== undefined) {
      assert(known.file === file, 'an open file description is of another file')
      return known
    }
    const ofd = new OfdRecord(id, file)
    this.ofds.add(ofd)
    return ofd
  }

  forgetOfdIfUnused(ofd: OfdRecord): void {
    if (ofd.isUnused) this.ofds.delete(ofd)
  }

  /** B2, L6: remembers START's request, or forgets it (null); `isWorthTrying` is what poll says meanwhile. */
  setWatch(ofd: OfdRecord, watch: PendingRequest | null, isWorthTrying: boolean): void {
    const activity = ofd.activityToChange()
    const queue = queueOf(ofd.file)
    const wasWatching = activity.watch !== null || activity.isWorthTrying
    const isWatching = watch !== null || isWorthTrying
    queue.watcherCount += Number(isWatching) - Number(wasWatching)
    if (activity.watch !== null) {
      activity.watch.isOver = true
      queue.watches.delete(activity.watch)
      this.obstacles.detach(activity.watch)
    }
    if (watch !== null) queue.watches.add(watch)
    activity.watch = watch
    activity.isWorthTrying = isWorthTrying
    this.touch(ofd.file)
    this.markPoll(ofd)
    this.forgetOfdIfUnused(ofd)
  }

  /** Nobody polls it any more. */
  forgetPoll(ofd: OfdRecord): void {
    if (ofd.activity.pollBits !== 0) ofd.activityToChange().pollBits = 0
  }

  /** The lease with this id if it is this OFD's (L4). */
  leaseOf(ofd: Ofd, id: LeaseId): Lease | undefined {
    const lease = this.leases.get(id)
    return lease?.ofd?.id === ofd ? lease : undefined
  }

  // Leases

  addLease(lease: Lease, ofd: OfdRecord): void {
    this.leases.add(lease)
    leasesOf(lease.file, lease.mode).add(lease)
    ofd.addLease(lease)
    lease.owners.forEach(({ process }) => {
      process.addLease(lease)
    })
    this.user(lease.user).leaseCount++
  }

  /** The lease ends here: whatever still refers to it finds one that protects nothing and is nobody's. */
  removeLease(lease: Lease): void {
    assert(lease.pinCount === 0, 'a lease ends while it has pins')
    assert(lease.leaseBreak === null, 'a lease ends while its break has not ended')
    this.detachFromOfd(lease)
    this.leases.delete(lease)
    leasesOf(lease.file, lease.mode).delete(lease)
    const { owners } = lease
    lease.finish()
    owners.forEach(({ process }) => {
      process.forgetLease()
      this.forgetProcessIfUnused(process)
    })
    const user = this.user(lease.user)
    user.leaseCount--
    this.#forgetUserIfUnused(lease.user, user)
    if (leaseCountOf(lease.file) === 0) lease.file.isEmptied = true
    this.obstacles.moved(lease)
    this.touch(lease.file)
  }

  /** The lease has no descriptor any more. */
  detachFromOfd(lease: Lease): void {
    const { ofd } = lease
    if (ofd === null) return
    this.#countState(ofd, lease.state, -1)
    lease.ofd = null
    ofd.forgetLease()
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
    leasesOf(lease.file, lease.mode).delete(lease)
    leasesOf(lease.file, mode).add(lease)
    lease.mode = mode
  }

  #countState(ofd: OfdRecord, state: LeaseState, step: 1 | -1): void {
    if (state === 'breaking') ofd.activityToChange().breakingCount += step
    else if (state === 'revoked') ofd.activityToChange().revokedCount += step
    else return
    this.markPoll(ofd)
  }

  addOwner(lease: Lease, owner: Owner): void {
    lease.ownersToChange().add(owner)
    owner.process.addLease(lease)
    this.obstacles.moved(lease)
  }

  removeOwner(lease: Lease, { process }: Owner): void {
    lease.ownersToChange().delete(process.id)
    process.forgetLease()
    this.forgetProcessIfUnused(process)
    this.obstacles.moved(lease)
  }

  // Who waits

  enqueueChange(change: Change): void {
    assert(!this.pending.has(change.request), 'a request is pending already')
    queueOf(change.file).changes.add(change)
    this.pending.set(change.request, change)
  }

  /** A waiting change was refused or interrupted, or one in flight is done. */
  dequeueChange(change: Change): void {
    const { changes, changesInFlight } = queueOf(change.file)
    if (change.isInFlight) changesInFlight.delete(change)
    else changes.delete(change)
    this.#end(change)
  }

  /** It waits no longer, and holds up no other change. */
  launchChange(change: Change): void {
    const { changes, changesInFlight } = queueOf(change.file)
    changes.delete(change)
    changesInFlight.add(change)
    change.isInFlight = true
    this.obstacles.moved(change)
  }

  enqueueRequest(request: PendingRequest): void {
    assert(!this.pending.has(request.request), 'a request is pending already')
    requestsOf(request.file, request.wish.mode).add(request)
    this.pending.set(request.request, request)
    const ofd = this.ofd(request.wish.ofd, request.file)
    const activity = ofd.activityToChange()
    activity.requests ??= new Set()
    activity.requests.add(request)
    this.setWatch(ofd, null, false)
    if (request.wish.process === null) return
    const process = this.process(request.wish.process)
    process.requests ??= new Set()
    process.requests.add(request)
  }

  dequeueRequest(request: PendingRequest): void {
    requestsOf(request.file, request.wish.mode).delete(request)
    const ofd = this.ofd(request.wish.ofd, request.file)
    ofd.activityToChange().requests?.delete(request)
    this.forgetOfdIfUnused(ofd)
    if (request.wish.process !== null) {
      const process = this.process(request.wish.process)
      process.requests?.delete(request)
      this.forgetProcessIfUnused(process)
    }
    this.#end(request)
  }

  #end(waiter: Waiter): void {
    this.pending.delete(waiter.request)
    waiter.isOver = true
    this.obstacles.detach(waiter)
    this.obstacles.moved(waiter)
    this.touch(waiter.file)
  }

  // Processes, contexts and users

  process(id: ProcessKey): ProcessRecord {
    const known = this.processes.get(id)
    if (known !== undefined) return known
    const process = new ProcessRecord(id)
    this.processes.add(process)
    return process
  }

  forgetProcessIfUnused(process: ProcessRecord): void {
    if (process.isUnused) this.processes.delete(process)
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
    pin.lease.addPin(pin)
    this.pins.set(pin.id, pin)
    this.#pinsOfHolder(pin).add(pin)
    this.user(pin.user).pinCount++
  }

  removePin(pin: Pin): void {
    pin.lease.removePin(pin)
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

/** For whoever is about to wait. */
export function queueOf(file: FileRecord): FileQueue {
  file.queue ??= {
    changes: new RangeTree(),
    changesInFlight: new RangeTree(),
    readers: new RangeTree(),
    writers: new RangeTree(),
    watches: new RangeTree(),
    watcherCount: 0,
  }
  return file.queue
}

function isQueueUnused({ changes, changesInFlight, readers, writers, watcherCount }: FileQueue): boolean {
  return changes.size + changesInFlight.size + readers.size + writers.size + watcherCount === 0
}

function leasesOf(file: FileRecord, mode: LeaseMode): RangeTree<Lease> {
  return mode === 'read' ? file.readers : file.writers
}

function requestsOf(file: FileRecord, mode: LeaseMode): RangeTree<PendingRequest> {
  return mode === 'read' ? queueOf(file).readers : queueOf(file).writers
}
