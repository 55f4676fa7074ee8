/**
 * What a layout change or a lease request meets. Everything here only looks; whether to wait, break or refuse
 * is one place each: `meetChange` for L8, B8, X1, X5, `meetRequest` for L3, L4, L6.
 */
import { Errno } from '../lib/errno.js'
import type { Ofd, ProcessKey } from '../lib/ids.js'
import { overlaps, type Range } from '../lib/range.js'
import type { Lease } from './lease.js'
import type { FileQueue, FileRecord, LeaseRequest } from './records.js'
import type { LeaseMode } from './types.js'
import type { Change, PendingRequest } from './waiter.js'

/** A layout change, as far as the rules care where it comes from and what it takes away. */
export interface ChangeSource {
  readonly ofd: Ofd | null
  readonly process: ProcessKey | null
  readonly range: Range
}

/**
 * - `clear`: it may go ahead; `tell`: it may too, but the owners are told (L8, notify-only);
 * - `self`: it may, and breaks the lease by that (B8); `wait`: not before the lease is given up (B1);
 * - `refuse`, `refuse-own`: not at all (X1).
 */
type Meeting = 'clear' | 'tell' | 'self' | 'wait' | 'refuse' | 'refuse-own'

/** What a change means to one lease. */
export function meetChange(lease: Lease, change: ChangeSource): Meeting {
  if (lease.state === 'revoked' || !overlaps(lease, change.range)) return 'clear'
  const isOwn = lease.isOwner(change.process)
  const isThroughHolder = lease.ofd !== null && lease.ofd.id === change.ofd
  // X5. A zombie is nobody's any more: what it protects is in use, so its whole range stays (P5).
  if (lease.mode === 'write' && lease.state !== 'zombie' && (isOwn || isThroughHolder)) {
    return hasPinsIn(lease, change.range) ? 'refuse-own' : 'clear'
  }
  if (lease.level === 'exclusive') return isOwn ? 'refuse-own' : 'refuse'
  if (isOwn && lease.owners.size === 1) return 'self'
  return lease.notifyOnly ? 'tell' : 'wait'
}

function hasPinsIn(lease: Lease, range: Range): boolean {
  if (lease.pins === null) return false
  for (const pin of lease.pins.values()) if (overlaps(pin.range, range)) return true
  return false
}

export interface ChangeVerdict {
  /** Not 0: it is refused, and breaks nothing (X2). */
  errno: typeof Errno.ETXTBSY | typeof Errno.EDEADLK | 0
  readonly refusing: Lease[]
  readonly waitingFor: Lease[]
  readonly toTell: Lease[]
  readonly own: Lease[]
}

export function judgeChange(file: FileRecord, change: ChangeSource): ChangeVerdict {
  const verdict: ChangeVerdict = { errno: 0, refusing: [], waitingFor: [], toTell: [], own: [] }
  for (const lease of file.readers.overlapping(change.range)) addMeeting(verdict, lease, change)
  for (const lease of file.writers.overlapping(change.range)) addMeeting(verdict, lease, change)
  return verdict
}

function addMeeting(verdict: ChangeVerdict, lease: Lease, change: ChangeSource): void {
  switch (meetChange(lease, change)) {
    case 'clear':
      return
    case 'tell':
      verdict.toTell.push(lease)
      return
    case 'self':
      verdict.own.push(lease)
      return
    case 'wait':
      verdict.waitingFor.push(lease)
      return
    case 'refuse':
      verdict.refusing.push(lease)
      if (verdict.errno === 0) verdict.errno = Errno.ETXTBSY
      return
    case 'refuse-own':
      // The first one is the one to name when it is asked because of whom (R4).
      verdict.refusing.unshift(lease)
      verdict.errno = Errno.EDEADLK
  }
}

/**
 * What stands in front of a layout change that has been waiting: an earlier one that overlaps and waits itself.
 * Lease requests do not hold up changes.
 */
export function changeAhead(change: Change): Change | null {
  const changes = change.file.queue?.changes
  return changes?.findBefore(change, (other) => other.id < change.id) ?? null
}

/** L3, L4: two leases of one OFD never conflict; else write conflicts with everything (where it overlaps). */
function conflicts(request: LeaseRequest, other: Ofd | null, otherMode: LeaseMode): boolean {
  return request.ofd !== other && (request.mode === 'write' || otherMode === 'write')
}

/** What a lease means to a lease request: as in `Meeting`. */
export function meetRequest(lease: Lease, request: LeaseRequest): 'clear' | 'tell' | 'wait' | 'refuse' {
  if (lease.state === 'revoked' || !overlaps(lease, request.range)) return 'clear'
  const holder = lease.ofd === null ? null : lease.ofd.id
  if (!conflicts(request, holder, lease.mode)) return 'clear'
  if (lease.level === 'exclusive') return 'refuse'
  return lease.notifyOnly && request.mayDelayOthers ? 'tell' : 'wait'
}

export interface RequestVerdict {
  /** L6: an exclusive lease is in the way, waiting is no use. */
  isRefused: boolean
  /** L6: a layout change or an earlier lease request that is in the way. */
  ahead: Change | PendingRequest | null
  /** Normal leases in the way. */
  readonly busy: Lease[]
  /** Notify-only leases, which are not in the way but are told (L8). */
  readonly toTell: Lease[]
}

const CLEAR: RequestVerdict = { isRefused: false, ahead: null, busy: [], toTell: [] }

/** @param place Where the request stands among those that wait; a new one comes after all of them. */
export function judgeRequest(
  file: FileRecord,
  request: LeaseRequest,
  place = Number.POSITIVE_INFINITY,
): RequestVerdict {
  if (file.queue === null && file.writers.size === 0 && request.mode === 'read') return CLEAR // The usual case.
  const verdict: RequestVerdict = { isRefused: false, ahead: null, busy: [], toTell: [] }
  for (const lease of file.writers.overlapping(request.range)) addConflict(verdict, lease, request)
  if (request.mode === 'write') {
    for (const lease of file.readers.overlapping(request.range)) addConflict(verdict, lease, request)
  }
  if (file.queue !== null) verdict.ahead = requestsAhead(file.queue, request, place)
  return verdict
}

function addConflict(verdict: RequestVerdict, lease: Lease, request: LeaseRequest): void {
  switch (meetRequest(lease, request)) {
    case 'clear':
      return
    case 'tell':
      verdict.toTell.push(lease)
      return
    case 'wait':
      verdict.busy.push(lease)
      return
    case 'refuse':
      verdict.isRefused = true
  }
}

/** A layout change that takes bytes of this range away, or will when it has waited. */
export function changeOver(queue: FileQueue | null, range: Range): Change | null {
  if (queue === null) return null
  return queue.changesInFlight.find(range, () => true) ?? queue.changes.find(range, () => true)
}

/**
 * The nearest one, if it can be told: whoever waits is looked at again when that one moves, and of many who wait
 * for the same only the next should be.
 */
function requestsAhead(queue: FileQueue, request: LeaseRequest, id: number): Change | PendingRequest | null {
  const change = changeOver(queue, request.range)
  if (change !== null) return change
  const { readers, writers } = queue
  const key = { ...request.range, id }
  const isAhead = (other: PendingRequest) =>
    other.id < id && conflicts(request, other.wish.ofd, other.wish.mode)
  return (
    writers.findBefore(key, isAhead) ?? (request.mode === 'write' ? readers.findBefore(key, isAhead) : null)
  )
}

/**
 * Those who wait, or watch, for a lease that this one, which is new to them, stands in the way of: all if that is
 * in vain now; else one who waits, because one is enough to break it: whoever asks for most.
 */
export function requestsHeldUpBy(lease: Lease): readonly PendingRequest[] {
  if (lease.file.queue === null) return []
  const { readers, writers, watches } = lease.file.queue
  if (lease.level === 'exclusive') {
    const overlapping = [writers, readers, watches].flatMap((requests) => requests.overlapping(lease))
    return overlapping.filter(({ wish }) => meetRequest(lease, wish) === 'refuse')
  }
  const isHeldUp = ({ wish }: PendingRequest) => meetRequest(lease, wish) === 'wait'
  const request = writers.find(lease, isHeldUp) ?? readers.find(lease, isHeldUp)
  return request === null ? [] : [request]
}
