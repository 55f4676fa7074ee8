/** L7, P4, P5: how leases end. */
import { Errno } from '../lib/errno.js'
import { overlaps } from '../lib/range.js'
import { DONE, failed } from './answers.js'
import { dropBreak, revoke } from './breaks.js'
import { leaseInfo } from './infos.js'
import type { InputOf, Lease } from './records.js'
import { pinCountOf } from './records.js'
import type { Table } from './table.js'
import type { Answer, Mapping, ReleaseReason } from './types.js'
import { answerRequest, failRequestsFor } from './waiting.js'

/** P4: a lease with pins is not released; all leases of an OFD are released together or not at all. */
export function release(table: Table, input: InputOf<'release'>): Answer {
  if (input.lease !== null) {
    const lease = table.leaseOf(input.ofd, input.lease)
    if (lease === undefined) return failed(Errno.ENOENT)
    if (pinCountOf(lease) > 0) return failed(Errno.EBUSY)
    endLease(table, lease, 'release')
    return { status: 'done', lease: lease.id }
  }
  const leases = [...(table.ofds.get(input.ofd)?.leases ?? [])]
  if (leases.some((lease) => pinCountOf(lease) > 0)) return failed(Errno.EBUSY)
  for (const lease of leases) endLease(table, lease, 'release')
  return DONE
}

function endLease(table: Table, lease: Lease, reason: ReleaseReason): void {
  const info = leaseInfo(lease)
  dropBreak(table, lease)
  failRequestsFor(table, lease, Errno.ENOENT)
  table.removeLease(lease)
  if (lease.state === 'zombie') table.tell({ event: 'gone', lease: info })
  else table.tell({ event: 'released', lease: info, reason })
}

/** L7, P5. Requests cannot outlive the descriptor they came through; if one did, nobody reads its answer. */
export function closeOfd(table: Table, input: InputOf<'ofd-closed'>): Answer {
  const ofd = table.ofds.get(input.ofd)
  if (ofd === undefined) return DONE
  for (const request of ofd.file.requests.filter((waiting) => waiting.ofd === ofd.id)) {
    answerRequest(table, request, Errno.EBADF, null)
  }
  table.setWatch(ofd, null, false)
  for (const lease of [...ofd.leases]) {
    noteMappings(lease, input.mappings)
    table.detachFromOfd(lease)
    settle(table, lease, 'close')
  }
  ofd.pollBits = 0 // Nobody polls a closed descriptor, so its last change wakes nobody.
  return DONE
}

/** L7: only what owners map counts, and only where it meets the leased range. */
function noteMappings(lease: Lease, mappings: readonly Mapping[]): void {
  for (const owner of lease.owners) {
    owner.isMapping = mappings.some(
      (mapping) => mapping.process === owner.process.key && overlaps(mapping.range, lease.range),
    )
  }
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
  const isPinned = pinCountOf(lease) > 0
  if (lease.ofd !== null) {
    if (lease.seizing !== null && lease.owners.length === 0 && !isPinned) revoke(table, lease, lease.seizing)
  } else if (lease.state === 'revoked') {
    endLease(table, lease, reason)
  } else if (isPinned) {
    if (lease.state === 'zombie' || (reason !== 'close' && isMappedByOwner(lease))) return
    table.setState(lease, 'zombie')
    table.tell({ event: 'zombie', lease: leaseInfo(lease) })
  } else if (!isMappedByOwner(lease)) {
    endLease(table, lease, reason)
  }
}

function isMappedByOwner(lease: Lease): boolean {
  return lease.owners.some((owner) => owner.isMapping)
}
