/** Small things every rule needs: answers, argument checks, and the one place that mints branded numbers. */
import { assert } from '../lib/assert.js'
import type { Errno } from '../lib/errno.js'
import type { Range } from '../lib/range.js'
import type { Answer } from './types.js'

export const DONE: Answer = { status: 'done' }
export const WAITING: Answer = { status: 'waiting' }

export function failed(errno: Errno): Answer {
  return { status: 'failed', errno }
}

/** Bytes that exist as file offsets: whole numbers, not empty; only the end may be infinite. */
export function isRangeValid(range: Range): boolean {
  return (
    Number.isSafeInteger(range.start) &&
    range.start >= 0 &&
    range.end > range.start &&
    (Number.isSafeInteger(range.end) || range.end === Number.POSITIVE_INFINITY)
  )
}

/** Turns a plain number into an id or an Instant. */
export function mint<Brand extends number>(value: number): Brand {
  assert(isMintable<Brand>(value), 'a number cannot be an id or a time')
  return value
}

function isMintable<Brand extends number>(value: number): value is Brand {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER
}
