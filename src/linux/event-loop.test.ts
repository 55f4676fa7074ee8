import { readdirSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { watchPriority, watchReadable } from './event-loop.js'
import { close, pipe, writeAll } from './files.js'
import * as raw from './raw.js'

const PATIENCE_MS = 5000
const LONG_ENOUGH_MS = 30

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!condition() && performance.now() < deadline) await setTimeout(1)
  expect(condition()).toBe(true)
}

const descriptors = () => readdirSync('/proc/self/fd').length

test('watchReadable: calls back while there is something to read, and not after it was unwatched', async () => {
  const { readEnd, writeEnd } = pipe()
  let calls = 0
  const unwatch = watchReadable(readEnd, true, () => {
    calls++
    raw.read(readEnd, Buffer.alloc(1), 1)
  })
  await setTimeout(LONG_ENOUGH_MS)
  expect(calls).toBe(0)
  writeAll(writeEnd, Buffer.from('ab'))
  await until(() => calls === 2)
  unwatch()
  writeAll(writeEnd, Buffer.from('c'))
  await setTimeout(LONG_ENOUGH_MS)
  expect(calls).toBe(2)
  close(readEnd)
  close(writeEnd)
})

test('watchPriority: tells once of an error, is quiet about data, and leaves no descriptor', async () => {
  const { readEnd, writeEnd } = pipe()
  const before = descriptors()
  let calls = 0
  const unwatch = watchPriority(writeEnd, () => {
    calls++
  })
  writeAll(writeEnd, Buffer.from('data'))
  await setTimeout(LONG_ENOUGH_MS)
  expect(calls).toBe(0)
  // Nobody is left to read: that is POLLERR on the other end.
  close(readEnd)
  await until(() => calls > 0)
  await setTimeout(LONG_ENOUGH_MS)
  expect(calls).toBe(1)
  unwatch()
  expect(descriptors()).toBe(before - 1)
  close(writeEnd)
})

test('watchPriority: a descriptor that cannot be watched is an error, and leaves nothing open', () => {
  const before = descriptors()
  expect(() => watchPriority(1_000_000, () => {})).toThrow(expect.objectContaining({ code: 'EBADF' }))
  expect(descriptors()).toBe(before)
})
