/** Requests that wait: what they wait for, and out of the queue of their file with an answer. */
import type { Errno } from '../lib/errno.js'
import type { LeaseId } from '../lib/ids.js'
import type { Lease } from './lease.js'
import type { OfdRecord } from './ofd-record.js'
import type { Table } from './table.js'
import type { PendingRequest, Waiter } from './waiter.js'

/**
 * @param ahead Somebody before it who is in the way. It is looked at anew when he moves, so what leases are in the
 *   way need not be remembered until then.
 */
export function waitFor(
  table: Table,
  waiter: Waiter,
  leases: readonly Lease[],
  ahead: Waiter | null = null,
): void {
  const obstacle = ahead ?? leases.at(-1)
  if (waiter.isOver || obstacle === undefined) return
  // Breaking what is in the way can have ended whoever was ahead (L4): then it is judged anew.
  if (ahead?.isOver === true) {
    lookAgain(table, waiter)
    return
  }
  waiter.waitingFor = ahead === null ? [...leases] : []
  table.obstacles.attach(waiter, obstacle)
}

/**
 * Is one of the leases that were in the way still there? Then nothing else need be asked. Each lease leaves the
 * list once, however often this is asked.
 */
export function stillWaits(table: Table, waiter: Waiter, isInTheWay: (lease: Lease) => boolean): boolean {
  const leases = waiter.waitingFor
  for (let last = leases.at(-1); last !== undefined; last = leases.at(-1)) {
    if (isInTheWay(last)) {
      table.obstacles.attach(waiter, last)
      return true
    }
    leases.pop()
  }
  return false
}

/** There is something new in its way: it has to be judged anew, whatever it waits for. */
export function lookAgain(table: Table, waiter: Waiter): void {
  waiter.waitingFor = []
  table.obstacles.lookAt(waiter)
}

/** Answers a lease request that waited. With 0, `lease` is the one that was granted. */
export function answerRequest(
  table: Table,
  request: PendingRequest,
  errno: Errno | 0,
  lease: LeaseId | null,
): void {
  table.dequeueRequest(request)
  const reply = { kind: 'reply', request: request.request, errno } as const
  table.push(lease === null ? reply : { ...reply, lease })
}

/** Answers all requests to change this lease in place: it cannot be had any more the way it was. */
export function failRequestsFor(table: Table, lease: Lease, errno: Errno): void {
  const requests = lease.ofd?.activity.requests ?? null
  if (requests === null || requests.size === 0) return
  for (const request of [...requests]) {
    if (request.wish.lease === lease) answerRequest(table, request, errno, null)
  }
}

/** L6: the holder of this OFD has tried again, or cannot any more. */
export function stopWatching(table: Table, ofd: OfdRecord): void {
  const { watch, isWorthTrying } = ofd.activity
  if (watch !== null || isWorthTrying) table.setWatch(ofd, null, false)
}
