/** B4: lets those who wait go ahead as soon as they can, and ends waits that are given up (B7). */

import { Errno } from '../lib/errno.js'
import { overlaps } from '../lib/range.js'
import { breakConflicts } from './acquire.js'
import { DONE } from './answers.js'
import { grant, isWorthTrying, requestErrno } from './grant.js'
import { judgeChange, judgeRequest, waitsForBreak } from './judge.js'
import { admit, breakFor, tellRefused } from './layout-change.js'
import type { Change, FileRecord, InputOf } from './records.js'
import type { Table } from './table.js'
import type { Answer } from './types.js'
import { answerRequest, dequeueChange } from './waiting.js'

/** Looks at the waiters of every file that this step touched, until nothing moves any more. */
export function resumeWaiters(table: Table): void {
  for (let file = table.nextTouched(); file !== undefined; file = table.nextTouched()) {
    if (file.changes.length > 0) resumeChanges(table, file)
    if (file.requests.length > 0) resumeRequests(table, file)
    for (const ofd of file.watchers) {
      if (ofd.watch !== null && isWorthTrying(file, ofd.watch)) table.setWatch(ofd, null, true)
    }
    table.forgetFileIfUnused(file)
  }
}

/** Changes wait for leases, and for the changes before them that wait and overlap; never for lease requests. */
function resumeChanges(table: Table, file: FileRecord): void {
  const ahead: Change[] = []
  for (const change of file.changes.filter((one) => !one.isInFlight)) {
    const { range } = change.input
    const isBehind = ahead.some((earlier) => overlaps(earlier.input.range, range))
    if (isBehind || waitsForBreak(file, change.input) || !resumeChange(table, change)) ahead.push(change)
  }
}

/**
 * Judges a waiting change anew. No exclusive lease was granted beneath it (L6), but one that X5 let it pass may
 * refuse it by now: its breaker is no owner any more, or the lease has become a zombie.
 * @returns Has it been answered?
 */
function resumeChange(table: Table, change: Change): boolean {
  const verdict = judgeChange(change.file, change.input)
  if (verdict.errno !== 0) {
    tellRefused(table, change.input, verdict)
    dequeueChange(table, change)
  } else if (verdict.waitingFor.length > 0) {
    breakFor(table, change.input, verdict, 0)
    return false
  } else {
    admit(table, change, verdict)
  }
  table.push({ kind: 'reply', request: change.request, errno: verdict.errno })
  return true
}

function resumeRequests(table: Table, file: FileRecord): void {
  let earlierCount = 0
  for (const request of [...file.requests]) {
    if (!table.pending.has(request.request)) continue // A break that one before it started has failed it.
    const verdict = judgeRequest(file, request, earlierCount)
    if (verdict.isRefused) {
      answerRequest(table, request, Errno.ETXTBSY, null)
    } else if (verdict.isQueued || verdict.busy.length > 0) {
      breakConflicts(table, request, verdict, 0)
      earlierCount = file.requests.indexOf(request) + 1
    } else {
      const errno = requestErrno(table, request)
      const lease = errno === 0 ? grant(table, request, verdict.toTell).id : null
      answerRequest(table, request, errno, lease)
    }
  }
}

/** B7. An unknown request has its answer on the way already, and so has a change in flight. */
export function interrupt(table: Table, input: InputOf<'interrupt'>): Answer {
  const waiter = table.pending.get(input.request)
  if (waiter === undefined) return DONE
  if (waiter.kind === 'lease-request') {
    answerRequest(table, waiter, Errno.EINTR, null)
  } else if (!waiter.isInFlight) {
    dequeueChange(table, waiter)
    table.push({ kind: 'reply', request: waiter.request, errno: Errno.EINTR })
  }
  return DONE
}
