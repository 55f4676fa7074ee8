/** R4: what would happen to a layout change, and because of whom; asking changes nothing. */
import { Errno } from '../lib/errno.js'
import type { Range } from '../lib/range.js'
import { isRangeValid } from './answers.js'
import { type ChangeSource, judgeChange } from './judge.js'
import type { Lease } from './lease.js'
import type { FileRecord } from './records.js'
import type { QueryResult } from './types.js'

export function queryChange(file: FileRecord | undefined, change: ChangeSource): QueryResult {
  if (!isRangeValid(change.range)) return { errno: Errno.EINVAL, lease: null }
  if (file === undefined) return { errno: 0, lease: null }
  const verdict = judgeChange(file, change)
  const refusing = verdict.refusing[0]
  if (refusing !== undefined) return { errno: verdict.errno, lease: refusing.id }
  const waitingFor = verdict.waitingFor[0]
  if (waitingFor !== undefined) return { errno: Errno.EAGAIN, lease: waitingFor.id }
  return { errno: 0, lease: null }
}

/** Does any lease that is still one overlap the range? Pins lie within leases (P1, P4). */
export function isProtectedRange(file: FileRecord | undefined, range: Range): boolean {
  if (file === undefined) return false
  const isProtecting = (lease: Lease) => lease.state !== 'revoked'
  return file.readers.find(range, isProtecting) !== null || file.writers.find(range, isProtecting) !== null
}
