/** L1-L4, L6, L8, L9: taking a lease, and changing one in place. */
import { Errno } from '../lib/errno.js'
import { failed, isRangeValid, WAITING } from './answers.js'
import { startBreak } from './breaks.js'
import { applyChange, asksForMore, demandOf, grant, offenderOf, requestErrno } from './grant.js'
import { judgeRequest, type RequestVerdict } from './judge.js'
import type { FileRecord, InputOf, LeaseRequest } from './records.js'
import type { Table } from './table.js'
import type { Answer, WhenBusy } from './types.js'
import { PendingRequest } from './waiter.js'
import { waitFor } from './waiting.js'

export function acquire(table: Table, input: InputOf<'acquire'>): Answer {
  if (!isRangeValid(input.range) || !isBreakTimeValid(input.breakTimeMs)) return failed(Errno.EINVAL)
  const request: LeaseRequest = {
    kind: 'lease-request',
    request: input.request,
    file: input.file,
    ofd: input.ofd,
    process: input.process,
    user: input.user,
    lease: null,
    range: input.range,
    mode: input.mode,
    level: input.level,
    mayDelayOthers: input.mayDelayOthers,
    breakTimeMs: input.breakTimeMs,
  }
  const errno = requestErrno(table, request)
  return errno === 0 ? decide(table, request, input.whenBusy) : failed(errno)
}

export function changeLease(table: Table, input: InputOf<'change'>): Answer {
  if (!isBreakTimeValid(input.breakTimeMs)) return failed(Errno.EINVAL)
  const lease = table.leaseOf(input.ofd, input.lease)
  if (lease === undefined) return failed(Errno.ENOENT)
  const request: LeaseRequest = {
    kind: 'lease-request',
    request: input.request,
    file: lease.file.id,
    ofd: input.ofd,
    process: input.process,
    user: lease.user,
    lease,
    range: lease.range,
    mode: input.mode,
    level: input.level,
    mayDelayOthers: input.mayDelayOthers,
    breakTimeMs: input.breakTimeMs,
  }
  const errno = requestErrno(table, request)
  if (errno !== 0) return failed(errno)
  if (asksForMore(lease, request)) return decide(table, request, input.whenBusy)
  applyChange(table, lease, request)
  return { status: 'done', lease: lease.id }
}

/** L6: grants, refuses, or does what the caller wants done when normal leases are in the way. */
function decide(table: Table, request: LeaseRequest, whenBusy: WhenBusy): Answer {
  const file = table.file(request.file)
  const verdict = judgeRequest(file, request)
  if (verdict.isRefused) return failed(Errno.ETXTBSY)
  if (verdict.busy.length === 0 && verdict.ahead === null) {
    return { status: 'done', lease: grant(table, request, verdict.toTell).id }
  }
  switch (whenBusy) {
    case 'fail':
      return failed(Errno.EAGAIN)
    case 'start':
      breakConflicts(table, request, verdict, Errno.EAGAIN)
      watch(table, file, request, verdict)
      return failed(Errno.EAGAIN)
    case 'wait':
      // L8: a request that waits holds up those behind it, and breaks what it waits for.
      if (!request.mayDelayOthers) return failed(Errno.EAGAIN)
      enqueue(table, file, request, verdict)
      return WAITING
  }
}

/** L8: whoever may not make others wait may not make them let go either. */
export function breakConflicts(
  table: Table,
  request: LeaseRequest,
  verdict: RequestVerdict,
  errno: Errno | 0,
): void {
  if (!request.mayDelayOthers) return
  const offender = offenderOf(request, errno)
  for (const lease of verdict.busy) startBreak(table, lease, demandOf(request), offender)
  for (const lease of verdict.toTell) startBreak(table, lease, demandOf(request), offender)
}

function enqueue(table: Table, file: FileRecord, request: LeaseRequest, verdict: RequestVerdict): void {
  const waiter = new PendingRequest(table.nextWaiterId(), 'request', file, request)
  table.enqueueRequest(waiter)
  breakConflicts(table, request, verdict, 0)
  waitFor(table, waiter, verdict.busy, verdict.ahead)
}

function watch(table: Table, file: FileRecord, request: LeaseRequest, verdict: RequestVerdict): void {
  const waiter = new PendingRequest(table.nextWaiterId(), 'watch', file, request)
  table.setWatch(table.ofd(request.ofd, file), waiter, false)
  waitFor(table, waiter, verdict.busy, verdict.ahead)
}

function isBreakTimeValid(breakTimeMs: number): boolean {
  return Number.isSafeInteger(breakTimeMs) && breakTimeMs >= 0
}
