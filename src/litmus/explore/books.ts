/**
 * The auditor's books: what it believes of leases, pins and waiters, from what was asked for and what came of it.
 * It shares no code with src/lease. Whatever overlaps, conflicts or has a right is said here a second time, over
 * plain lists, however slow.
 */
import type { Action, Bytes, MountSpec, Name, Signal, User } from '../scenario.js'
import type { ActionId } from '../world.js'
import type { Facts } from './facts.js'

export type LeaseAction = Extract<Action, { readonly do: 'lease' }>
export type ChangeAction = Extract<Action, { readonly do: 'change' }>

/** What would be enough to answer a break: lowering the lease to read, or nothing but letting go (B3). */
export type Demand = 'read' | 'none'

export interface BookedOwner {
  readonly process: Name
  signal: { readonly signal: Signal; readonly value: number; readonly registrar: User } | null
  /** It has had its signal for the break under way, or was its breaker. */
  isSignalled: boolean
}

export interface BookedBreak {
  readonly deadlineMs: number
  demand: Demand
}

export interface BookedLease {
  readonly name: Name
  readonly file: Name
  readonly openFile: number
  readonly user: string
  readonly bytes: Bytes
  mode: 'read' | 'write'
  level: 'normal' | 'exclusive'
  isNotifyOnly: boolean
  breakTimeMs: number
  owners: BookedOwner[]
  leaseBreak: BookedBreak | null
  isRevoked: boolean
  /** P5: it has been one at some time, and then it stays one. */
  isZombie: boolean
  /** Its owners are being killed for it: since its deadline (B5), or because somebody seized it (X4). */
  killedFor: 'deadline' | 'seizure' | null
  /** Some descriptor of its open file description is left. */
  isOpen: boolean
  /** L7: an owner mapped a part of it when its last descriptor was closed, and has done so ever since. */
  isMapped: boolean
}

export interface BookedPin {
  /** Pinning the same again gives the same pin another name (P3). */
  readonly names: Name[]
  readonly lease: Name
  readonly file: Name
  readonly bytes: Bytes
  readonly holder: PinHolder
  readonly user: string
  count: number
}

export type PinHolder =
  | { readonly process: Name; readonly context: null }
  | { readonly process: null; readonly context: number }

/** A layout change, as far as it matters where it comes from and what it takes away. */
export interface LayoutChange {
  readonly file: Name
  readonly openFile: number | null
  readonly bytes: Bytes
  readonly isNonBlocking: boolean
}

/** A lease as L3 sees it, had or wished for. */
export interface Wish {
  readonly file: Name
  readonly openFile: number
  readonly bytes: Bytes
  readonly mode: 'read' | 'write'
}

/** A request for a lease, new or changed in place. */
export interface Request extends Wish {
  /** The one to change in place; null: a new one. */
  readonly lease: Name | null
  readonly level: 'normal' | 'exclusive'
  readonly whenBusy: 'fail' | 'wait' | 'start'
  readonly mayDelayOthers: boolean
  readonly breakTimeMs: number
}

export interface SentSignal {
  readonly process: Name
  readonly signal: Signal
  readonly value: number
}

export type Wait = {
  readonly id: ActionId
  readonly process: Name
  readonly action: Action
  /** When Holdfast heard of it, in the order of arrival; null: not yet. */
  arrival: number | null
} & (
  | { readonly kind: 'layout-change'; readonly change: LayoutChange }
  /** An open with O_TRUNC that has gone ahead, and now waits for the inode's lock as the kernel forgets its pages. */
  | { readonly kind: 'passed' }
  | { readonly kind: 'request'; readonly request: Request }
  | { readonly kind: 'other' }
)

export class Books {
  readonly mount: MountSpec
  leases: BookedLease[] = []
  pins: BookedPin[] = []
  waits: Wait[] = []
  /** L6: open file descriptions whose START was told to try again later, and whether that time has come. */
  watches: { readonly request: Request; readonly openFile: number; isWorthTrying: boolean }[] = []
  /** Sent, and not yet seen by a process that is stopped or in a system call. */
  signals: SentSignal[] = []
  lastLeaseId = 0
  #arrivals = 0

  constructor(mount: MountSpec) {
    this.mount = mount
  }

  copy(): Books {
    const copy = new Books(this.mount)
    copy.leases = this.leases.map((lease) => ({
      ...lease,
      owners: lease.owners.map((owner) => ({ ...owner })),
      leaseBreak: lease.leaseBreak === null ? null : { ...lease.leaseBreak },
    }))
    copy.pins = this.pins.map((pin) => ({ ...pin, names: [...pin.names] }))
    copy.waits = this.waits.map((wait) => ({ ...wait }))
    copy.watches = this.watches.map((watch) => ({ ...watch }))
    copy.signals = [...this.signals]
    copy.lastLeaseId = this.lastLeaseId
    copy.#arrivals = this.#arrivals
    return copy
  }

  nextArrival(): number {
    this.#arrivals++
    return this.#arrivals
  }

  lease(name: Name): BookedLease | undefined {
    return this.leases.find((lease) => lease.name === name)
  }

  pinsOf(lease: Name): BookedPin[] {
    return this.pins.filter((pin) => pin.lease === lease)
  }

  /** Layout changes that wait and that Holdfast knows of. */
  waitingChanges(): { id: ActionId; process: Name; arrival: number; change: LayoutChange }[] {
    return this.waits.flatMap((wait) =>
      wait.kind === 'layout-change' && wait.arrival !== null
        ? [{ id: wait.id, process: wait.process, arrival: wait.arrival, change: wait.change }]
        : [],
    )
  }

  waitingRequests(): { id: ActionId; process: Name; arrival: number; request: Request }[] {
    return this.waits.flatMap((wait) =>
      wait.kind === 'request' && wait.arrival !== null
        ? [{ id: wait.id, process: wait.process, arrival: wait.arrival, request: wait.request }]
        : [],
    )
  }

  /**
   * Everything that what comes later is judged by, as text: two histories that lead to one state of the machine
   * are one only if the auditor believes the same after both.
   */
  key(nowMs: number): string {
    const numbers = new Map<number, number>()
    const numberOf = (openFile: number) => {
      if (!numbers.has(openFile)) numbers.set(openFile, numbers.size)
      return numbers.get(openFile)
    }
    const leases = this.leases
      .toSorted((a, b) => compareText(a.name, b.name))
      .map((lease) => ({
        ...lease,
        openFile: numberOf(lease.openFile),
        leaseBreak: lease.leaseBreak && {
          demand: lease.leaseBreak.demand,
          leftMs: lease.leaseBreak.deadlineMs - nowMs,
        },
        owners: lease.owners.toSorted((a, b) => compareText(a.process, b.process)),
      }))
    const pins = this.pins.toSorted((a, b) => compareText(pinKey(a), pinKey(b))).map(pinKey)
    const waits = this.waits
      .toSorted((a, b) => (a.arrival ?? a.id + 1e9) - (b.arrival ?? b.id + 1e9))
      .map((wait) => [wait.process, wait.arrival === null, wait.kind === 'passed'])
    const watches = this.watches.map((watch) => [
      numberOf(watch.openFile),
      watch.request.bytes,
      watch.request.mode,
      watch.isWorthTrying,
    ])
    return JSON.stringify([leases, pins, waits, watches, this.signals])
  }
}

function pinKey(pin: BookedPin): string {
  return JSON.stringify([pin.lease, pin.bytes, pin.holder.process, pin.count])
}

export function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

export function endOf(bytes: Bytes): number {
  return bytes.end ?? Number.POSITIVE_INFINITY
}

export function touches(a: Bytes, b: Bytes): boolean {
  return Math.max(a.start, b.start) < Math.min(endOf(a), endOf(b))
}

export function contains(outer: Bytes, inner: Bytes): boolean {
  return outer.start <= inner.start && endOf(inner) <= endOf(outer)
}

export function isContrary(a: Wish, b: Wish): boolean {
  if (a.file !== b.file || a.openFile === b.openFile) return false
  return (a.mode === 'write' || b.mode === 'write') && touches(a.bytes, b.bytes)
}

export function isOwner(lease: BookedLease, process: Name): boolean {
  return lease.owners.some((owner) => owner.process === process)
}

export function isSameHolder(a: PinHolder, b: PinHolder): boolean {
  return a.process === b.process && a.context === b.context
}

/** P3 */
export function isSamePin(pin: BookedPin, lease: Name, holder: PinHolder, bytes: Bytes): boolean {
  const isSameRange = pin.bytes.start === bytes.start && endOf(pin.bytes) === endOf(bytes)
  return pin.lease === lease && isSameRange && isSameHolder(pin.holder, holder)
}

/** L7: does an owner map a part of it? */
export function isMapped(lease: BookedLease, facts: Facts): boolean {
  return lease.owners.some((owner) => {
    const mappings = [...(facts.processes.get(owner.process)?.mappings.values() ?? [])]
    return mappings.some((mapping) => mapping.file === lease.file && touches(mapping.bytes, lease.bytes))
  })
}

/** What the contract says of a lease that nobody has released. */
export function stateOf(lease: BookedLease): 'active' | 'breaking' | 'revoked' | 'zombie' {
  if (lease.isRevoked) return 'revoked'
  if (lease.isZombie) return 'zombie'
  return lease.leaseBreak === null ? 'active' : 'breaking'
}
