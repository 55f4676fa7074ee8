/** L5: who is told about a lease; and what a process takes with it when it exits (L5, P6). */
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import { DONE, failed } from './answers.js'
import type { Lease } from './lease.js'
import { settle } from './lifetime.js'
import { Owner } from './owner-set.js'
import { endPin } from './pins.js'
import type { InputOf } from './records.js'
import type { Table } from './table.js'
import type { Answer } from './types.js'
import { answerRequest } from './waiting.js'

/** Signals that no process can handle, so none may choose them (signal(7); x86-64 and arm64). */
const SIGKILL = 9
const SIGSTOP = 19
const SIGNAL_MAX = 64
/** glibc keeps these for itself: no program of it can handle them, and who does not would be killed. */
const SIGCANCEL = 32
const SIGSETXID = 33
const UNCHOOSABLE: ReadonlySet<number> = new Set([SIGKILL, SIGSTOP, SIGCANCEL, SIGSETXID])

export function setOwner(table: Table, input: InputOf<'set-owner'>): Answer {
  if (input.signal !== null && !isChoosable(input.signal.signo)) return failed(Errno.EINVAL)
  const lease = table.leaseOf(input.ofd, input.lease)
  if (lease === undefined) return failed(Errno.ENOENT)
  if (lease.seizing !== null) return failed(Errno.EPERM) // X4: nobody joins to outlive those who are killed.
  // A change of a new owner's own may wait for this lease (B8, X5).
  if (!lease.isOwner(input.owner)) table.addOwner(lease, new Owner(table.process(input.owner)))
  if (input.signal === null && lease.owners.isShared) return { status: 'done', lease: lease.id }
  const owner = lease.ownersToChange().get(input.owner)
  assert(owner !== undefined, 'an owner was added and is not there')
  owner.signal = input.signal
  // B2: whoever chooses a signal while the lease is breaking would never hear of this break otherwise.
  if (lease.state === 'breaking' && owner.signal !== null && !owner.isSignalled) {
    owner.isSignalled = true
    table.push({ kind: 'signal', process: input.owner, signal: owner.signal })
  }
  return { status: 'done', lease: lease.id }
}

function isChoosable(signo: number): boolean {
  return Number.isInteger(signo) && signo >= 1 && signo <= SIGNAL_MAX && !UNCHOOSABLE.has(signo)
}

export function removeOwner(table: Table, input: InputOf<'remove-owner'>): Answer {
  const lease = table.leaseOf(input.ofd, input.lease)
  if (lease === undefined) return failed(Errno.ENOENT)
  const owner = lease.owners.get(input.owner)
  if (owner === undefined) return failed(Errno.ENOENT)
  dropOwner(table, lease, owner)
  return { status: 'done', lease: lease.id }
}

/** A waiting change may be of the only owner that is left, and then waits no longer (B8). */
function dropOwner(table: Table, lease: Lease, owner: Owner): void {
  table.removeOwner(lease, owner)
  settle(table, lease, 'unmapped')
}

/** Its pins go first: they are what keeps its leases in use. */
export function exitProcess(table: Table, input: InputOf<'process-exited'>): Answer {
  const process = table.processes.get(input.process)
  if (process === undefined) return DONE
  for (const pin of [...(process.pins ?? [])])
    endPin(table, pin, pin.lease.seizing === null ? 'exit' : 'killed')
  for (const request of [...(process.requests ?? [])]) answerRequest(table, request, Errno.EINTR, null)
  for (const lease of process.leases()) {
    const owner = lease.owners.get(input.process)
    if (owner !== undefined) dropOwner(table, lease, owner)
  }
  return DONE
}
