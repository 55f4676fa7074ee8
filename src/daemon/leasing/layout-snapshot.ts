/** What a file looked like, and what has been taken from it since: the judgement of L10, without any I/O of the watch. */
import { type Range, subtract } from '../../lib/range.js'
import { LinuxError } from '../../linux/error.js'
import type { Extents } from '../../linux/extents.js'
import { statFd } from '../../linux/files.js'
import type { FileNode } from '../../passthrough/gate.js'

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

/** Size and links of the backing file, which never wait for whoever writes to it; null if it cannot be looked at. */
export function lookAt(node: FileNode): Pick<Snapshot, 'size' | 'nlink'> | null {
  try {
    const { size, nlink } = statFd(node.backingFd())
    return { size, nlink }
  } catch (error) {
    if (error instanceof LinuxError) return null
    throw error
  }
}

/** What was cut off between two looks. */
export function compareSize(before: Pick<Snapshot, 'size'>, now: Pick<Snapshot, 'size'>): Finding | null {
  if (now.size >= before.size) return null
  return {
    operation: 'truncate',
    ranges: [{ start: now.size, end: Number.POSITIVE_INFINITY }],
    reason: `cut from ${before.size} to ${now.size} bytes past the mount`,
  }
}

/** What was taken away within the file. Writing and growing take nothing. @param size of the file at the second look. */
export function compareExtents(before: Extents | null, now: Extents | null, size: number): Finding[] {
  const findings: Finding[] = []
  if (before === null || now === null) return findings
  const within = (ranges: readonly Range[]) => ranges.flatMap((range) => clip(range, size))
  const punched = subtract(within(before.allocated), now.allocated)
  // What was punched is not written any more either: it is told once.
  const zeroed = subtract(subtract(within(before.written), now.written), punched)
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
  before: Pick<Snapshot, 'nlink'>,
  now: Pick<Snapshot, 'nlink'>,
): Finding | null {
  if (leads === 'elsewhere') {
    return { operation: 'rename', ranges: null, reason: 'another file was put in its place past the mount' }
  }
  if (leads !== 'nowhere') return null
  return now.nlink < before.nlink
    ? { operation: 'unlink', ranges: null, reason: 'its name was removed past the mount' }
    : { operation: 'rename', ranges: null, reason: 'it was moved away past the mount' }
}
