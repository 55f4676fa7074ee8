/** B1-B5, B8, X4: how a break starts and how a lease is taken away. */
import { Errno } from '../lib/errno.js'
import type { Instant, ProcessKey } from '../lib/ids.js'
import { DONE, failed, mint } from './answers.js'
import { leaseInfo } from './infos.js'
import type { Lease } from './lease.js'
import type { Owner } from './owner-set.js'
import { KILL_GRACE_MS } from './policy.js'
import type { BreakDemand, InputOf } from './records.js'
import type { Table } from './table.js'
import type { Answer, Offender } from './types.js'
import { failRequestsFor } from './waiting.js'

/**
 * B1, B2, B4: starts a break, or joins the one under way. Its owners are told once; again only if what would
 * have been enough no longer is. The deadline never moves back.
 */
export function startBreak(table: Table, lease: Lease, demand: BreakDemand, offender: Offender): void {
  const underWay = lease.leaseBreak
  if (underWay !== null) {
    if (underWay.demand === 'none' || demand === 'read') return
    underWay.demand = demand
  } else {
    const deadline = mint<Instant>(table.now + breakTimeMs(table, lease))
    lease.leaseBreak = { lease, deadline, demand, heapIndex: 0 }
    table.deadlines.add(lease.leaseBreak)
    table.setState(lease, 'breaking')
    failRequestsFor(table, lease, Errno.EAGAIN) // L4: what is breaking cannot be upgraded.
  }
  tellOwners(table, lease, offender)
}

/** B1: a lease may ask for less than the mount gives, never for more. */
function breakTimeMs(table: Table, lease: Lease): number {
  const most = table.policy.breakTimeMs
  return lease.breakTimeMs === 0 ? most : Math.min(lease.breakTimeMs, most)
}

/** B2. The breaker is not signalled when it is an owner too: that would only interrupt its own request. */
function tellOwners(table: Table, lease: Lease, offender: Offender): void {
  table.tell({ event: 'break', lease: leaseInfo(lease), offender })
  lease.owners.forEach((owner) => {
    const process = owner.process.id
    const isBreaker = process === offender.process
    noteSignalled(lease, owner, isBreaker || owner.signal !== null)
    if (isBreaker || owner.signal === null) return
    table.push({ kind: 'signal', process, signal: owner.signal })
  })
}

function noteSignalled(lease: Lease, known: Owner, isSignalled: boolean): void {
  if (known.isSignalled === isSignalled) return
  const owner = lease.ownersToChange().get(known.process.id)
  if (owner !== undefined) owner.isSignalled = isSignalled
}

/** The break is over, whichever way; the caller gives the lease its next state. */
export function dropBreak(table: Table, lease: Lease): void {
  if (lease.leaseBreak === null) return
  table.deadlines.remove(lease.leaseBreak)
  lease.leaseBreak = null
}

/** B5, B8, X4: takes a lease away. It stays listed until it is released, if anybody is left who could. */
export function revoke(table: Table, lease: Lease, reason: 'timeout' | 'seized' | 'self'): void {
  dropBreak(table, lease)
  table.setState(lease, 'revoked')
  lease.seizing = null
  failRequestsFor(table, lease, Errno.EPERM)
  table.obstacles.moved(lease)
  const info = leaseInfo(lease)
  table.tell(
    reason === 'self' ? { event: 'broken', lease: info, reason } : { event: 'revoked', lease: info, reason },
  )
  if (lease.ofd !== null) return
  table.tell({ event: 'gone', lease: info })
  table.removeLease(lease)
}

/** B5: deals with every deadline that has been reached. */
export function expireBreaks(table: Table): Answer {
  for (;;) {
    const due = table.deadlines.first
    if (due === undefined || due.deadline > table.now) return DONE
    const { lease } = due
    if (table.policy.onTimeout === 'kill' && isKillable(lease)) {
      table.deadlines.remove(due)
      due.deadline = mint<Instant>(table.now + KILL_GRACE_MS)
      table.deadlines.add(due)
      killOwners(table, lease, 'timeout')
    } else {
      revoke(table, lease, 'timeout')
    }
  }
}

/** Nobody is killed twice, and nobody for a notify-only lease: no change waits for that. */
function isKillable(lease: Lease): boolean {
  return lease.seizing === null && !lease.notifyOnly && lease.owners.size > 0
}

function killOwners(table: Table, lease: Lease, reason: 'timeout' | 'seized'): void {
  lease.seizing = reason
  for (const process of victimsOf(lease)) table.push({ kind: 'kill', process, lease: lease.id })
}

/** Whoever has a pin under the lease dies too, also if it has resigned as an owner. */
export function victimsOf(lease: Lease): Set<ProcessKey> {
  const victims = new Set(lease.owners.keys())
  for (const pin of lease.pins?.values() ?? []) {
    if (pin.holder.kind === 'process') victims.add(pin.holder.process)
  }
  return victims
}

/** X4. */
export function seize(table: Table, input: InputOf<'revoke'>): Answer {
  const lease = table.leases.get(input.lease)
  if (lease === undefined) return failed(Errno.ENOENT)
  if (lease.state === 'revoked') return DONE
  const isPinned = lease.pinCount > 0
  if (!input.kill) {
    if (isPinned) return failed(Errno.EBUSY)
    revoke(table, lease, 'seized')
    return DONE
  }
  const hasVictims = victimsOf(lease).size > 0
  if (!hasVictims && isPinned) return failed(Errno.EBUSY) // Only contexts pin it: there is nobody to kill.
  if (hasVictims) killOwners(table, lease, 'seized')
  else revoke(table, lease, 'seized')
  return DONE
}
