/** Carries out a lease request that nothing stands against: a new lease, or one changed in place (L4). */
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import { overlaps } from '../lib/range.js'
import { dropBreak, startBreak } from './breaks.js'
import { leaseInfo } from './infos.js'
import { judgeRequest } from './judge.js'
import type { BreakDemand, FileRecord, Lease, LeaseRequest, Owner } from './records.js'
import { pinCountOf } from './records.js'
import type { Table } from './table.js'
import type { Offender } from './types.js'

/** What kept a request from being granted, besides other leases: limits, rights, states, pins. */
export function requestErrno(table: Table, request: LeaseRequest): Errno | 0 {
  const { lease } = request
  if (lease === null) {
    if (request.level === 'exclusive' && !request.mayDelayOthers) return Errno.EPERM // L8
    const leaseCount = table.users.get(request.user)?.leaseCount ?? 0
    return leaseCount >= table.policy.leaseCountMax ? Errno.ENOLCK : 0 // L9
  }
  if (lease.state === 'revoked') return Errno.EPERM
  const levelRises = levelRisesBy(lease, request)
  if (levelRises && !request.mayDelayOthers) return Errno.EPERM // L8
  if (lease.level === 'exclusive' && request.level === 'normal' && pinCountOf(lease) > 0) return Errno.EBUSY // P4
  const isUpgrade = levelRises || modeRisesBy(lease, request)
  return isUpgrade && lease.state === 'breaking' ? Errno.EAGAIN : 0 // L4
}

/** Does the request ask for more than the lease has? If not, nothing can stand against it. */
export function asksForMore(lease: Lease, request: LeaseRequest): boolean {
  return modeRisesBy(lease, request) || levelRisesBy(lease, request) || liftsNotifyOnly(lease, request)
}

function modeRisesBy(lease: Lease, request: LeaseRequest): boolean {
  return lease.mode === 'read' && request.mode === 'write'
}

function levelRisesBy(lease: Lease, request: LeaseRequest): boolean {
  return lease.level === 'normal' && request.level === 'exclusive'
}

/** L8: somebody who has got the right since then sets the lease again. A break under way stays what it is. */
function liftsNotifyOnly(lease: Lease, request: LeaseRequest): boolean {
  return lease.notifyOnly && request.mayDelayOthers && lease.state === 'active'
}

/** B3: what its holder has to do for a lease to make room for this request. */
export function demandOf(request: LeaseRequest): BreakDemand {
  return request.mode === 'read' ? 'read' : 'none'
}

export function offenderOf(request: LeaseRequest, errno: Errno | 0): Offender {
  return { process: request.process, operation: 'lease', range: request.range, errno }
}

/** @param toTell The notify-only leases it conflicts with: their owners are told, nobody waits (L8). */
export function grant(table: Table, request: LeaseRequest, toTell: readonly Lease[]): Lease {
  const file = table.file(request.file)
  for (const change of file.changes) {
    assert(!overlaps(change.input.range, request.range), 'L6: a lease is granted beneath a layout change')
  }
  for (const lease of toTell) startBreak(table, lease, demandOf(request), offenderOf(request, 0))
  const ofd = table.ofd(request.ofd, file)
  if (request.lease === null) {
    const lease = newLease(table, file, request)
    table.addLease(lease, ofd)
    lease.ofd = ofd
    table.tell({ event: 'granted', lease: leaseInfo(lease) })
    if (file.watchers.size > 0) table.touch(file) // L6: an exclusive lease may have settled their question.
    if (ofd.watch !== null || ofd.isWorthTrying) table.setWatch(ofd, null, false)
    return lease
  }
  applyChange(table, request.lease, request)
  if (ofd.watch !== null || ofd.isWorthTrying) table.setWatch(ofd, null, false)
  return request.lease
}

function newLease(table: Table, file: FileRecord, request: LeaseRequest): Lease {
  return {
    id: table.nextLeaseId(),
    file,
    ofd: null,
    user: request.user,
    range: request.range,
    slot: 0,
    mode: request.mode,
    level: request.level,
    state: 'active',
    notifyOnly: !request.mayDelayOthers,
    breakTimeMs: request.breakTimeMs,
    takenAt: table.now,
    owners: request.process === null ? [] : [newOwner(table, request.process)],
    pins: null,
    leaseBreak: null,
    seizing: null,
  }
}

/** L5: an owner without a signal, until it chooses one. */
export function newOwner(table: Table, process: Owner['process']['key']): Owner {
  return { process: table.process(process), signal: null, isSignalled: false, isMapping: false }
}

/** L4: the lease gets its new mode and level in one go. B3: a downgrade may be what a break waits for. */
export function applyChange(table: Table, lease: Lease, request: LeaseRequest): void {
  const isMore = asksForMore(lease, request)
  const isLess = lease.mode !== request.mode || lease.level !== request.level
  if (liftsNotifyOnly(lease, request)) lease.notifyOnly = false
  if (lease.mode !== request.mode) table.setMode(lease, request.mode)
  lease.level = request.level
  lease.breakTimeMs = request.breakTimeMs
  if (lease.leaseBreak?.demand === 'read' && lease.mode === 'read') {
    dropBreak(table, lease)
    if (lease.seizing === 'timeout') lease.seizing = null
    table.setState(lease, 'active')
  }
  if (isMore) table.tell({ event: 'granted', lease: leaseInfo(lease) })
  else if (isLess) table.tell({ event: 'downgraded', lease: leaseInfo(lease) })
  table.touch(lease.file)
}

/** L6: would a request be answered otherwise than by EAGAIN now? */
export function isWorthTrying(file: FileRecord, request: LeaseRequest): boolean {
  const verdict = judgeRequest(file, request, file.requests.length)
  return verdict.isRefused || (verdict.busy.length === 0 && !verdict.isQueued)
}
