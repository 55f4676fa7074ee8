/**
 * What a layout change or a lease request meets. Everything here only looks; whether to wait, break or refuse
 * is one place each: `meetChange` for L8, B8, X1, X5, `conflicts` for L3, L4, L6.
 */
import { Errno } from '../lib/errno.js'
import type { Ofd, ProcessKey } from '../lib/ids.js'
import { overlaps, type Range } from '../lib/range.js'
import type { FileRecord, Lease, LeaseRequest } from './records.js'
import { isOwner } from './records.js'
import type { LeaseMode } from './types.js'

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
  if (lease.state === 'revoked' || !overlaps(lease.range, change.range)) return 'clear'
  const isOwn = isOwner(lease, change.process)
  const isThroughHolder = lease.ofd !== null && lease.ofd.id === change.ofd
  // X5. A zombie is nobody's any more: what it protects is in use, so its whole range stays (P5).
  if (lease.mode === 'write' && lease.state !== 'zombie' && (isOwn || isThroughHolder)) {
    return hasPinsIn(lease, change.range) ? 'refuse-own' : 'clear'
  }
  if (lease.level === 'exclusive') return isOwn ? 'refuse-own' : 'refuse'
  if (isOwn && lease.owners.length === 1) return 'self'
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

/** Does a change have to go on waiting for a lease that is breaking? Cheaper than a whole verdict. */
export function waitsForBreak(file: FileRecord, change: ChangeSource): boolean {
  const isWaitedFor = (lease: Lease) => lease.state === 'breaking' && meetChange(lease, change) === 'wait'
  return file.readers.some(isWaitedFor) || file.writers.some(isWaitedFor)
}

/** L3, L4: two leases of one OFD never conflict; else write conflicts with everything it overlaps. */
function conflicts(
  ofd: Ofd,
  mode: LeaseMode,
  range: Range,
  other: Ofd | null,
  otherMode: LeaseMode,
  otherRange: Range,
) {
  return ofd !== other && (mode === 'write' || otherMode === 'write') && overlaps(range, otherRange)
}

export interface RequestVerdict {
  /** L6: an exclusive lease is in the way, waiting is no use. */
  isRefused: boolean
  /** L6: a layout change or an earlier lease request is in the way. */
  isQueued: boolean
  /** Normal leases in the way. */
  readonly busy: Lease[]
  /** Notify-only leases, which are not in the way but are told (L8). */
  readonly toTell: Lease[]
}

/** @param earlierCount How many of the file's waiting lease requests came before this one. */
export function judgeRequest(file: FileRecord, request: LeaseRequest, earlierCount: number): RequestVerdict {
  const verdict: RequestVerdict = { isRefused: false, isQueued: false, busy: [], toTell: [] }
  for (const lease of file.writers.overlapping(request.range)) addConflict(verdict, lease, request)
  if (request.mode === 'write') {
    for (const lease of file.readers.overlapping(request.range)) addConflict(verdict, lease, request)
  }
  verdict.isQueued = isBehindOthers(file, request, earlierCount)
  return verdict
}

function addConflict(verdict: RequestVerdict, lease: Lease, request: LeaseRequest): void {
  if (lease.state === 'revoked') return
  const holder = lease.ofd === null ? null : lease.ofd.id
  if (!conflicts(request.ofd, request.mode, request.range, holder, lease.mode, lease.range)) return
  if (lease.level === 'exclusive') verdict.isRefused = true
  else if (lease.notifyOnly && request.mayDelayOthers) verdict.toTell.push(lease)
  else verdict.busy.push(lease)
}

function isBehindOthers(file: FileRecord, request: LeaseRequest, earlierCount: number): boolean {
  for (const change of file.changes) if (overlaps(change.input.range, request.range)) return true
  for (const [index, earlier] of file.requests.entries()) {
    if (index >= earlierCount) return false
    const { ofd, mode, range } = earlier
    if (conflicts(request.ofd, request.mode, request.range, ofd, mode, range)) return true
  }
  return false
}
