/** P1-P6: pins. What they refuse is in judge.ts, what they keep alive in lifetime.ts. */
import { Errno } from '../lib/errno.js'
import { covers, type Range } from '../lib/range.js'
import { DONE, failed, isRangeValid } from './answers.js'
import { leaseInfo, pinInfo } from './infos.js'
import { changeOver } from './judge.js'
import type { Lease } from './lease.js'
import { settle } from './lifetime.js'
import type { InputOf, Pin } from './records.js'
import type { Table } from './table.js'
import type { Answer, PinHolder, UnpinReason } from './types.js'

/** P3: a u32 in the ioctl. */
const COUNT_MAX = 0xffff_ffff

export function pin(table: Table, input: InputOf<'pin'>): Answer {
  if (!isRangeValid(input.range)) return failed(Errno.EINVAL)
  const lease = table.leases.get(input.lease)
  if (lease === undefined) return failed(Errno.ENOENT)
  if (!mayPin(lease, input)) return failed(Errno.EPERM)
  // X5 may have let a change pass under this very lease: its blocks are going away, or will be.
  if (changeOver(lease.file.queue, input.range) !== null) return failed(Errno.EAGAIN)
  const key = keyOf(input.holder, input.range)
  const known = lease.pins?.get(key)
  if (known !== undefined) {
    if (known.count === COUNT_MAX) return failed(Errno.ENOLCK)
    known.count++
    return { status: 'done', lease: lease.id, pin: known.id, pinCount: known.count }
  }
  const pinCount = table.users.get(input.user)?.pinCount ?? 0
  if (pinCount >= table.policy.pinCountMax) return failed(Errno.ENOLCK) // L9
  return addPin(table, lease, input, key)
}

/** P1. A process pins for itself or for a context, never for another process. */
function mayPin(lease: Lease, input: InputOf<'pin'>): boolean {
  if (input.process === null || !lease.isOwner(input.process)) return false
  if (input.holder.kind === 'process' && input.holder.process !== input.process) return false
  if (lease.level !== 'exclusive' || lease.state !== 'active' || lease.seizing !== null) return false
  return covers(lease, input.range)
}

function keyOf(holder: PinHolder, range: Range): string {
  const owner = holder.kind === 'process' ? `p${holder.process}` : `c${holder.context}`
  return `${owner}:${range.start}:${range.end}`
}

function addPin(table: Table, lease: Lease, input: InputOf<'pin'>, key: string): Answer {
  const { range, holder, user } = input
  const added: Pin = { id: table.nextPinId(), lease, key, range, holder, user, count: 1 }
  table.addPin(added)
  table.tell({ event: 'pinned', lease: leaseInfo(lease), pin: pinInfo(added) })
  return { status: 'done', lease: lease.id, pin: added.id, pinCount: 1 }
}

export function unpin(table: Table, input: InputOf<'unpin'>): Answer {
  const pinned = table.pins.get(input.pin)
  if (pinned === undefined || !isSameHolder(pinned.holder, input.holder)) return failed(Errno.ENOENT)
  pinned.count--
  if (pinned.count === 0) endPin(table, pinned, 'unpin')
  return { status: 'done', lease: pinned.lease.id, pin: pinned.id, pinCount: pinned.count }
}

function isSameHolder(a: PinHolder, b: PinHolder): boolean {
  if (a.kind === 'process') return b.kind === 'process' && a.process === b.process
  return b.kind === 'context' && a.context === b.context
}

/** P6: whatever its count is. */
export function endPin(table: Table, pinned: Pin, reason: UnpinReason): void {
  table.removePin(pinned)
  table.tell({ event: 'unpinned', lease: leaseInfo(pinned.lease), pin: pinInfo(pinned), reason })
  settle(table, pinned.lease, 'unmapped')
}

export function closeContext(table: Table, input: InputOf<'context-closed'>): Answer {
  const context = table.contexts.get(input.context)
  if (context === undefined) return DONE
  for (const pinned of [...context.pins]) endPin(table, pinned, 'context-closed')
  return DONE
}
