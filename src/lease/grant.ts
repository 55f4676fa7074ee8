/** Carries out a lease request that nothing stands against: a new lease, or one changed in place (L4). */
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import { dropBreak, startBreak } from './breaks.js'
import { leaseInfo } from './infos.js'
import { changeOver, requestsHeldUpBy } from './judge.js'
import { Lease } from './lease.js'
import type { OfdRecord } from './ofd-record.js'
import { NO_OWNERS } from './owner-set.js'
import type { BreakDemand, LeaseRequest } from './records.js'
import type { Table } from './table.js'
import type { Offender } from './types.js'
import { lookAgain, stopWatching } from './waiting.js'

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
  if (lease.level === 'exclusive' && request.level === 'normal' && lease.pinCount > 0) return Errno.EBUSY // P4
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
  assert(changeOver(file.queue, request.range) === null, 'L6: a lease is granted beneath a layout change')
  for (const lease of toTell) startBreak(table, lease, demandOf(request), offenderOf(request, 0))
  const ofd = table.ofd(request.ofd, file)
  if (request.lease === null) {
    const lease = newLease(table, ofd, request)
    table.addLease(lease, ofd)
    table.tell({ event: 'granted', lease: leaseInfo(lease) })
    stopWatching(table, ofd)
    noteHeldUp(table, lease)
    return lease
  }
  applyChange(table, request.lease, request)
  stopWatching(table, ofd)
  noteHeldUp(table, request.lease)
  return request.lease
}

function newLease(table: Table, ofd: OfdRecord, request: LeaseRequest): Lease {
  const owners = request.process === null ? NO_OWNERS : table.process(request.process).alone
  return new Lease(table.nextLeaseId(), ofd, request, table.now, owners)
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
  table.obstacles.moved(lease)
}

/** L6, B1: those who waited behind the one that got this lease wait for it now, or in vain. */
function noteHeldUp(table: Table, lease: Lease): void {
  for (const request of requestsHeldUpBy(lease)) lookAgain(table, request)
}
