/**
 * The lease table of an engine and what surrounds it: the clock, the processes, the files that must be kept,
 * the requests that wait, the events. It brings the rules their inputs and carries out their effects; it
 * decides nothing itself.
 */
import { EventHub } from '../control/events.js'
import type { ProcessRecord } from '../control/formats/records.js'
import type { Notifier } from '../fuse/api.js'
import {
  createLeaseRules,
  type Effect,
  type Input,
  type LeasePolicy,
  type LeaseRules,
  MAX_BREAK_TIME_MS,
  type Step,
} from '../lease/index.js'
import { Errno } from '../lib/errno.js'
import type { FileId, Instant, LeaseId, Ofd, ProcessKey, RequestId } from '../lib/ids.js'
import { LinuxError } from '../linux/error.js'
import type { FileNode, OpenFile } from '../passthrough/gate.js'
import { formatLeaseEvent } from './event-records.js'
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

export class LeaseService {
  readonly rules: LeaseRules
  readonly processes = new ProcessTable()
  readonly events = new EventHub()
  readonly files = new Map<FileId, ProtectedFile>()
  readonly mappings: MappingWatch
  /** When a pin context was opened, and by whom. */
  readonly contexts = new Map<number, ProcessRecord>()
  /** Launchers that were promised a mount and have not taken their lease yet. */
  readonly expected = new Set<ProcessKey>()
  /** Called after each step that ended a lease: the engine may have nothing left to do. */
  onFileFree: (file: ProtectedFile) => void = () => {}
  /** Called for each watched process that has ended, after the rules were told. */
  onExit: (process: ProcessKey) => void = () => {}
  readonly #waiting = new Map<RequestId, Resume>()
  readonly #pollers = new Map<Ofd, { notifier: Notifier; handles: Set<bigint> }>()
  readonly #watched = new Set<ProcessKey>()
  readonly #reportBug: (error: unknown) => void
  #policy: LeasePolicy
  #nextRequest = 1

  /** @param reportBug told of what went wrong while effects were carried out. */
  constructor(policy: LeasePolicy, reportBug: (error: unknown) => void) {
    this.#policy = policy
    this.#reportBug = reportBug
    this.rules = createLeaseRules(policy)
    this.mappings = new MappingWatch(this)
  }

  now(): Instant {
    return performance.now() as Instant
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

  /** P6: exits are taken in before anything that comes later is judged. */
  takeExits(): void {
    for (const process of this.processes.takeExits()) {
      this.#watched.delete(process)
      this.#attempt(() => this.step({ kind: 'process-exited', process }))
      this.#attempt(() => this.onExit(process))
    }
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
  wait(request: RequestId, resume: Resume): void {
    this.#waiting.set(request, resume)
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
    this.files.delete(id)
    this.mappings.forget(id)
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
        const resume = this.#waiting.get(effect.request)
        this.#waiting.delete(effect.request)
        resume?.(effect.errno, effect.lease)
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
        if (!this.events.hasReaders) return
        const owner = this.ownerOf(effect.event.lease.file)
        const viewers = [Number(effect.event.lease.user), ...(owner === null ? [] : [owner])]
        this.events.publish(formatLeaseEvent(effect.event, this), viewers)
        return
      }
      case 'file-free':
        this.#free(effect.file)
        return
      case 'signal':
      case 'kill':
        // SETOWN refuses signals and no mount option asks for killing yet, so the rules cannot ask for them.
        throw new Error(`the mount cannot carry out '${effect.kind}' yet`)
    }
  }
}

/** Is this the errno of a result that failed? */
export function failedWith(step: Step): Errno | null {
  return step.answer.status === 'failed' ? step.answer.errno : null
}
