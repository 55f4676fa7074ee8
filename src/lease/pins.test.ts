import { expect, test } from 'vitest'
import { leaseOf, mappingOf, pinOf, processOf, World } from './test-world.js'

test('P1: a pin needs an active exclusive lease that covers its range', () => {
  const world = new World()
  const normal = world.take({ ofd: 1, file: 1, bytes: [0, 100] })
  const exclusive = world.take({ ofd: 1, file: 1, bytes: [0, 100], level: 'exclusive' })
  expect(world.tryPin(normal, { bytes: [0, 10] })).toBe('EPERM')
  expect(world.tryPin(exclusive, { bytes: [90, 101] })).toBe('EPERM')
  expect(world.tryPin(exclusive, { bytes: [90, 100] })).toBe('done')
  expect(world.tryPin(leaseOf(99))).toBe('ENOENT')
})

test('P1: only an owner pins, and only for itself or for a context', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  expect(world.tryPin(lease, { process: 2 })).toBe('EPERM')
  expect(world.tryPin(lease, { process: 2, context: 1 })).toBe('EPERM')
  expect(world.tryPin(lease, { process: null })).toBe('EPERM')
  const holder = { kind: 'process', process: processOf(2) } as const
  const { user } = world.lease(lease)
  const range = { start: 0, end: 1 }
  const answer = world.step({ kind: 'pin', lease, range, process: processOf(1), user, holder })
  expect(answer).toEqual({ status: 'failed', errno: 1 })
  world.setOwner(1, lease, 2)
  expect(world.tryPin(lease, { process: 2 })).toBe('done')
})

test('P1: a revoked or zombie lease pins nothing more', () => {
  const world = new World()
  const revoked = world.take({ ofd: 1, file: 1, level: 'exclusive' })
  world.revoke(revoked)
  expect(world.tryPin(revoked)).toBe('EPERM')
  const zombie = world.take({ ofd: 2, file: 2, process: 1, level: 'exclusive' })
  world.pin(zombie)
  world.close(2)
  expect(world.tryPin(zombie)).toBe('EPERM')
})

test('P1: nothing is pinned beneath a layout change that X5 let pass', () => {
  const world = new World()
  const lease = world.take({ mode: 'write', level: 'exclusive' })
  world.change({ process: 1, bytes: [100, 200] })
  const change = world.lastRequest
  expect(world.tryPin(lease, { bytes: [150, 160] })).toBe('EAGAIN')
  expect(world.tryPin(lease, { bytes: [200, 300] })).toBe('done')
  world.finish(change)
  expect(world.tryPin(lease, { bytes: [150, 160] })).toBe('done')
})

test('P2: the pins of a context outlive the process that made them, until its last copy is closed', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.pin(lease, { context: 5, bytes: [0, 10] })
  world.pin(lease, { context: 5, bytes: [20, 30] })
  world.exit(1)
  expect(world.rules.pinCount).toBe(2)
  world.closeContext(5)
  expect(world.rules.pinCount).toBe(0)
  expect(world.sent('event').map((effect) => effect.event)).toMatchObject([
    { event: 'unpinned', reason: 'context-closed' },
    { event: 'unpinned', reason: 'context-closed' },
  ])
})

test('P3: pinning the same range twice gives the same id and takes two unpins', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  const pin = world.pin(lease, { bytes: [0, 10] })
  expect(world.pin(lease, { bytes: [0, 10] })).toBe(pin)
  expect([...world.rules.pins()]).toMatchObject([{ id: pin, count: 2 }])
  expect(world.unpin(pin)).toBe('done')
  expect(world.release(1, lease)).toBe('EBUSY')
  expect(world.unpin(pin)).toBe('done')
  expect(world.unpin(pin)).toBe('ENOENT')
  expect(world.release(1, lease)).toBe('done')
})

test('P3: another range, lease or holder is another pin', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  const other = world.take({ level: 'exclusive' })
  const pins = [
    world.pin(lease, { bytes: [0, 10] }),
    world.pin(lease, { bytes: [0, 11] }),
    world.pin(other, { bytes: [0, 10] }),
    world.pin(lease, { bytes: [0, 10], context: 1 }),
    world.pin(lease, { bytes: [0, 10], context: 2 }),
  ]
  expect(new Set(pins).size).toBe(5)
})

test('P4: a pinned lease is neither released nor downgraded below exclusive', () => {
  const world = new World()
  const lease = world.take({ mode: 'write', level: 'exclusive' })
  world.pin(lease)
  const before = world.snapshot()
  expect(world.release(1, lease)).toBe('EBUSY')
  expect(world.set(lease, { level: 'normal' })).toBe('EBUSY')
  expect(world.snapshot()).toBe(before)
  expect(world.set(lease, { mode: 'read' })).toBe('done')
})

test('P4: releasing all leases of an OFD is all or nothing', () => {
  const world = new World()
  world.take()
  const pinned = world.take({ level: 'exclusive' })
  const pin = world.pin(pinned)
  expect(world.release(1)).toBe('EBUSY')
  expect(world.rules.leaseCount).toBe(2)
  world.unpin(pin)
  expect(world.release(1)).toBe('done')
  expect(world.rules.leaseCount).toBe(0)
  expect(world.release(1)).toBe('done')
})

test('P5: a lease whose last descriptor is closed while pins exist is a zombie', () => {
  const world = new World()
  const lease = world.take({ mode: 'write', level: 'exclusive', bytes: [0, 1000] })
  const pin = world.pin(lease, { bytes: [0, 10] })
  world.told()
  world.close(1)
  expect(world.told()).toEqual(['zombie:1'])
  expect(world.lease(lease)).toMatchObject({ state: 'zombie', ofd: null, pinCount: 1 })
  expect(world.change({ bytes: [500, 600] })).toBe('ETXTBSY')
  expect(world.change({ bytes: [500, 600], process: 1 })).toBe('EDEADLK')
  expect(world.tryTake({ ofd: 2, bytes: [500, 600] })).toBe('ETXTBSY')
  expect(world.release(1, lease)).toBe('ENOENT')
  world.told()
  expect(world.unpin(pin)).toBe('done')
  expect(world.told()).toEqual(['unpinned:1', 'gone:1'])
  expect(world.sent('file-free')).toHaveLength(1)
})

test('P5: only the pinned leases of an OFD become zombies, the others end', () => {
  const world = new World()
  const pinned = world.take({ level: 'exclusive' })
  world.take()
  world.pin(pinned)
  world.close(1)
  expect([...world.rules.leases()].map((lease) => lease.id)).toEqual([pinned])
})

test('P5: a zombie that an owner maps goes on until it is neither pinned nor mapped', () => {
  for (const first of ['unpin', 'unmap']) {
    const world = new World()
    const lease = world.take({ level: 'exclusive' })
    const pin = world.pin(lease)
    world.close(1, [mappingOf(1)])
    if (first === 'unpin') world.unpin(pin)
    else world.remap([])
    expect(world.lease(lease).state).toBe('zombie')
    if (first === 'unpin') world.remap([])
    else world.unpin(pin)
    expect(world.rules.lease(lease)).toBeUndefined()
    expect(world.told().at(-1)).toBe('gone:1')
  }
})

test('P5: a mapped lease that is pinned later becomes a zombie when its mapping ends first', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.close(1, [mappingOf(1)])
  world.pin(lease)
  expect(world.lease(lease).state).toBe('active')
  world.remap([])
  expect(world.lease(lease).state).toBe('zombie')
})

test('P5: a mapped lease that is pinned stays active as long as it is mapped, whatever else ends', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.close(1, [mappingOf(1)])
  const first = world.pin(lease)
  world.pin(lease, { bytes: [0, 100] })
  world.unpin(first)
  expect(world.lease(lease).state).toBe('active')
  world.remap([mappingOf(1)])
  expect(world.lease(lease).state).toBe('active')
  expect(world.told()).not.toContain('zombie:1')
})

test('P6: unpin is for the holder of the pin; anybody else gets ENOENT', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  const mine = world.pin(lease)
  const contexts = world.pin(lease, { context: 1 })
  expect(world.unpin(mine, 2)).toBe('ENOENT')
  expect(world.unpin(mine, 1, 1)).toBe('ENOENT')
  expect(world.unpin(contexts, 1)).toBe('ENOENT')
  expect(world.unpin(contexts, 1, 2)).toBe('ENOENT')
  expect(world.unpin(pinOf(99))).toBe('ENOENT')
  expect(world.unpin(contexts, 1, 1)).toBe('done')
  expect(world.unpin(mine)).toBe('done')
})

test('P6: the exit of its process ends a pin, however often it was counted', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.pin(lease)
  world.pin(lease)
  world.close(1)
  world.told()
  world.exit(1)
  expect(world.told()).toEqual(['unpinned:1', 'gone:1'])
  expect(world.rules.pinCount).toBe(0)
  expect(world.rules.isInvolved(processOf(1))).toBe(false)
  expect(world.change()).toBe('done')
})

test('P7: the file is free only when its last pin has ended, also without any descriptor', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  const first = world.pin(lease, { bytes: [0, 1] })
  const second = world.pin(lease, { bytes: [1, 2], context: 1 })
  world.close(1)
  expect(world.sent('file-free')).toEqual([])
  world.unpin(first)
  expect(world.sent('file-free')).toEqual([])
  world.unpin(second, 1, 1)
  expect(world.sent('file-free')).toEqual([{ kind: 'file-free', file: 1 }])
})

test('P8: neither unmapping, nor closing, nor leaving the owners ends a pin', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.setOwner(1, lease, 2)
  world.pin(lease)
  world.removeOwner(1, lease, 1)
  world.close(1, [mappingOf(1)])
  world.remap([])
  expect(world.rules.pinCount).toBe(1)
  expect(world.rules.isInvolved(processOf(1))).toBe(true)
  expect(world.change()).toBe('ETXTBSY')
})

test('L9: over the maximum of pins is ENOLCK; the same pin again is no further one', () => {
  const world = new World({ pinCountMax: 1 })
  const lease = world.take({ level: 'exclusive' })
  const pin = world.pin(lease, { bytes: [0, 1] })
  expect(world.tryPin(lease, { bytes: [1, 2] })).toBe('ENOLCK')
  expect(world.tryPin(lease, { bytes: [1, 2], user: 1001 })).toBe('done')
  expect(world.tryPin(lease, { bytes: [0, 1] })).toBe('done')
  world.unpin(pin)
  world.unpin(pin)
  expect(world.tryPin(lease, { bytes: [1, 2], context: 1 })).toBe('done')
})
