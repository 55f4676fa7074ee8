/** What decides how the rules go on, spelled out, so that tools can tell whether two states are the same. */
import type { LeaseId } from '../lib/ids.js'
import { leaseInfo, pinInfo } from './infos.js'
import type { Lease } from './lease.js'
import type { Table } from './table.js'
import type { LeaseSnapshot, OwnerSnapshot, RulesSnapshot, WaiterSnapshot } from './types.js'
import type { Waiter } from './waiter.js'

export function snapshotOf(table: Table): RulesSnapshot {
  const watches: { ofd: WaiterSnapshot['ofd']; request: WaiterSnapshot | null }[] = []
  for (const { id, activity } of table.ofds.values()) {
    const { watch, isWorthTrying } = activity
    if (watch !== null) watches.push({ ofd: id, request: waiterSnapshot(watch) })
    else if (isWorthTrying) watches.push({ ofd: id, request: null })
  }
  return {
    leases: table.leases.values().map(leaseSnapshot),
    pins: [...table.pins.values()].map(pinInfo),
    waiting: [...table.pending.values()].sort((a, b) => a.id - b.id).map(waiterSnapshot),
    watches,
  }
}

function leaseSnapshot(lease: Lease): LeaseSnapshot {
  const ownerStates: OwnerSnapshot[] = []
  lease.owners.forEach(({ process, signal, isSignalled, isMapping }) => {
    ownerStates.push({ process: process.id, signal, isSignalled, isMapping })
  })
  return {
    ...leaseInfo(lease),
    breakTimeMs: lease.breakTimeMs,
    demand: lease.leaseBreak === null ? null : lease.leaseBreak.demand,
    seizing: lease.seizing,
    ownerStates,
  }
}

function waiterSnapshot(waiter: Waiter): WaiterSnapshot {
  if (waiter.kind === 'change') {
    return { ...waiter.input, kind: waiter.isInFlight ? 'in-flight' : 'change', lease: null }
  }
  return { ...waiter.wish, kind: 'request', lease: idOf(waiter.wish.lease) }
}

function idOf(lease: Lease | null): LeaseId | null {
  return lease === null ? null : lease.id
}
