/** L7, P4, P5: how leases end. */
import { Errno } from '../lib/errno.js'
import type { ProcessKey } from '../lib/ids.js'
import { overlaps } from '../lib/range.js'
import { DONE, failed } from './answers.js'
import { dropBreak, revoke } from './breaks.js'
import { leaseInfo } from './infos.js'
import type { Lease } from './lease.js'
import type { InputOf } from './records.js'
import type { Table } from './table.js'
import type { Answer, Mapping, ReleaseReason } from './types.js'
import { answerRequest, failRequestsFor, stopWatching } from './waiting.js'

/** P4: a lease with pins is not released; all leases of an OFD are released together or not at all. */
export function release(table: Table, input: InputOf<'release'>): Answer {
  if (input.lease !== null) {
    const lease = table.leaseOf(input.ofd, input.lease)
    if (lease === undefined) return failed(Errno.ENOENT)
    if (lease.pinCount > 0) return failed(Errno.EBUSY)
    endLease(table, lease, 'release')
    return { status: 'done', lease: lease.id }
  }
  const leases = table.ofds.get(input.ofd)?.leases() ?? []
  if (leases.some((lease) => lease.pinCount > 0)) return failed(Errno.EBUSY)
  for (const lease of leases) endLease(table, lease, 'release')
  return DONE
}

function endLease(table: Table, lease: Lease, reason: ReleaseReason): void {
  const info = leaseInfo(lease)
  const isZombie = lease.state === 'zombie'
  dropBreak(table, lease)
  failRequestsFor(table, lease, Errno.ENOENT)
  table.removeLease(lease)
  // X4, B5: whether the exit of who was killed or its last close comes first, what is told is the same.
  if (lease.seizing !== null && reason !== 'release') {
    table.tell({ event: 'revoked', lease: { ...info, state: 'revoked' }, reason: lease.seizing })
  }
  if (isZombie) table.tell({ event: 'gone', lease: info })
  else table.tell({ event: 'released', lease: info, reason })
}

/** L7, P5. Requests cannot outlive the descriptor they came through; if one did, nobody reads its answer. */
export function closeOfd(table: Table, input: InputOf<'ofd-closed'>): Answer {
  const ofd = table.ofds.get(input.ofd)
  if (ofd === undefined) return DONE
  const { requests } = ofd.activity
  for (const request of [...(requests ?? [])]) answerRequest(table, request, Errno.EBADF, null)
  stopWatching(table, ofd)
  for (const lease of ofd.leases()) {
    noteMappings(lease, input.mappings)
    table.detachFromOfd(lease)
    settle(table, lease, 'close')
  }
  table.forgetPoll(ofd) // Nobody polls a closed descriptor, so its last change wakes nobody.
  return DONE
}

/** L7: only what owners map counts, and only where it meets the leased range. */
function noteMappings(lease: Lease, mappings: readonly Mapping[]): void {
  const mapping = new Set<ProcessKey>()
  for (const { process, range } of mappings) if (overlaps(range, lease)) mapping.add(process)
  lease.owners.forEach(({ process, isMapping }) => {
    if (isMapping === mapping.has(process.id)) return
    const owner = lease.ownersToChange().get(process.id)
    if (owner !== undefined) owner.isMapping = !isMapping
  })
}

export function changeMappings(table: Table, input: InputOf<'mappings-changed'>): Answer {
  const file = table.files.get(input.file)
  if (file === undefined) return DONE
  for (const lease of [...file.readers.all(), ...file.writers.all()]) {
    if (lease.ofd !== null) continue
    noteMappings(lease, input.mappings)
    settle(table, lease, 'unmapped')
  }
  return DONE
}

/**
 * Something that may have held a lease is gone: its descriptor, a mapping, a pin or an owner. Without a
 * descriptor it goes on while it is pinned (as a zombie, P5) or an owner maps it (L7), and ends with the last
 * of these. A lease whose owners were killed ends with the last owner and pin, whoever else has the OFD.
 */
export function settle(table: Table, lease: Lease, reason: ReleaseReason): void {
  const isPinned = lease.pinCount > 0
  if (lease.ofd !== null) {
    if (lease.seizing !== null && lease.owners.size === 0 && !isPinned) revoke(table, lease, lease.seizing)
  } else if (lease.state === 'revoked') {
    endLease(table, lease, reason)
  } else if (isPinned) {
    if (lease.state === 'zombie' || (reason !== 'close' && lease.owners.isMapping)) return
    table.setState(lease, 'zombie')
    table.tell({ event: 'zombie', lease: leaseInfo(lease) })
  } else if (!lease.owners.isMapping) {
    endLease(table, lease, reason)
  }
}
