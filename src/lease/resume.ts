/** B4: lets those who wait go ahead as soon as they can, and ends waits that are given up (B7). */

import { Errno } from '../lib/errno.js'
import { breakConflicts } from './acquire.js'
import { DONE } from './answers.js'
import { grant, requestErrno } from './grant.js'
import { changeAhead, judgeChange, judgeRequest, meetChange, meetRequest } from './judge.js'
import { admit, breakFor, tellRefused } from './layout-change.js'
import type { InputOf } from './records.js'
import type { Table } from './table.js'
import type { Answer } from './types.js'
import type { Change, PendingRequest, Waiter } from './waiter.js'
import { answerRequest, stillWaits, waitFor } from './waiting.js'

/** Looks at those who waited for something that moved in this step, until nothing moves any more. */
export function resumeWaiters(table: Table): void {
  for (let waiters = table.obstacles.take(); waiters.length > 0; waiters = table.obstacles.take()) {
    for (const waiter of waiters) if (!waiter.isOver) resume(table, waiter)
  }
}

function resume(table: Table, waiter: Waiter): void {
  switch (waiter.kind) {
    case 'change':
      resumeChange(table, waiter)
      return
    case 'request':
      resumeRequest(table, waiter)
      return
    case 'watch':
      resumeWatch(table, waiter)
  }
}

/**
 * Changes wait for leases, and for the changes before them that wait and overlap; never for lease requests. No
 * exclusive lease was granted beneath a waiting change (L6), but one that X5 let it pass may refuse it by now: its
 * breaker is no owner any more, or the lease has become a zombie.
 */
function resumeChange(table: Table, change: Change): void {
  const { input } = change
  const ahead = changeAhead(change)
  if (ahead !== null) {
    waitFor(table, change, [], ahead)
    return
  }
  if (stillWaits(table, change, (lease) => meetChange(lease, input) === 'wait')) return
  const verdict = judgeChange(change.file, input)
  if (verdict.errno !== 0) {
    tellRefused(table, input, verdict)
    table.dequeueChange(change)
  } else if (verdict.waitingFor.length > 0) {
    breakFor(table, input, verdict, 0)
    waitFor(table, change, verdict.waitingFor)
    return
  } else {
    admit(table, change, verdict)
  }
  table.push({ kind: 'reply', request: change.request, errno: verdict.errno })
}

function resumeRequest(table: Table, request: PendingRequest): void {
  const { file, wish } = request
  if (stillWaits(table, request, (lease) => meetRequest(lease, wish) === 'wait')) return
  const verdict = judgeRequest(file, wish, request.id)
  if (verdict.isRefused) {
    answerRequest(table, request, Errno.ETXTBSY, null)
  } else if (verdict.ahead !== null || verdict.busy.length > 0) {
    breakConflicts(table, wish, verdict, 0)
    waitFor(table, request, verdict.busy, verdict.ahead)
  } else {
    const errno = requestErrno(table, wish)
    const lease = errno === 0 ? grant(table, wish, verdict.toTell) : null
    answerRequest(table, request, errno, lease === null ? null : lease.id)
  }
}

/** L6: would a request that was answered EAGAIN get another answer now? */
function resumeWatch(table: Table, watch: PendingRequest): void {
  const { file, wish } = watch
  if (stillWaits(table, watch, (lease) => meetRequest(lease, wish) === 'wait')) return
  const verdict = judgeRequest(file, wish)
  const isWaiting = !verdict.isRefused && (verdict.ahead !== null || verdict.busy.length > 0)
  if (isWaiting) waitFor(table, watch, verdict.busy, verdict.ahead)
  else table.setWatch(table.ofd(wish.ofd, file), null, true)
}

/** B7. An unknown request has its answer on the way already, and so has a change in flight. */
export function interrupt(table: Table, input: InputOf<'interrupt'>): Answer {
  const waiter = table.pending.get(input.request)
  if (waiter === undefined) return DONE
  if (waiter.kind !== 'change') {
    answerRequest(table, waiter, Errno.EINTR, null)
  } else if (!waiter.isInFlight) {
    table.dequeueChange(waiter)
    table.push({ kind: 'reply', request: waiter.request, errno: Errno.EINTR })
  }
  return DONE
}
