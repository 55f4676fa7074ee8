/** What a file looked like, and what has been taken from it since: the judgement of L10, without any I/O of the watch. */
import { Errno } from '../lib/errno.js'
import { type Range, subtract } from '../lib/range.js'
import { O_NONBLOCK, O_RDONLY } from '../linux/constants.js'
import { LinuxError } from '../linux/error.js'
import { type Extents, readExtents } from '../linux/extents.js'
import { close, reopen, statFd } from '../linux/files.js'
import type { FileNode } from '../passthrough/gate.js'

/** A file at one moment. */
export interface Snapshot {
  readonly size: number
  readonly nlink: number
  /** null if nothing is known of its blocks. */
  readonly extents: Extents | null
}

/** What somebody did, in the words of events (R3), and to which bytes; `ranges` is null where names are meant. */
export interface Finding {
  readonly operation: 'truncate' | 'punch-hole' | 'zero-range' | 'unlink' | 'rename'
  readonly ranges: readonly Range[] | null
  readonly reason: string
}

/**
 * Looks at the backing file.
 * @param before its extents are kept where the look is not at data.
 * @returns null if it cannot be looked at.
 */
export function takeSnapshot(node: FileNode, before: Snapshot | null): Snapshot | null {
  try {
    const fd = node.backingFd()
    const { size, nlink } = statFd(fd)
    return { size, nlink, extents: before === null ? extentsOf(fd, size) : before.extents }
  } catch (error) {
    if (error instanceof LinuxError) return null
    throw error
  }
}

/** An O_PATH descriptor does not do for it. An ordinary user may be unable to read what they have a lease on. */
function extentsOf(pathFd: number, size: number): Extents | null {
  if (size === 0) return { allocated: [], written: [] }
  let fd: number
  try {
    fd = reopen(pathFd, O_RDONLY | O_NONBLOCK)
  } catch (error) {
    if (error instanceof LinuxError && error.errno !== Errno.EBADF) return null
    throw error
  }
  try {
    return readExtents(fd, size)
  } finally {
    close(fd)
  }
}

/** What was taken away between two looks. Writing and growing take nothing. */
export function compareData(before: Snapshot, now: Snapshot): Finding[] {
  const findings: Finding[] = []
  if (now.size < before.size) {
    findings.push({
      operation: 'truncate',
      ranges: [{ start: now.size, end: Number.POSITIVE_INFINITY }],
      reason: `cut from ${before.size} to ${now.size} bytes past the mount`,
    })
  }
  if (before.extents === null || now.extents === null) return findings
  const within = (ranges: readonly Range[]) => ranges.flatMap((range) => clip(range, now.size))
  const punched = subtract(within(before.extents.allocated), now.extents.allocated)
  // What was punched is not written any more either: it is told once.
  const zeroed = subtract(subtract(within(before.extents.written), now.extents.written), punched)
  if (punched.length > 0) {
    const reason = `${byteCount(punched)} bytes punched out past the mount`
    findings.push({ operation: 'punch-hole', ranges: punched, reason })
  }
  if (zeroed.length > 0) {
    const reason = `${byteCount(zeroed)} bytes zeroed past the mount`
    findings.push({ operation: 'zero-range', ranges: zeroed, reason })
  }
  return findings
}

function clip(range: Range, end: number): Range[] {
  return range.start >= end ? [] : [{ start: range.start, end: Math.min(range.end, end) }]
}

function byteCount(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0)
}

/** What became of the name under which a file is known. */
export function judgeName(
  leads: ReturnType<FileNode['nameLeads']>,
  before: Snapshot,
  now: Snapshot,
): Finding | null {
  if (leads === 'elsewhere') {
    return { operation: 'rename', ranges: null, reason: 'another file was put in its place past the mount' }
  }
  if (leads !== 'nowhere') return null
  return now.nlink < before.nlink
    ? { operation: 'unlink', ranges: null, reason: 'its name was removed past the mount' }
    : { operation: 'rename', ranges: null, reason: 'it was moved away past the mount' }
}
