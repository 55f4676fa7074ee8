/** X1-X3, B1, B6, B8: a layout change asks whether it may go ahead. */
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import { DONE, failed, isRangeValid, WAITING } from './answers.js'
import { revoke, startBreak } from './breaks.js'
import { leaseInfo } from './infos.js'
import { type ChangeVerdict, judgeChange } from './judge.js'
import type { InputOf } from './records.js'
import type { Table } from './table.js'
import type { Answer } from './types.js'
import { Change } from './waiter.js'
import { waitFor } from './waiting.js'

export function requestChange(table: Table, input: InputOf<'layout-change'>): Answer {
  if (!isRangeValid(input.range)) return failed(Errno.EINVAL)
  const file = table.file(input.file)
  const verdict = judgeChange(file, input)
  if (verdict.errno !== 0) {
    tellRefused(table, input, verdict)
    return failed(verdict.errno)
  }
  const mustWait = verdict.waitingFor.length > 0
  const isGivenUp = mustWait && input.nonBlocking
  breakFor(table, input, verdict, isGivenUp ? Errno.EAGAIN : 0)
  if (isGivenUp) return failed(Errno.EAGAIN) // B6: the break goes on.
  const change = new Change(table.nextWaiterId(), file, input)
  table.enqueueChange(change)
  if (mustWait) {
    waitFor(table, change, verdict.waitingFor)
    return WAITING
  }
  admit(table, change, verdict)
  return DONE
}

/** X3: once per refusing lease. Nothing else happens (X2). */
export function tellRefused(table: Table, input: InputOf<'layout-change'>, verdict: ChangeVerdict): void {
  const { process, operation, range } = input
  const offender = { process, operation, range, errno: verdict.errno }
  for (const lease of verdict.refusing) table.tell({ event: 'refused', lease: leaseInfo(lease), offender })
}

/** B1, and L8 for those that are only told. A read lease is in the way of any change: no downgrade will do. */
export function breakFor(
  table: Table,
  input: InputOf<'layout-change'>,
  verdict: ChangeVerdict,
  errno: Errno | 0,
): void {
  const { process, operation, range } = input
  const offender = { process, operation, range, errno }
  for (const lease of verdict.waitingFor) startBreak(table, lease, 'none', offender)
  for (const lease of verdict.toTell) startBreak(table, lease, 'none', offender)
}

/** The change goes ahead. B8: only now are the breaker's own leases broken, so an interrupt spares them. */
export function admit(table: Table, change: Change, verdict: ChangeVerdict): void {
  assert(verdict.errno === 0 && verdict.waitingFor.length === 0, 'a change is admitted against its verdict')
  table.launchChange(change)
  for (const lease of verdict.own) revoke(table, lease, 'self')
}

export function finishChange(table: Table, input: InputOf<'layout-change-done'>): Answer {
  const change = table.pending.get(input.request)
  if (change === undefined) return failed(Errno.ENOENT)
  assert(change.kind === 'change' && change.isInFlight, 'a request is done but was never admitted')
  table.dequeueChange(change)
  return DONE
}
