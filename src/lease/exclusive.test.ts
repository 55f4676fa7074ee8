import { expect, test } from 'vitest'
import { World } from './test-world.js'

test('X1: a change that overlaps an exclusive lease is ETXTBSY', () => {
  const world = new World()
  world.take({ level: 'exclusive', bytes: [0, 100] })
  expect(world.change({ bytes: [99, 1000] })).toBe('ETXTBSY')
  expect(world.change({ bytes: [99, 1000], process: null })).toBe('ETXTBSY')
})

test('X1: it is EDEADLK if the breaker is one of the owners of a refusing lease', () => {
  const world = new World()
  world.take({ ofd: 1, level: 'exclusive' })
  const shared = world.take({ ofd: 2, level: 'exclusive' })
  world.setOwner(2, shared, 9)
  expect(world.change({ process: 1 })).toBe('EDEADLK')
  expect(world.change({ process: 9 })).toBe('EDEADLK')
  expect(world.change({ process: 8 })).toBe('ETXTBSY')
})

test('X1: through the leased OFD, a process that is no owner is refused like any other', () => {
  const world = new World()
  world.take({ ofd: 1, level: 'exclusive', mode: 'read' })
  expect(world.change({ ofd: 1, process: 8 })).toBe('ETXTBSY')
})

test('X1: a refused change has changed nothing', () => {
  const world = new World()
  world.take({ level: 'exclusive' })
  const before = world.snapshot()
  world.change()
  expect(world.snapshot()).toBe(before)
  expect(world.tryTake({ ofd: 2 })).toBe('done')
})

test('X2: a change that is refused breaks nothing', () => {
  const world = new World()
  const normal = world.take({ ofd: 1 })
  world.setOwner(1, normal, 1, 34)
  world.take({ ofd: 2, level: 'exclusive' })
  world.told()
  expect(world.change()).toBe('ETXTBSY')
  expect(world.lease(normal).state).toBe('active')
  expect(world.sent('signal')).toEqual([])
  expect(world.told()).toEqual(['refused:2'])
})

test('X2: a change that is refused spares the own read lease too', () => {
  const world = new World()
  const own = world.take({ ofd: 1 })
  world.take({ ofd: 2, level: 'exclusive' })
  expect(world.change({ process: 1 })).toBe('ETXTBSY')
  expect(world.lease(own).state).toBe('active')
})

test('X3: owners of each refusing lease hear once who tried what', () => {
  const world = new World()
  world.take({ ofd: 1, level: 'exclusive', bytes: [0, 100] })
  world.take({ ofd: 2, level: 'exclusive', bytes: [50, 150] })
  world.take({ ofd: 3, level: 'exclusive', bytes: [200, 300] })
  world.told()
  world.change({ process: 7, operation: 'punch-hole', bytes: [60, 70] })
  const offender = { process: 7, operation: 'punch-hole', range: { start: 60, end: 70 }, errno: 26 }
  expect(world.sent('event').map((effect) => effect.event)).toMatchObject([
    { event: 'refused', lease: { id: 1 }, offender },
    { event: 'refused', lease: { id: 2 }, offender },
  ])
})

test('X4: an exclusive lease can be revoked by id', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.told()
  expect(world.revoke(lease)).toBe('done')
  expect(world.sent('event').map((effect) => effect.event)).toMatchObject([
    { event: 'revoked', reason: 'seized' },
  ])
  expect(world.lease(lease).state).toBe('revoked')
  expect(world.change()).toBe('done')
  expect(world.revoke(lease)).toBe('done')
  world.release(1)
  expect(world.revoke(lease)).toBe('ENOENT')
})

test('X4: a lease with pins cannot be revoked', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.pin(lease)
  const before = world.snapshot()
  expect(world.revoke(lease)).toBe('EBUSY')
  expect(world.snapshot()).toBe(before)
})

test('X4: with kill its owners are killed, which ends the pins and then the lease', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.setOwner(1, lease, 2)
  world.pin(lease, { process: 2 })
  expect(world.revoke(lease, true)).toBe('done')
  expect(world.sent('kill').map((effect) => effect.process)).toEqual([1, 2])
  expect(world.change()).toBe('ETXTBSY')
  expect(world.tryPin(lease)).toBe('EPERM')
  expect(world.setOwner(1, lease, 3)).toBe('EPERM')
  world.exit(1)
  world.told()
  world.exit(2)
  expect(world.sent('event').map((effect) => effect.event)).toMatchObject([
    { event: 'unpinned', reason: 'killed' },
    { event: 'revoked', reason: 'seized' },
  ])
  expect(world.change()).toBe('done')
})

test.each([
  ['its exit', 'its last close'],
  ['its last close', 'its exit'],
])('X4: whoever is killed, the same is told whether %s or %s comes first', (first) => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.told()
  expect(world.revoke(lease, true)).toBe('done')
  const end = [() => world.exit(1), () => world.close(1)]
  const told: string[] = []
  for (const happen of first === 'its exit' ? end : end.toReversed()) {
    happen()
    told.push(...world.told())
  }
  expect(told).toEqual([`revoked:${lease}`, `released:${lease}`])
})

test('X4: who releases a lease before its owners are gone has released it', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.revoke(lease, true)
  world.told()
  world.release(1)
  expect(world.told()).toEqual([`released:${lease}`])
})

test('X4: kill also reaches a process that pinned and is no owner any more', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.setOwner(1, lease, 2)
  world.pin(lease, { process: 2 })
  world.removeOwner(1, lease, 2)
  world.revoke(lease, true)
  expect(world.sent('kill').map((effect) => effect.process)).toEqual([1, 2])
})

test('X4: kill with nobody to kill revokes, or is EBUSY while a context pins', () => {
  const world = new World()
  const free = world.take({ ofd: 1, level: 'exclusive' })
  const pinned = world.take({ ofd: 2, file: 2, level: 'exclusive' })
  world.pin(pinned, { process: 2, context: 1 })
  world.exit(1)
  world.exit(2)
  expect(world.revoke(free, true)).toBe('done')
  expect(world.lease(free).state).toBe('revoked')
  expect(world.revoke(pinned, true)).toBe('EBUSY')
})

test('X5: an owner may change what its own write lease covers, normal or exclusive', () => {
  const world = new World()
  world.take({ ofd: 1, file: 1, mode: 'write', level: 'normal' })
  world.take({ ofd: 2, file: 2, mode: 'write', level: 'exclusive' })
  expect(world.changeAndFinish({ file: 1, process: 1 })).toBe('done')
  expect(world.changeAndFinish({ file: 2, process: 2 })).toBe('done')
  expect([...world.rules.leases()].map((lease) => lease.state)).toEqual(['active', 'active'])
})

test('X5: so may whoever comes through the leased OFD', () => {
  const world = new World()
  world.take({ ofd: 1, mode: 'write', level: 'exclusive' })
  expect(world.change({ process: 8, ofd: 1 })).toBe('done')
  expect(world.change({ process: 8, ofd: 2 })).toBe('ETXTBSY')
})

test('X5: except where pins are', () => {
  const world = new World()
  const lease = world.take({ mode: 'write', level: 'exclusive' })
  world.pin(lease, { bytes: [100, 200] })
  world.told()
  expect(world.change({ process: 1, bytes: [150, 160] })).toBe('EDEADLK')
  expect(world.change({ process: 8, ofd: 1, bytes: [150, 160] })).toBe('EDEADLK')
  expect(world.told()).toEqual(['refused:1', 'refused:1'])
  expect(world.changeAndFinish({ process: 1, bytes: [200, 300] })).toBe('done')
})

test('X5: except where a pin context has pins, for everyone', () => {
  const world = new World()
  const lease = world.take({ mode: 'write', level: 'exclusive' })
  world.pin(lease, { context: 3, bytes: [0, 10] })
  expect(world.change({ process: 1, bytes: [0, 1] })).toBe('EDEADLK')
  expect(world.change({ process: 8, bytes: [0, 1] })).toBe('ETXTBSY')
})

test('X5: the own write lease does not help against the leases of others', () => {
  const world = new World()
  world.take({ ofd: 1, mode: 'write', bytes: [0, 100] })
  world.take({ ofd: 2, bytes: [100, 200] })
  expect(world.change({ process: 1 })).toBe('waiting')
})

test('X5: a breaker that stopped being an owner while it waited is refused', () => {
  const world = new World()
  const own = world.take({ ofd: 1, mode: 'write', level: 'exclusive', bytes: [0, 100] })
  world.take({ ofd: 2, bytes: [100, 200] })
  world.change({ process: 1 })
  const change = world.lastRequest
  world.removeOwner(1, own, 1)
  world.release(2)
  expect(world.reply(change)).toBe('ETXTBSY')
})
