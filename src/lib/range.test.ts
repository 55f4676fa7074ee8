import fc from 'fast-check'
import { expect, test } from 'vitest'
import { covers, overlaps, subtract, WHOLE_FILE } from './range.js'

test('overlaps: ranges that only touch have no byte in common', () => {
  expect(overlaps({ start: 0, end: 10 }, { start: 10, end: 20 })).toBe(false)
  expect(overlaps({ start: 0, end: 11 }, { start: 10, end: 20 })).toBe(true)
  expect(overlaps(WHOLE_FILE, { start: Number.MAX_SAFE_INTEGER, end: Infinity })).toBe(true)
})

test('covers: a range covers itself, and only an endless one covers to the end', () => {
  expect(covers({ start: 5, end: 10 }, { start: 5, end: 10 })).toBe(true)
  expect(covers({ start: 0, end: Number.MAX_SAFE_INTEGER }, WHOLE_FILE)).toBe(false)
  expect(covers(WHOLE_FILE, WHOLE_FILE)).toBe(true)
})

test('both agree with looking at each byte', () => {
  const range = fc
    .tuple(fc.nat(12), fc.integer({ min: 1, max: 12 }))
    .map(([start, length]) => ({ start, end: start + length }))
  const bytes = ({ start, end }: { start: number; end: number }) =>
    new Set(Array.from({ length: end - start }, (_, index) => start + index))
  fc.assert(
    fc.property(range, range, (a, b) => {
      const [inA, inB] = [bytes(a), bytes(b)]
      expect(overlaps(a, b)).toBe([...inA].some((byte) => inB.has(byte)))
      expect(covers(a, b)).toBe([...inB].every((byte) => inA.has(byte)))
    }),
  )
})

test('subtract: what is left is every byte of the one list that is not in the other', () => {
  const list = fc
    .uniqueArray(fc.nat(30), { maxLength: 12 })
    .map((edges) => edges.sort((a, b) => a - b))
    .map((edges) =>
      Array.from({ length: edges.length >> 1 }, (_, index) => edges.slice(2 * index, 2 * index + 2)),
    )
    .map((pairs) => pairs.map(([start = 0, end = 0]) => ({ start, end })))
  const bytes = (ranges: readonly { start: number; end: number }[]) =>
    ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, index) => start + index))
  fc.assert(
    fc.property(list, list, (a, b) => {
      const taken = new Set(bytes(b))
      expect(bytes(subtract(a, b))).toEqual(bytes(a).filter((byte) => !taken.has(byte)))
    }),
  )
})
