import { expect, test } from 'vitest'
import { fileOf, rangeOf, World } from './test-world.js'

test('R4: QUERY names the errno and the lease a change would meet, and changes nothing', () => {
  const world = new World()
  world.take({ ofd: 1, bytes: [0, 100] })
  world.take({ ofd: 2, bytes: [100, 200], level: 'exclusive' })
  const own = world.take({ ofd: 3, bytes: [150, 200], level: 'exclusive' })
  const before = world.snapshot()
  expect(world.query({ bytes: [0, 10] })).toEqual({ outcome: 'EAGAIN', lease: 1 })
  expect(world.query()).toEqual({ outcome: 'ETXTBSY', lease: 2 })
  expect(world.query({ process: 3 })).toEqual({ outcome: 'EDEADLK', lease: own })
  expect(world.query({ bytes: [200, 300] })).toEqual({ outcome: 'ok', lease: null })
  expect(world.query({ process: 1, bytes: [0, 10] })).toEqual({ outcome: 'ok', lease: null })
  expect(world.query({ file: 2 })).toEqual({ outcome: 'ok', lease: null })
  expect(world.snapshot()).toBe(before)
})

test('R4: QUERY says what the change is then told', () => {
  const world = new World()
  const lease = world.take({ ofd: 1, mode: 'write', level: 'exclusive' })
  world.pin(lease, { bytes: [0, 10] })
  for (const process of [1, 9]) {
    for (const bytes of [
      [0, 5],
      [10, 20],
    ] as const) {
      const { outcome } = world.query({ process, bytes })
      expect(world.changeAndFinish({ process, bytes })).toBe(outcome === 'ok' ? 'done' : outcome)
    }
  }
})

test('R4: a range is protected while a lease that is not revoked overlaps it', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive', bytes: [10, 20] })
  expect(world.rules.isProtected(fileOf(1), rangeOf([0, 11]))).toBe(true)
  expect(world.rules.isProtected(fileOf(1), rangeOf([0, 10]))).toBe(false)
  expect(world.rules.isProtected(fileOf(2), rangeOf())).toBe(false)
  world.revoke(lease)
  expect(world.rules.isProtected(fileOf(1), rangeOf())).toBe(false)
})
