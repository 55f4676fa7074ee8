import { expect, test } from 'vitest'
import { AssertionError } from '../lib/assert.js'
import { createLeaseRules, DEFAULT_POLICY, MAX_BREAK_TIME_MS } from './index.js'
import { BREAK_MS, leaseOf, mappingOf, ofdOf, processOf, World } from './test-world.js'

test('L1: without a lease every layout change goes ahead, and nobody hears of it', () => {
  const world = new World()
  expect(world.change()).toBe('done')
  expect(world.effects).toEqual([])
  expect(world.finish(world.lastRequest)).toBe('done')
})

test('L1: a lease protects its own range and file only', () => {
  const world = new World()
  world.take({ bytes: [100, 200], level: 'exclusive' })
  expect(world.change({ bytes: [0, 100] })).toBe('done')
  expect(world.change({ bytes: [200, 300] })).toBe('done')
  expect(world.change({ file: 2 })).toBe('done')
  expect(world.change({ bytes: [199, 200] })).toBe('ETXTBSY')
})

test('L1: a malformed range is EINVAL, wherever it is given', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  const malformed = [
    [-1, 10],
    [5, 5],
    [6, 5],
    [0.5, 10],
    [0, 10.5],
    [0, Number.NaN],
    [Number.NaN, 1],
  ] as const
  for (const bytes of [...malformed, [0, 2 ** 53] as const, [2 ** 53, Number.POSITIVE_INFINITY] as const]) {
    expect(world.tryTake({ bytes })).toBe('EINVAL')
    expect(world.change({ bytes })).toBe('EINVAL')
    expect(world.tryPin(lease, { bytes })).toBe('EINVAL')
    expect(world.query({ bytes }).outcome).toBe('EINVAL')
  }
})

test('L2: a normal lease makes a change wait, an exclusive one makes it fail', () => {
  const world = new World()
  world.take({ ofd: 1, file: 1, level: 'normal' })
  world.take({ ofd: 2, file: 2, level: 'exclusive' })
  expect(world.change({ file: 1 })).toBe('waiting')
  expect(world.change({ file: 2 })).toBe('ETXTBSY')
})

test('L3: any number of read leases share a range', () => {
  const world = new World()
  for (let ofd = 1; ofd <= 5; ofd++) world.take({ ofd, level: ofd % 2 === 0 ? 'exclusive' : 'normal' })
  expect(world.rules.leaseCount).toBe(5)
})

test('L3: a write lease conflicts with every overlapping lease of another OFD, and with no other', () => {
  const world = new World()
  world.take({ ofd: 1, mode: 'write', bytes: [0, 100] })
  expect(world.tryTake({ ofd: 2, mode: 'read', bytes: [99, 100] })).toBe('EAGAIN')
  expect(world.tryTake({ ofd: 2, mode: 'write', bytes: [99, 100] })).toBe('EAGAIN')
  expect(world.tryTake({ ofd: 2, mode: 'write', bytes: [100, 200] })).toBe('done')
  expect(world.tryTake({ ofd: 3, mode: 'write', file: 2 })).toBe('done')
})

test('L4: leases of one OFD never conflict with each other', () => {
  const world = new World()
  const first = world.take({ mode: 'write', level: 'exclusive' })
  const second = world.take({ mode: 'read' })
  const third = world.take({ mode: 'write' })
  expect([first, second, third]).toEqual([1, 2, 3])
})

test('L4: ids are never reused', () => {
  const world = new World()
  const first = world.take()
  world.release(1, first)
  expect(world.take()).toBeGreaterThan(first)
})

test('L4: nextLeaseOf walks the leases of one OFD by id', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.take({ ofd: 2 })
  world.take({ ofd: 1 })
  expect(world.rules.nextLeaseOf(ofdOf(1), 0)?.id).toBe(1)
  expect(world.rules.nextLeaseOf(ofdOf(1), 1)?.id).toBe(3)
  expect(world.rules.nextLeaseOf(ofdOf(1), 3)).toBeUndefined()
  expect(world.rules.nextLeaseOf(ofdOf(7), 0)).toBeUndefined()
})

test('L4: setting with an id changes mode and level in place and keeps the id', () => {
  const world = new World()
  const lease = world.take()
  expect(world.set(lease, { mode: 'write', level: 'exclusive' })).toBe('done')
  expect(world.lease(lease)).toMatchObject({ id: lease, mode: 'write', level: 'exclusive' })
  expect(world.set(lease, { mode: 'read', level: 'normal' })).toBe('done')
  expect(world.lease(lease)).toMatchObject({ id: lease, mode: 'read', level: 'normal' })
  expect(world.told()).toEqual(['granted:1', 'granted:1', 'downgraded:1'])
})

test('L4: setting a lease to what it is does nothing and tells nobody', () => {
  const world = new World()
  const lease = world.take()
  world.told()
  expect(world.set(lease, {})).toBe('done')
  expect(world.told()).toEqual([])
})

test('L4: an upgrade that conflicts fails and leaves the lease as it was', () => {
  const world = new World()
  const lease = world.take({ ofd: 1 })
  world.take({ ofd: 2 })
  const before = world.snapshot()
  expect(world.set(lease, { mode: 'write' })).toBe('EAGAIN')
  expect(world.snapshot()).toBe(before)
})

test('L4: a breaking lease cannot be upgraded, but downgraded', () => {
  const world = new World()
  const lease = world.take({ mode: 'write' })
  expect(world.change()).toBe('waiting')
  expect(world.set(lease, { level: 'exclusive' })).toBe('EAGAIN')
  expect(world.set(lease, { mode: 'read' })).toBe('done')
  expect(world.set(lease, { mode: 'write' })).toBe('EAGAIN')
})

test('L4: a lease of another OFD is ENOENT, and so is one that does not exist', () => {
  const world = new World()
  const lease = world.take({ ofd: 1 })
  world.take({ ofd: 2 })
  for (const id of [lease, leaseOf(77)]) {
    expect(world.set(id, { ofd: 2 })).toBe('ENOENT')
    expect(world.release(2, id)).toBe('ENOENT')
    expect(world.setOwner(2, id, 2)).toBe('ENOENT')
    expect(world.removeOwner(2, id, 1)).toBe('ENOENT')
  }
})

test('L4: a waiting upgrade fails with EAGAIN when its own lease starts to break', () => {
  const world = new World()
  const lease = world.take({ ofd: 1, bytes: [0, 100] })
  world.take({ ofd: 2, bytes: [50, 60] })
  expect(world.set(lease, { mode: 'write', whenBusy: 'wait' })).toBe('waiting')
  const upgrade = world.lastRequest
  expect(world.change({ bytes: [0, 10] })).toBe('waiting')
  expect(world.reply(upgrade)).toBe('EAGAIN')
})

test('L4: a waiting upgrade fails with ENOENT when its lease is released', () => {
  const world = new World()
  const lease = world.take({ ofd: 1 })
  world.take({ ofd: 2 })
  world.set(lease, { mode: 'write', whenBusy: 'wait' })
  const upgrade = world.lastRequest
  world.release(1, lease)
  expect(world.reply(upgrade)).toBe('ENOENT')
})

test('L4: a waiting upgrade is carried out in place when the others have let go', () => {
  const world = new World()
  const lease = world.take({ ofd: 1 })
  world.take({ ofd: 2 })
  world.set(lease, { mode: 'write', whenBusy: 'wait' })
  const upgrade = world.lastRequest
  world.release(2)
  expect(world.reply(upgrade)).toBe('ok')
  expect(world.grantOf(upgrade)).toBe(lease)
  expect(world.lease(lease)).toMatchObject({ mode: 'write', state: 'active' })
})

test('L5: the process that takes a lease is its first owner', () => {
  const world = new World()
  const lease = world.take({ process: 5 })
  expect(world.lease(lease).owners).toEqual([5])
  expect(world.rules.isInvolved(processOf(5))).toBe(true)
})

test('L5: owners come and go; one that exits stops being an owner', () => {
  const world = new World()
  const lease = world.take({ process: 1 })
  expect(world.setOwner(1, lease, 2, 34)).toBe('done')
  expect(world.setOwner(1, lease, 3)).toBe('done')
  expect(world.lease(lease).owners).toEqual([1, 2, 3])
  expect(world.removeOwner(1, lease, 1)).toBe('done')
  expect(world.removeOwner(1, lease, 1)).toBe('ENOENT')
  world.exit(2)
  expect(world.lease(lease).owners).toEqual([3])
  expect([1, 2, 3].map((key) => world.rules.isInvolved(processOf(key)))).toEqual([false, false, true])
})

test('L5: SIGKILL, SIGSTOP, the two of glibc and numbers that are no signal cannot be chosen', () => {
  const world = new World()
  const lease = world.take()
  for (const signo of [9, 19, 32, 33, 0, -1, 65, 1.5])
    expect(world.setOwner(1, lease, 1, signo)).toBe('EINVAL')
  for (const signo of [1, 10, 31, 34, 64]) expect(world.setOwner(1, lease, 1, signo)).toBe('done')
})

test('L5: a process that cannot be seen holds a lease but never owns one', () => {
  const world = new World()
  const lease = world.take({ process: null })
  expect(world.lease(lease).owners).toEqual([])
  expect(world.change()).toBe('waiting')
})

test('L6: a conflicting exclusive lease is ETXTBSY, whether the request would wait or not', () => {
  const world = new World()
  world.take({ ofd: 1, level: 'exclusive' })
  world.take({ ofd: 2 })
  for (const whenBusy of ['fail', 'start', 'wait'] as const) {
    const before = world.snapshot()
    expect(world.tryTake({ ofd: 3, mode: 'write', whenBusy })).toBe('ETXTBSY')
    expect(world.snapshot()).toBe(before)
  }
})

test('L6: conflicting normal leases are EAGAIN and are not disturbed', () => {
  const world = new World()
  const lease = world.take({ ofd: 1 })
  expect(world.tryTake({ ofd: 2, mode: 'write' })).toBe('EAGAIN')
  expect(world.lease(lease).state).toBe('active')
})

test('L6: START breaks what conflicts, and POLLPRI tells when to try again', () => {
  const world = new World()
  const lease = world.take({ ofd: 1 })
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'start' })).toBe('EAGAIN')
  expect(world.lease(lease).state).toBe('breaking')
  expect(world.poll(2).priority).toBe(false)
  world.release(1)
  expect(world.sent('poll').map((effect) => effect.ofd)).toContain(2)
  expect(world.poll(2).priority).toBe(true)
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'start' })).toBe('done')
  expect(world.poll(2).priority).toBe(false)
})

test('L6: START that fails again waits for the next chance', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'start' })
  world.release(1)
  world.take({ ofd: 3 })
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'start' })).toBe('EAGAIN')
  expect(world.poll(2).priority).toBe(false)
  world.pass(BREAK_MS)
  expect(world.poll(2).priority).toBe(true)
})

test('L6: after START, POLLPRI turns on as well when a new exclusive lease has settled the question', () => {
  const world = new World()
  world.take({ ofd: 1, bytes: [0, 100] })
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'start', bytes: [0, 200] })).toBe('EAGAIN')
  expect(world.poll(2).priority).toBe(false)
  world.take({ ofd: 3, level: 'exclusive', bytes: [100, 200] })
  expect(world.sent('poll').map((effect) => effect.ofd)).toContain(2)
  expect(world.poll(2).priority).toBe(true)
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'start', bytes: [0, 200] })).toBe('ETXTBSY')
})

test('L6: WAIT breaks what conflicts and gets its lease when that is gone', () => {
  const world = new World()
  world.take({ ofd: 1 })
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'wait' })).toBe('waiting')
  const request = world.lastRequest
  expect(world.reply(request)).toBeUndefined()
  world.release(1)
  expect(world.reply(request)).toBe('ok')
  expect(world.lease(world.grantOf(request))).toMatchObject({ ofd: 2, mode: 'write' })
})

test('L6: a lease that conflicts with a waiting or running layout change is EAGAIN', () => {
  const world = new World()
  world.take({ ofd: 1, bytes: [0, 100] })
  expect(world.change({ bytes: [0, 200] })).toBe('waiting')
  const change = world.lastRequest
  expect(world.tryTake({ ofd: 2, bytes: [150, 160] })).toBe('EAGAIN')
  expect(world.tryTake({ ofd: 2, bytes: [200, 300] })).toBe('done')
  world.release(1)
  expect(world.reply(change)).toBe('ok')
  expect(world.tryTake({ ofd: 2, bytes: [150, 160] })).toBe('EAGAIN')
  world.finish(change)
  expect(world.tryTake({ ofd: 2, bytes: [150, 160] })).toBe('done')
})

test('L6: who breaks what others wait behind is answered at once if they go ahead and are in its way', () => {
  const world = new World()
  world.take({ ofd: 1, bytes: [200, 300] })
  const raised = world.take({ ofd: 2, bytes: [100, 400] })
  expect(world.set(raised, { mode: 'write', level: 'exclusive', whenBusy: 'wait' })).toBe('waiting')
  const upgrade = world.lastRequest
  expect(world.tryTake({ ofd: 3, level: 'exclusive', bytes: [200, 400], whenBusy: 'wait' })).toBe('waiting')
  const behind = world.lastRequest
  // It breaks the second lease, so that cannot be raised any more, the third is granted, and this one is refused.
  expect(world.tryTake({ ofd: 1, mode: 'write', bytes: [0, 300], whenBusy: 'wait' })).toBe('ETXTBSY')
  expect(world.reply(upgrade)).toBe('EAGAIN')
  expect(world.reply(behind)).toBe('ok')
  expect(world.effects).not.toContainEqual(expect.objectContaining({ request: world.lastRequest }))
})

test('L6: a lease that conflicts with a waiting lease request is EAGAIN', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'wait' })
  expect(world.tryTake({ ofd: 3, mode: 'read' })).toBe('EAGAIN')
})

test('L6: with WAIT a lease request queues behind changes and earlier requests', () => {
  const world = new World()
  expect(world.change()).toBe('done')
  const change = world.lastRequest
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'wait' })).toBe('waiting')
  const second = world.lastRequest
  expect(world.tryTake({ ofd: 3, mode: 'read', whenBusy: 'wait' })).toBe('waiting')
  const third = world.lastRequest
  world.finish(change)
  expect(world.reply(second)).toBe('ok')
  expect(world.reply(third)).toBeUndefined()
  expect(world.lease(world.grantOf(second)).state).toBe('breaking')
  world.release(2)
  expect(world.reply(third)).toBe('ok')
})

test('L6: a waiting request is ETXTBSY once an exclusive lease is granted before it', () => {
  const world = new World()
  world.take({ ofd: 1 })
  world.tryTake({ ofd: 2, mode: 'write', level: 'exclusive', whenBusy: 'wait' })
  const winner = world.lastRequest
  world.tryTake({ ofd: 3, mode: 'write', whenBusy: 'wait' })
  const loser = world.lastRequest
  world.release(1)
  expect([world.reply(winner), world.reply(loser)]).toEqual(['ok', 'ETXTBSY'])
})

test('L7: a lease ends by release', () => {
  const world = new World()
  const lease = world.take()
  expect(world.release(1, lease)).toBe('done')
  expect(world.rules.lease(lease)).toBeUndefined()
  expect(world.told()).toEqual(['granted:1', 'released:1'])
  expect(world.sent('file-free')).toEqual([{ kind: 'file-free', file: 1 }])
})

test('L7: a lease ends by the last close of its OFD', () => {
  const world = new World()
  world.take()
  world.take({ ofd: 2 })
  world.close(1)
  expect([...world.rules.leases()].map((lease) => lease.id)).toEqual([2])
  expect(world.sent('file-free')).toEqual([])
  world.close(2)
  expect(world.sent('file-free')).toEqual([{ kind: 'file-free', file: 1 }])
})

test('L7: a lease survives the process that took it', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  world.exit(1)
  expect(world.lease(lease)).toMatchObject({ state: 'active', owners: [] })
  expect(world.change()).toBe('ETXTBSY')
})

test('L7: an owner that maps a part of the leased range keeps the lease', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive', bytes: [0, 100] })
  world.close(1, [mappingOf(1, [50, 1000])])
  expect(world.lease(lease)).toMatchObject({ ofd: null, state: 'active' })
  expect(world.change()).toBe('ETXTBSY')
  world.remap([mappingOf(1, [100, 1000])])
  expect(world.rules.lease(lease)).toBeUndefined()
  expect(world.sent('event').at(-1)?.event).toMatchObject({ event: 'released', reason: 'unmapped' })
})

test('L7: mappings of others, or of other bytes, keep nothing', () => {
  const world = new World()
  world.take({ bytes: [0, 100] })
  world.close(1, [mappingOf(2), mappingOf(1, [100, 200])])
  expect(world.rules.leaseCount).toBe(0)
})

test('L7: the exit of the last owner that maps it ends the lease', () => {
  const world = new World()
  const lease = world.take()
  world.setOwner(1, lease, 2)
  world.close(1, [mappingOf(1), mappingOf(2)])
  world.exit(1)
  expect(world.rules.leaseCount).toBe(1)
  world.exit(2)
  expect(world.rules.leaseCount).toBe(0)
})

test('L7: a waiting breaker goes ahead when the last close ends the lease', () => {
  const world = new World()
  world.take()
  world.change()
  const change = world.lastRequest
  world.close(1)
  expect(world.reply(change)).toBe('ok')
})

test('L8: an exclusive lease without the right to it is EPERM, also as an upgrade', () => {
  const world = new World()
  expect(world.tryTake({ level: 'exclusive', mayDelayOthers: false })).toBe('EPERM')
  const lease = world.take({ mayDelayOthers: false })
  expect(world.set(lease, { level: 'exclusive', mayDelayOthers: false })).toBe('EPERM')
  expect(world.set(lease, { level: 'exclusive', mayDelayOthers: true })).toBe('done')
  expect(world.lease(lease).notifyOnly).toBe(false)
})

test('L8: rights are not checked again as long as the level does not rise', () => {
  const world = new World()
  const lease = world.take({ level: 'exclusive' })
  expect(world.set(lease, { mode: 'write', mayDelayOthers: false })).toBe('done')
  expect(world.set(lease, { level: 'normal', mayDelayOthers: false })).toBe('done')
  expect(world.lease(lease).notifyOnly).toBe(false)
})

test('L8: a notify-only lease is told of a change, which does not wait', () => {
  const world = new World()
  const lease = world.take({ mayDelayOthers: false })
  expect(world.lease(lease).notifyOnly).toBe(true)
  world.setOwner(1, lease, 1, 34)
  world.told()
  expect(world.change()).toBe('done')
  expect(world.sent('signal')).toHaveLength(1)
  expect(world.told()).toEqual(['break:1'])
  expect(world.poll(1).priority).toBe(true)
  world.pass(BREAK_MS)
  expect(world.lease(lease).state).toBe('revoked')
})

test('L8: a notify-only lease makes no lease request fail either', () => {
  const world = new World()
  const bystander = world.take({ ofd: 1, mayDelayOthers: false })
  expect(world.tryTake({ ofd: 2, mode: 'write', level: 'exclusive' })).toBe('done')
  expect(world.lease(bystander).state).toBe('breaking')
})

test('L8: who may not delay others does not break their leases, and does not wait for them', () => {
  const world = new World()
  const lease = world.take({ ofd: 1 })
  for (const whenBusy of ['wait', 'start'] as const) {
    expect(world.tryTake({ ofd: 2, mode: 'write', mayDelayOthers: false, whenBusy })).toBe('EAGAIN')
  }
  expect(world.lease(lease).state).toBe('active')
})

test('L9: over the maximum of leases is ENOLCK, for that user only, and breaks nothing', () => {
  const world = new World({ leaseCountMax: 2 })
  const first = world.take()
  world.take({ ofd: 1 })
  expect(world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'start' })).toBe('ENOLCK')
  expect(world.lease(first).state).toBe('active')
  expect(world.tryTake({ ofd: 3, user: 1001 })).toBe('done')
  world.release(1, first)
  expect(world.tryTake({ ofd: 2 })).toBe('done')
})

test('L9: the maximum is judged again when a request has waited', () => {
  const world = new World({ leaseCountMax: 1 })
  world.take({ ofd: 1, user: 1001 })
  world.tryTake({ ofd: 2, mode: 'write', whenBusy: 'wait' })
  const request = world.lastRequest
  world.take({ ofd: 3, file: 2 })
  world.release(1)
  expect(world.reply(request)).toBe('ENOLCK')
})

test('L9: a policy out of range is EINVAL, and an assertion when the rules are made', () => {
  const world = new World()
  const longer = { ...DEFAULT_POLICY, breakTimeMs: MAX_BREAK_TIME_MS + 1 }
  expect(world.step({ kind: 'set-policy', policy: longer })).toEqual({ status: 'failed', errno: 22 })
  expect(() => createLeaseRules(longer)).toThrow(AssertionError)
})
