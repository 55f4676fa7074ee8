/** What decides how the rules go on, spelled out, so that tools can tell whether two states are the same. */
import { leaseInfo, pinInfo } from './infos.js'
import type { Change, FileRecord, Lease, LeaseRequest } from './records.js'
import type { Table } from './table.js'
import type { LeaseSnapshot, RulesSnapshot, WaiterSnapshot } from './types.js'

export function snapshotOf(table: Table): RulesSnapshot {
  const waiting: WaiterSnapshot[] = []
  const watches: { ofd: WaiterSnapshot['ofd']; request: WaiterSnapshot | null }[] = []
  for (const file of table.files.values()) {
    waiting.push(...file.changes.map(changeSnapshot))
    waiting.push(...file.requests.map(requestSnapshot))
    watches.push(...watchesOf(file))
  }
  return {
    leases: [...table.leases.values()].map(leaseSnapshot),
    pins: [...table.pins.values()].map(pinInfo),
    waiting,
    watches,
  }
}

function leaseSnapshot(lease: Lease): LeaseSnapshot {
  return {
    ...leaseInfo(lease),
    breakTimeMs: lease.breakTimeMs,
    demand: lease.leaseBreak === null ? null : lease.leaseBreak.demand,
    seizing: lease.seizing,
    ownerStates: lease.owners.map(({ process, signal, isSignalled, isMapping }) => ({
      process: process.key,
      signal,
      isSignalled,
      isMapping,
    })),
  }
}

function changeSnapshot({ input, isInFlight }: Change): WaiterSnapshot {
  return { ...input, kind: isInFlight ? 'in-flight' : 'change', lease: null }
}

function requestSnapshot(request: LeaseRequest): WaiterSnapshot {
  return { ...request, kind: 'request', lease: request.lease === null ? null : request.lease.id }
}

function watchesOf(file: FileRecord) {
  return [...file.watchers].map((ofd) => ({
    ofd: ofd.id,
    request: ofd.watch === null ? null : requestSnapshot(ofd.watch),
  }))
}
