import { expect, test } from 'vitest'
import { KILL_GRACE_MS } from './index.js'
import { BREAK_MS, processOf, World } from './test-world.js'

test('B1: a change breaks the lease and waits; the deadline is the break time away', () => {
  const world = new World()
  const lease = world.take()
  expect(world.change()).toBe('waiting')
  expect(world.lease(lease)).toMatchObject({ state: 'breaking', deadline: world.now + BREAK_MS })
  expect(world.rules.nextDeadline()).toBe(world.now + BREAK_MS)
})

test('B1: a lease may ask for less time than the mount gives, never for more', () => {
  const world = new World()
  const short = world.take({ ofd: 1, breakTimeMs: 500 })
  const long = world.take({ ofd: 2, breakTimeMs: 2 * BREAK_MS })
  world.change()
  expect(world.lease(short).deadline).toBe(world.now + 500)
  expect(world.lease(long).deadline).toBe(world.now + BREAK_MS)
  expect(world.tryTake({ breakTimeMs: -1 })).toBe('EINVAL')
})

test('B1: a new break time holds for breaks that start later', () => {
  const world = new World()
  const lease = world.take()
  const policy = { breakTimeMs: 77, leaseCountMax: 10, pinCountMax: 10, onTimeout: 'revoke' } as const
  world.step({ kind: 'set-policy', policy })
  world.change()
  expect(world.lease(lease).deadline).toBe(world.now + 77)
})

test('B2: each owner is signalled once per break, each lease has one event, and poll says priority', () => {
  const world = new World()
  const first = world.take({ ofd: 1 })
  const second = world.take({ ofd: 2 })
  world.setOwner(1, first, 1, 34)
  world.setOwner(1, first, 3, 35)
  world.told()
  world.change()
  expect(world.sent('signal').map(({ process, signal }) => [process, signal.signo])).toEqual([
    [1, 34],
    [3, 35],
  ])
  expect(world.told()).toEqual([`break:${first}`, `break:${second}`])
  expect(world.sent('poll').map((effect) => effect.ofd)).toEqual([1, 2])
  expect(world.poll(1)).toEqual({ priority: true, error: false })
  world.change({ process: 8 })
  expect(world.effects).toEqual([])
})

test('B2: a signal chosen while the lease is breaking is sent at once, and once', () => {
  const world = new World()
  const lease = world.take()
  world.change()
  world.setOwner(1, lease, 2, 34)
  expect(world.sent('signal')).toHaveLength(1)
  world.setOwner(1, lease, 2, 35)
  expect(world.sent('signal')).toHaveLength(0)
})

test('B2: the next break is told again', () => {
  const world = new World()
  const lease = world.take({ mode: 'write' })
  world.setOwner(1, lease, 1, 34)
  for (const ofd of [2, 3]) {
    world.tryTake({ ofd, mode: 'read', whenBusy: 'start' })
    expect(world.sent('signal')).toHaveLength(1)
    world.set(lease, { mode: 'read' })
    expect(world.set(lease, { mode: 'write' })).toBe('done')
  }
})

test('B3: a downgrade from write to read answers a read lease request', () => {
  const world = new World()
  const lease = world.take({ ofd: 1, mode: 'write' })
  world.tryTake({ ofd: 2, mode: 'read', whenBusy: 'wait' })
  const request = world.lastRequest
  expect(world.set(lease, { mode: 'read' })).toBe('done')
  expect(world.reply(request)).toBe('ok')
  expect(world.lease(lease)).toMatchObject({ state: 'active', deadline: null })
  expect(world.rules.nextDeadline()).toBeNull()
})

test('B3: a downgrade does not answer a layout change', () => {
  const world = new World()
  const lease = world.take({ mode: 'write' })
  world.change()
  const change = world.lastRequest
  expect(world.set(lease, { mode: 'read' })).toBe('done')
  expect(world.reply(change)).toBeUndefined()
  expect(world.lease(lease).state).toBe('breaking')
})

test('B3: owners are told again when a downgrade, which would have been enough, no longer is', () => {
  const world = new World()
  const lease = world.take({ ofd: 1, mode: 'write' })
  world.tryTake({ ofd: 2, mode: 'read', whenBusy: 'start' })
  const { deadline } = world.lease(lease)
  world.told()
  world.now += 5
  world.change()
  expect(world.told()).toEqual([`break:${lease}`])
  expect(world.lease(lease).deadline).toBe(deadline)
})

test('B4: the breaker goes ahead as soon as the last conflicting lease is released', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.take({ ofd: 2 })
  world.change()
  const change = world.lastRequest
  world.release(1)
  expect(world.reply(change)).toBeUndefined()
  world.release(2)
  expect(world.reply(change)).toBe('ok')
})

test('B4: breakers go ahead in the order they came and share the break', () => {
  const world = new World()
  const lease = world.take()
  const changes = [7, 8, 9].map((process) => {
    world.change({ process })
    return world.lastRequest
  })
  expect(world.lease(lease).deadline).toBe(world.now + BREAK_MS)
  world.release(1)
  expect(world.sent('reply').map((effect) => effect.request)).toEqual(changes)
})

test('B4: a breaker does not overtake one before it that overlaps, but does pass one that does not', () => {
  const world = new World()
  world.take({ ofd: 1, bytes: [0, 100] })
  world.take({ ofd: 2, bytes: [100, 200] })
  world.take({ ofd: 3, bytes: [300, 400] })
  world.change({ bytes: [0, 200] })
  const first = world.lastRequest
  world.change({ bytes: [150, 160] })
  const second = world.lastRequest
  world.change({ bytes: [300, 400] })
  const third = world.lastRequest
  world.release(2)
  world.release(3)
  expect([first, second, third].map((request) => world.reply(request))).toEqual([undefined, undefined, 'ok'])
  world.release(1)
  expect([first, second].map((request) => world.reply(request))).toEqual(['ok', 'ok'])
})

test('B4: a change that meets no lease does not wait for those that do', () => {
  const world = new World()
  world.take({ bytes: [0, 100] })
  world.change({ bytes: [0, 200] })
  expect(world.change({ bytes: [100, 200] })).toBe('done')
})

test('B4: a layout change goes before lease requests that wait for the same lease', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.tryTake({ ofd: 2, mode: 'write', level: 'exclusive', whenBusy: 'wait' })
  const request = world.lastRequest
  world.change()
  const change = world.lastRequest
  world.release(1)
  expect([world.reply(change), world.reply(request)]).toEqual(['ok', undefined])
  world.finish(change)
  expect(world.reply(request)).toBe('ok')
})

test('B5: at the deadline the lease is revoked and the change goes ahead', () => {
  const world = new World()
  const lease = world.take()
  world.change()
  const change = world.lastRequest
  world.pass(BREAK_MS - 1)
  expect(world.reply(change)).toBeUndefined()
  world.pass(1)
  expect(world.reply(change)).toBe('ok')
  expect(world.lease(lease)).toMatchObject({ state: 'revoked', deadline: null })
  expect(world.told()).toEqual(['granted:1', 'break:1', 'revoked:1'])
})

test('B5: a revoked lease protects nothing, is listed with POLLERR until released', () => {
  const world = new World()
  const lease = world.take({ mode: 'write' })
  world.change()
  const change = world.lastRequest
  world.pass(BREAK_MS)
  world.finish(change)
  expect(world.poll(1)).toEqual({ priority: false, error: true })
  expect(world.changeAndFinish()).toBe('done')
  expect(world.tryTake({ ofd: 2, mode: 'write' })).toBe('done')
  expect(world.set(lease, { mode: 'read' })).toBe('EPERM')
  expect(world.release(1, lease)).toBe('done')
  expect(world.poll(1).error).toBe(false)
})

test('B5: deadlines come due one by one, the nearest first', () => {
  const world = new World()
  const times = [300, 100, 400, 200]
  const leases = times.map((breakTimeMs, index) => world.take({ ofd: index + 1, breakTimeMs }))
  world.change()
  const revoked: number[] = []
  for (let round = 0; round < 4; round++) {
    world.pass(100)
    for (const effect of world.sent('event')) revoked.push(effect.event.lease.id)
  }
  expect(revoked).toEqual([1, 3, 0, 2].map((index) => leases[index]))
  expect(world.rules.nextDeadline()).toBeNull()
})

test('B5: on-timeout=kill kills the owners; the lease goes when they have', () => {
  const world = new World({ onTimeout: 'kill' })
  const lease = world.take()
  world.setOwner(1, lease, 2)
  world.change()
  const change = world.lastRequest
  world.pass(BREAK_MS)
  expect(world.sent('kill').map((effect) => effect.process)).toEqual([1, 2])
  expect(world.lease(lease).state).toBe('breaking')
  world.exit(1)
  expect(world.reply(change)).toBeUndefined()
  world.exit(2)
  expect(world.reply(change)).toBe('ok')
  expect(world.lease(lease).state).toBe('revoked')
})

test('B5: on-timeout=kill revokes after all what nobody could be killed for', () => {
  const world = new World({ onTimeout: 'kill' })
  const killed = world.take({ ofd: 1 })
  const ownerless = world.take({ ofd: 2, process: null })
  world.change()
  const change = world.lastRequest
  world.pass(BREAK_MS)
  expect([world.lease(killed).state, world.lease(ownerless).state]).toEqual(['breaking', 'revoked'])
  world.pass(KILL_GRACE_MS)
  expect(world.sent('kill')).toEqual([])
  expect(world.lease(killed).state).toBe('revoked')
  expect(world.reply(change)).toBe('ok')
})

test('B5: on-timeout=kill kills nobody for a notify-only lease', () => {
  const world = new World({ onTimeout: 'kill' })
  const lease = world.take({ mayDelayOthers: false })
  world.change()
  world.pass(BREAK_MS)
  expect(world.sent('kill')).toEqual([])
  expect(world.lease(lease).state).toBe('revoked')
})

test('B6: a non-blocking breaker gets EAGAIN; the break goes on', () => {
  const world = new World()
  const lease = world.take()
  expect(world.change({ nonBlocking: true })).toBe('EAGAIN')
  expect(world.lease(lease).state).toBe('breaking')
  world.pass(BREAK_MS)
  expect(world.change({ nonBlocking: true })).toBe('done')
})

test('B7: an interrupted breaker gets EINTR; the break goes on', () => {
  const world = new World()
  const lease = world.take()
  world.change()
  const change = world.lastRequest
  world.interrupt(change)
  expect(world.reply(change)).toBe('EINTR')
  expect(world.lease(lease).state).toBe('breaking')
  world.pass(BREAK_MS)
  expect(world.lease(lease).state).toBe('revoked')
  expect(world.sent('reply')).toEqual([])
})

test('B7: those behind an interrupted breaker move up', () => {
  const world = new World()
  world.take({ ofd: 1, bytes: [0, 100] })
  world.take({ ofd: 2, bytes: [100, 200] })
  world.change({ bytes: [0, 200] })
  const first = world.lastRequest
  world.change({ bytes: [100, 200] })
  const second = world.lastRequest
  world.release(2)
  expect(world.reply(second)).toBeUndefined()
  world.interrupt(first)
  expect(world.reply(second)).toBe('ok')
})

test('B7: an interrupted lease request gets EINTR; an interrupt for nobody is ignored', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'wait' })
  const request = world.lastRequest
  world.interrupt(request)
  expect(world.reply(request)).toBe('EINTR')
  world.interrupt(request)
  expect(world.effects).toEqual([])
})

test('B7: an interrupt for a change that is in flight already comes too late', () => {
  const world = new World()
  world.change()
  world.interrupt(world.lastRequest)
  expect(world.effects).toEqual([])
  expect(world.finish(world.lastRequest)).toBe('done')
  expect(world.finish(world.lastRequest)).toBe('ENOENT')
})

test('B7: a process that exits while its lease request waits gets no lease', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'wait' })
  const request = world.lastRequest
  expect(world.rules.isInvolved(processOf(2))).toBe(true)
  world.exit(2)
  world.release(1)
  expect(world.reply(request)).toBe('EINTR')
  expect(world.rules.leaseCount).toBe(0)
})

test('B8: the only owner of a normal read lease breaks it at once, without waiting for itself', () => {
  const world = new World()
  const lease = world.take()
  expect(world.change({ process: 1 })).toBe('done')
  expect(world.sent('event').map((effect) => effect.event)).toMatchObject([
    { event: 'broken', reason: 'self' },
  ])
  expect(world.lease(lease).state).toBe('revoked')
})

test('B8: with other owners it is an ordinary break for them; the breaker is not signalled', () => {
  const world = new World()
  const lease = world.take()
  world.setOwner(1, lease, 1, 34)
  world.setOwner(1, lease, 2, 35)
  expect(world.change({ process: 1 })).toBe('waiting')
  expect(world.sent('signal').map((effect) => effect.process)).toEqual([2])
})

test('B8: a breaker that is left as the only owner no longer waits', () => {
  const world = new World()
  const lease = world.take()
  world.setOwner(1, lease, 2)
  world.change({ process: 1 })
  const change = world.lastRequest
  world.exit(2)
  expect(world.reply(change)).toBe('ok')
  expect(world.lease(lease).state).toBe('revoked')
})

test('B8: a breaker that becomes the only owner no longer waits either', () => {
  const world = new World()
  const lease = world.take({ process: null })
  world.change({ process: 5 })
  const change = world.lastRequest
  world.setOwner(1, lease, 5)
  expect(world.reply(change)).toBe('ok')
})

test('B8: while the change waits for others, the own lease is kept; an interrupt spares it', () => {
  const world = new World()
  const own = world.take({ ofd: 1 })
  world.take({ ofd: 2 })
  world.change({ process: 1 })
  world.interrupt(world.lastRequest)
  expect(world.lease(own).state).toBe('active')
})
