import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import * as c from './constants.js'
import { readExtents } from './extents.js'
import * as raw from './raw.js'
import { testDirectory } from './test-directory.js'

const BLOCK = 4096
const directory = testDirectory()
const isOnDisk = spawnSync('stat', ['-f', '-c', '%T', directory]).stdout.toString().trim()

test(`blocks and what is written in them are told apart, and holes from both (on ${isOnDisk})`, () => {
  const fd = openSync(path.join(directory, 'file'), 'w+')
  writeSync(fd, Buffer.alloc(8 * BLOCK, 1))
  ftruncateSync(fd, 20 * BLOCK)
  fsyncSync(fd)
  const whole = [{ start: 0, end: 8 * BLOCK }]
  expect(readExtents(fd, 20 * BLOCK)).toEqual({ allocated: whole, written: whole })
  // What lies behind the end is of no interest, and what ends within a block counts as that block.
  expect(readExtents(fd, BLOCK + 1)?.written).toEqual([{ start: 0, end: 2 * BLOCK }])
  const punch = c.FALLOC_FL_PUNCH_HOLE | c.FALLOC_FL_KEEP_SIZE
  expect(raw.fallocate(fd, punch, BLOCK, 2 * BLOCK)).toBe(0)
  const parts = [
    { start: 0, end: BLOCK },
    { start: 3 * BLOCK, end: 8 * BLOCK },
  ]
  expect(readExtents(fd, 20 * BLOCK)).toEqual({ allocated: parts, written: parts })
  if (raw.fallocate(fd, c.FALLOC_FL_ZERO_RANGE, 4 * BLOCK, BLOCK) === 0) {
    const zeroed = readExtents(fd, 20 * BLOCK)
    expect(zeroed?.allocated).toEqual(parts)
    expect(zeroed?.written).toEqual([
      { start: 0, end: BLOCK },
      { start: 3 * BLOCK, end: 4 * BLOCK },
      { start: 5 * BLOCK, end: 8 * BLOCK },
    ])
  }
  closeSync(fd)
})

test('of a file in very many pieces nothing is told', () => {
  const fd = openSync(path.join(directory, 'pieces'), 'w+')
  for (let index = 0; index < 5000; index++) writeSync(fd, 'x', 2 * index * BLOCK)
  expect(readExtents(fd, 10_000 * BLOCK)).toBe(null)
  expect(readExtents(fd, 100 * BLOCK)?.allocated).toHaveLength(50)
  closeSync(fd)
})

test('an empty file has nothing', () => {
  const fd = openSync(path.join(directory, 'empty'), 'w+')
  expect(readExtents(fd, 0)).toEqual({ allocated: [], written: [] })
  closeSync(fd)
})
