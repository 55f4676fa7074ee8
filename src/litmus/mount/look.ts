/** What /proc shows of a process: where it waits, and whether it is on the way out. */
import { readFileSync } from 'node:fs'

/** Two equal looks at a process: it has not run in between. */
export interface Look {
  readonly where: string
  readonly switches: string
  readonly isUninterruptible: boolean
}

/** Of a process of one thread. @returns null if it is running, or gone. */
export function lookAtWait(pid: number): Look | null {
  try {
    const where = readFileSync(`/proc/${pid}/wchan`, 'latin1')
    if (where === '0' || where === '') return null
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const switches = /^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]
    const isUninterruptible = /^State:\s*D/m.test(status)
    return switches === undefined ? null : { where, switches, isUninterruptible }
  } catch {
    return null
  }
}

export function isSameWait(before: Look | null, after: Look | null): boolean {
  return before !== null && before.where === after?.where && before.switches === after.switches
}

/** A FUSE request that has been sent and not been answered. */
export function isForAnswer({ where }: Look): boolean {
  return where === 'request_wait_answer'
}

/** A lock of the kernel's, perhaps one that somebody has while his own request waits; or a disk. */
export function isForLock(look: Look): boolean {
  return look.isUninterruptible && !isForAnswer(look)
}

const PF_EXITING = 0x4
const SIGKILL_BIT = 1n << 8n

/** State and flags of /proc/PID/stat; null when it is gone for good. */
function readStat(pid: number): { state: string; flags: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', flags: Number(fields[6]) }
  } catch {
    return null
  }
}

/** Has it been killed, or is it on the way out? It ends as soon as the kernel lets it. */
export function isDying(pid: number): boolean {
  const stat = readStat(pid)
  if (stat === null || /[ZX]/.test(stat.state) || (stat.flags & PF_EXITING) !== 0) return true
  return (pendingSignals(pid) & SIGKILL_BIT) !== 0n
}

function pendingSignals(pid: number): bigint {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const masks = [...status.matchAll(/^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)/gm)]
    return masks.reduce((all, [, mask]) => all | BigInt(`0x${mask}`), 0n)
  } catch {
    return 0n
  }
}

export function isStopped(pid: number): boolean {
  return /[Tt]/.test(readStat(pid)?.state ?? '')
}
