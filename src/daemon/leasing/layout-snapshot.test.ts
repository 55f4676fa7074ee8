import { describe, expect, test } from 'vitest'
import type { Range } from '../../lib/range.js'
import { compareExtents, compareSize, judgeName, type Snapshot } from './layout-snapshot.js'

const BLOCK = 4096

function snapshot(size: number, allocated?: readonly Range[], written = allocated): Snapshot {
  const extents = allocated === undefined || written === undefined ? null : { allocated, written }
  return { size, nlink: 1, extents }
}

function compareData(before: Snapshot, now: Snapshot) {
  const cut = compareSize(before, now)
  return [...(cut === null ? [] : [cut]), ...compareExtents(before.extents, now.extents, now.size)]
}

const blocks = (start: number, end: number): Range => ({ start: start * BLOCK, end: end * BLOCK })

describe('what was taken from a file', () => {
  test('writing, growing, and writing into holes take nothing', () => {
    const before = snapshot(8 * BLOCK, [blocks(0, 2)], [blocks(0, 1)])
    expect(compareData(before, snapshot(9 * BLOCK, [blocks(0, 9)]))).toEqual([])
    expect(compareData(before, before)).toEqual([])
  })

  test('a cut is told to the end, and its blocks not a second time', () => {
    const before = snapshot(8 * BLOCK, [blocks(0, 8)])
    expect(compareData(before, snapshot(BLOCK + 5, [blocks(0, 2)]))).toEqual([
      {
        operation: 'truncate',
        ranges: [{ start: BLOCK + 5, end: Number.POSITIVE_INFINITY }],
        reason: `cut from ${8 * BLOCK} to ${BLOCK + 5} bytes past the mount`,
      },
    ])
  })

  test('what lost its blocks was punched, what only lost its contents was zeroed', () => {
    const before = snapshot(8 * BLOCK, [blocks(0, 8)])
    const now = snapshot(8 * BLOCK, [blocks(0, 2), blocks(3, 8)], [blocks(0, 2), blocks(3, 5), blocks(6, 8)])
    expect(compareData(before, now)).toMatchObject([
      { operation: 'punch-hole', ranges: [blocks(2, 3)] },
      { operation: 'zero-range', ranges: [blocks(5, 6)] },
    ])
  })

  test('where nothing is known of the blocks, sizes are compared all the same', () => {
    expect(compareData(snapshot(100), snapshot(200, [blocks(0, 1)]))).toEqual([])
    expect(compareData(snapshot(100, [blocks(0, 1)]), snapshot(50))).toMatchObject([
      { operation: 'truncate' },
    ])
  })
})

test('a name that leads elsewhere was replaced, one that leads nowhere was removed or moved away', () => {
  const two = { ...snapshot(1), nlink: 2 }
  const one = snapshot(1)
  expect(judgeName('here', two, one)).toBe(null)
  expect(judgeName('unnamed', two, one)).toBe(null)
  expect(judgeName('elsewhere', one, one)?.operation).toBe('rename')
  expect(judgeName('nowhere', two, one)?.operation).toBe('unlink')
  expect(judgeName('nowhere', one, one)?.operation).toBe('rename')
})
