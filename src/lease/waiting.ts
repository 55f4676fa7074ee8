/** Requests that wait: into the queue of their file, and out of it with an answer. */
import { assert } from '../lib/assert.js'
import type { Errno } from '../lib/errno.js'
import type { LeaseId } from '../lib/ids.js'
import type { Change, Lease, LeaseRequest } from './records.js'
import type { Table } from './table.js'

export function enqueueRequest(table: Table, request: LeaseRequest): void {
  assert(!table.pending.has(request.request), `request ${request.request} is pending already`)
  const file = table.file(request.file)
  file.requests.push(request)
  table.pending.set(request.request, request)
  const ofd = table.ofd(request.ofd, file)
  ofd.requestCount++
  table.setWatch(ofd, null, false)
  if (request.process === null) return
  const process = table.process(request.process)
  process.requests ??= new Set()
  process.requests.add(request)
}

/** Answers a lease request that waited. With 0, `lease` is the one that was granted. */
export function answerRequest(
  table: Table,
  request: LeaseRequest,
  errno: Errno | 0,
  lease: LeaseId | null,
): void {
  const file = table.file(request.file)
  remove(file.requests, request)
  table.pending.delete(request.request)
  const ofd = table.ofd(request.ofd, file)
  ofd.requestCount--
  table.forgetOfdIfUnused(ofd)
  if (request.process !== null) {
    const process = table.process(request.process)
    process.requests?.delete(request)
    table.forgetProcessIfUnused(process)
  }
  table.touch(file)
  const reply = { kind: 'reply', request: request.request, errno } as const
  table.push(lease === null ? reply : { ...reply, lease })
}

/** Answers all requests to change this lease in place: it cannot be had any more the way it was. */
export function failRequestsFor(table: Table, lease: Lease, errno: Errno): void {
  if (lease.file.requests.length === 0) return
  for (const request of lease.file.requests.filter((waiting) => waiting.lease === lease)) {
    answerRequest(table, request, errno, null)
  }
}

export function enqueueChange(table: Table, change: Change): void {
  assert(!table.pending.has(change.request), `request ${change.request} is pending already`)
  change.file.changes.push(change)
  table.pending.set(change.request, change)
}

/** A waiting change was refused or interrupted, or one in flight is done. */
export function dequeueChange(table: Table, change: Change): void {
  remove(change.file.changes, change)
  table.pending.delete(change.request)
  table.touch(change.file)
}

function remove<Item>(list: Item[], item: Item): void {
  const index = list.indexOf(item)
  assert(index >= 0, 'a waiter is not in its queue')
  list.splice(index, 1)
}
