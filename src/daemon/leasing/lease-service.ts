/**
 * The lease table of an engine and what surrounds it: the clock, the processes, the files that must be kept,
 * the requests that wait, the events. It brings the rules their inputs and carries out their effects; it
 * decides nothing itself.
 */
import { EventHub } from '../../control/events.js'
import type { EventRecord, ProcessRecord } from '../../control/formats/records.js'
import type { Notifier } from '../../fuse/api.js'
import {
  createLeaseRules,
  type Effect,
  type Input,
  type LayoutOperation,
  type LeaseEvent,
  type LeaseInfo,
  type LeasePolicy,
  type LeaseRules,
  MAX_BREAK_TIME_MS,
  type Offender,
  type Step,
} from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { FileId, Instant, LeaseId, Ofd, ProcessKey, RequestId } from '../../lib/ids.js'
import type { Range } from '../../lib/range.js'
import { LinuxError } from '../../linux/error.js'
import type { FileNode, OpenFile } from '../../passthrough/gate.js'
import { BypassWatch } from './bypass-watch.js'
import { formatLeaseEvent, formatLeaseFields, timestamp } from './event-records.js'
import { MappingWatch } from './mapping-watch.js'
import { ProcessTable } from './processes.js'

/** A file with leases or pins: the node is held until the rules let it go (P7). */
export interface ProtectedFile {
  readonly id: FileId
  readonly node: FileNode
  /** Where it is shown, for reports. */
  readonly mountpoint: () => Buffer
}

/** What a waiting request wants to hear in the end. */
type Resume = (errno: Errno | 0, lease: LeaseId | undefined) => void

/** An operation that waits for leases to be given up (R4). */
export interface WaitingOperation {
  readonly file: FileId
  readonly process: ProcessKey | null
  readonly operation: LayoutOperation | 'lease'
  readonly range: Range
  readonly since: Instant
}

/** What a lease has refused so far (R4). */
export interface Refusals {
  readonly count: number
  /** ISO 8601, UTC. */
  readonly lastAt: string
  readonly last: Offender
}

/** What has happened since the start, for `metrics`. */
export interface Counts {
  readonly events: Map<string, number>
  signalsSent: number
  /** Registered, but not to be sent (L5), or not taken by the kernel. */
  signalsWithheld: number
  kills: number
}

export class LeaseService {
  readonly rules: LeaseRules
  readonly processes = new ProcessTable()
  readonly events = new EventHub()
  readonly files = new Map<FileId, ProtectedFile>()
  readonly mappings: MappingWatch
  readonly bypasses: BypassWatch
  /** When a pin context was opened, and by whom. */
  readonly contexts = new Map<number, ProcessRecord>()
  /** Launchers that were promised a mount and have not taken their lease yet. */
  readonly expected = new Set<ProcessKey>()
  /** Called after each step that ended a lease: the engine may have nothing left to do. */
  onFileFree: (file: ProtectedFile) => void = () => {}
  /**
   * Takes in what waits on the control directory's own connection: the last close of a pin context may have come
   * before the request in hand, and the two connections have no order between them.
   */
  takeCloses: () => void = () => {}
  /** Called for each watched process that has ended, after the rules were told. */
  onExit: (process: ProcessKey) => void = () => {}
  readonly counts: Counts = { events: new Map(), signalsSent: 0, signalsWithheld: 0, kills: 0 }
  readonly refusals = new Map<LeaseId, Refusals>()
  readonly #waiting = new Map<RequestId, { resume: Resume; operation: WaitingOperation }>()
  readonly #pollers = new Map<Ofd, { notifier: Notifier; handles: Set<bigint> }>()
  readonly #watched = new Set<ProcessKey>()
  readonly #reportBug: (error: unknown) => void
  #policy: LeasePolicy
  readonly #nowMs: () => number
  #nextRequest = 1

  /**
   * @param reportBug told of what went wrong while effects were carried out.
   * @param nowMs The clock that deadlines go by.
   */
  constructor(policy: LeasePolicy, reportBug: (error: unknown) => void, nowMs = () => performance.now()) {
    this.#policy = policy
    this.#nowMs = nowMs
    this.#reportBug = reportBug
    this.rules = createLeaseRules(policy)
    this.mappings = new MappingWatch(this)
    this.bypasses = new BypassWatch(this)
  }

  now(): Instant {
    return this.#nowMs() as Instant
  }

  nextRequestId(): RequestId {
    return this.#nextRequest++ as RequestId
  }

  /** Gives the rules one input and carries out what follows. */
  step(input: Input): Step {
    const step = this.rules.step(input, this.now())
    for (const effect of step.effects) this.#attempt(() => this.#carryOut(effect))
    return step
  }

  /** What fails must not take along what comes after it: somebody waits for an answer, or for a process's end. */
  #attempt(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#reportBug(error)
    }
  }

  /** P6: ends of contexts and of processes are taken in before anything that comes later is judged. */
  takeExits(): void {
    if (this.contexts.size > 0) this.takeCloses()
    for (const process of this.processes.takeExits()) {
      this.#watched.delete(process)
      this.#attempt(() => this.step({ kind: 'process-exited', process }))
      this.#attempt(() => this.onExit(process))
    }
  }

  get policy(): LeasePolicy {
    return this.#policy
  }

  /** B1: for breaks that start from now on, on the whole engine. */
  setBreakTime(breakTimeMs: number): Errno | 0 {
    if (breakTimeMs < 1 || breakTimeMs > MAX_BREAK_TIME_MS) return Errno.EINVAL
    this.#policy = { ...this.#policy, breakTimeMs }
    return failedWith(this.step({ kind: 'set-policy', policy: this.#policy })) ?? 0
  }

  /** Milliseconds until `timePassed` is due; -1 for never. */
  timeoutMs(): number {
    const deadline = this.rules.nextDeadline()
    return deadline === null ? -1 : Math.max(0, Math.ceil(deadline - this.now()))
  }

  timePassed(): void {
    const deadline = this.rules.nextDeadline()
    if (deadline !== null && deadline <= this.now()) this.step({ kind: 'time-passed' })
  }

  /** Keeps `resume` until a `reply` effect answers the request. */
  wait(request: RequestId, operation: Omit<WaitingOperation, 'since'>, resume: Resume): void {
    this.#waiting.set(request, { resume, operation: { ...operation, since: this.now() } })
  }

  *waitingOperations(): Iterable<WaitingOperation> {
    for (const { operation } of this.#waiting.values()) yield operation
  }

  interrupt(request: RequestId): void {
    this.step({ kind: 'interrupt', request })
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  /**
   * Makes sure that the end of this process is noticed. Call it before the process becomes an owner.
   * @returns false if it has ended already: it cannot own anything.
   */
  watch(process: ProcessKey): boolean {
    if (!this.processes.watch(process)) return false
    this.#watched.add(process)
    return true
  }

  /** Stops watching a process that owns nothing any more. Call it after a step that may have ended that. */
  settle(process: ProcessKey | null): void {
    if (process === null || !this.#watched.has(process)) return
    if (this.rules.isInvolved(process) || this.expected.has(process)) return
    this.#watched.delete(process)
    this.processes.unwatch(process)
  }

  /** Remembers the file of a lease and keeps its backing file; undone by the `file-free` effect. */
  keep(file: ProtectedFile): void {
    if (this.files.has(file.id)) return
    file.node.hold()
    this.files.set(file.id, file)
  }

  /** Lets a file go that `keep` took for a request which then failed. */
  keepOnlyIfProtected(id: FileId): void {
    if (this.rules.leaseCountOf(id) === 0) this.#free(id)
  }

  #free(id: FileId): void {
    const file = this.files.get(id)
    if (file === undefined) return
    this.mappings.forget(id)
    this.bypasses.forget(id)
    this.files.delete(id)
    file.node.release()
    this.onFileFree(file)
  }

  /** Who owns a protected file now; null if its backing file cannot be asked. */
  ownerOf(id: FileId): number | null {
    try {
      return this.files.get(id)?.node.ownerUid() ?? null
    } catch (error) {
      if (error instanceof LinuxError) return null
      throw error
    }
  }

  addPoller(ofd: Ofd, kh: bigint, notifier: Notifier): void {
    const entry = this.#pollers.get(ofd)
    if (entry === undefined) this.#pollers.set(ofd, { notifier, handles: new Set([kh]) })
    else entry.handles.add(kh)
  }

  /** The last descriptor is closed: what is still mapped decides what becomes of its leases (L7). */
  closed(ofd: Ofd, file: OpenFile, id: FileId): void {
    this.#pollers.delete(ofd)
    if (this.rules.nextLeaseOf(ofd, 0) === undefined) {
      // It may have asked for one with START, and is then remembered.
      this.step({ kind: 'ofd-closed', ofd, mappings: [] })
      return
    }
    this.takeExits()
    this.step({ kind: 'ofd-closed', ofd, mappings: this.mappings.watch(id, file.node) })
    this.mappings.settle(id)
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'reply': {
        const waiting = this.#waiting.get(effect.request)
        this.#waiting.delete(effect.request)
        waiting?.resume(effect.errno, effect.lease)
        return
      }
      case 'poll': {
        const entry = this.#pollers.get(effect.ofd)
        if (entry === undefined) return
        for (const kh of entry.handles) entry.notifier.poll(kh)
        entry.handles.clear()
        return
      }
      case 'event': {
        for (const owner of effect.event.lease.owners) this.settle(owner)
        if (effect.event.event === 'granted') this.bypasses.watch(effect.event.lease)
        this.#note(effect.event)
        if (!this.events.hasReaders) return
        const viewers = this.#viewers(effect.event.lease)
        if ('offender' in effect.event) this.#addUser(viewers, effect.event.offender.process)
        this.events.publish(formatLeaseEvent(effect.event, this), [...viewers])
        return
      }
      case 'file-free':
        this.#free(effect.file)
        return
      case 'signal':
        if (this.processes.signal(effect.process, effect.signal)) this.counts.signalsSent++
        else this.counts.signalsWithheld++
        return
      case 'kill':
        if (this.processes.kill(effect.process)) this.counts.kills++
    }
  }

  /** An event that the rules know nothing of: what befell the mount that this lease is on. */
  publish(event: EventRecord, lease: LeaseInfo | null): void {
    this.#count(event.event)
    if (lease === null) this.events.publish(event, [])
    else this.events.publish({ ...event, ...formatLeaseFields(lease, this) }, [...this.#viewers(lease)])
  }

  #note(event: LeaseEvent): void {
    this.#count(event.event)
    const { id } = event.lease
    if (event.event === 'refused') {
      const count = (this.refusals.get(id)?.count ?? 0) + 1
      this.refusals.set(id, { count, lastAt: timestamp(), last: event.offender })
    } else if (event.event === 'released' || event.event === 'gone') {
      this.refusals.delete(id)
    }
  }

  #count(event: string): void {
    const { events } = this.counts
    events.set(event, (events.get(event) ?? 0) + 1)
  }

  /** R1: everybody sees what happens to their files, leases and processes. */
  #viewers(lease: LeaseInfo): Set<number> {
    const viewers = new Set([Number(lease.user)])
    const fileOwner = this.ownerOf(lease.file)
    if (fileOwner !== null) viewers.add(fileOwner)
    for (const owner of lease.owners) this.#addUser(viewers, owner)
    return viewers
  }

  #addUser(viewers: Set<number>, process: ProcessKey | null): void {
    const uid = process === null ? null : this.processes.uidOf(process)
    if (uid !== null) viewers.add(uid)
  }
}

/** Is this the errno of a result that failed? */
export function failedWith(step: Step): Errno | null {
  return step.answer.status === 'failed' ? step.answer.errno : null
}
