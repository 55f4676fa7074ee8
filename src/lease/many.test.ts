/** Many leases, owners and waiters: the same rules, and no step that looks at all of them without need. */
import { expect, test } from 'vitest'
import { World } from './test-world.js'

const COUNT = 10_000
/** Each of these tests makes at most so many steps. What grows with the square would take minutes. */
const STEPS = 6 * COUNT
const TIME_LIMIT_MS = STEPS / 2

const UNLIMITED = { leaseCountMax: 10 * COUNT }

test(
  'B4, L6: 10,000 who wait for a write lease get it in the order they came, one with each release',
  () => {
    const world = new World(UNLIMITED)
    world.take({ ofd: 1, process: 1, mode: 'write' })
    const requests: number[] = []
    for (let ofd = 2; ofd <= COUNT; ofd++) {
      expect(world.tryTake({ ofd, process: ofd, mode: 'write', whenBusy: 'wait' })).toBe('waiting')
      requests.push(world.lastRequest)
    }
    // Some give up in the middle; nobody is passed over for that.
    for (const request of requests.filter((_, index) => index % 3 === 1)) {
      world.interrupt(request)
      expect(world.reply(request)).toBe('EINTR')
    }
    let holder = 1
    for (const [index, request] of requests.entries()) {
      if (index % 3 === 1) continue
      expect(world.release(holder)).toBe('done')
      expect(world.reply(request)).toBe('ok')
      holder = index + 2
    }
    expect(world.rules.leaseCount).toBe(1)
  },
  TIME_LIMIT_MS,
)

test(
  'L6: 10,000 readers behind one writer are granted together when it lets go',
  () => {
    const world = new World(UNLIMITED)
    world.take({ ofd: 1, process: 1, mode: 'write' })
    const requests: number[] = []
    for (let ofd = 2; ofd <= COUNT + 1; ofd++) {
      world.tryTake({ ofd, process: ofd, whenBusy: 'wait' })
      requests.push(world.lastRequest)
    }
    for (const request of requests.slice(COUNT / 2)) world.interrupt(request)
    world.release(1)
    expect(requests.slice(0, COUNT / 2).every((request) => world.reply(request) === 'ok')).toBe(true)
    expect(world.rules.leaseCount).toBe(COUNT / 2)
  },
  TIME_LIMIT_MS,
)

for (const order of ['first come first', 'last come first']) {
  test(
    `B1, B4: a change that waits for 10,000 leases goes ahead with the last, let go ${order}`,
    () => {
      const world = new World(UNLIMITED)
      for (let ofd = 1; ofd <= COUNT; ofd++) world.take({ ofd, process: ofd })
      expect(world.change({ process: COUNT + 1 })).toBe('waiting')
      const change = world.lastRequest
      for (let count = 1; count <= COUNT; count++) {
        expect(world.reply(change)).toBeUndefined()
        world.release(order === 'first come first' ? count : COUNT + 1 - count)
      }
      expect(world.reply(change)).toBe('ok')
    },
    TIME_LIMIT_MS,
  )
}

test(
  'B4: 10,000 changes of one file share a break, and all go ahead with its end',
  () => {
    const world = new World(UNLIMITED)
    world.take({ ofd: 1, process: 1 })
    const changes: number[] = []
    for (let process = 2; process <= COUNT; process++) {
      world.change({ process })
      changes.push(world.lastRequest)
    }
    world.release(1)
    expect(changes.every((change) => world.reply(change) === 'ok')).toBe(true)
    for (const change of changes) expect(world.finish(change)).toBe('done')
  },
  TIME_LIMIT_MS,
)

test(
  'L5: 10,000 processes own a lease; each exit ends one of them, and the lease stays',
  () => {
    const world = new World(UNLIMITED)
    const lease = world.take({ ofd: 1, process: 1 })
    for (let process = 2; process <= COUNT; process++) world.setOwner(1, lease, process)
    expect(world.lease(lease).owners).toHaveLength(COUNT)
    for (let process = 1; process < COUNT; process++) world.exit(process)
    expect(world.lease(lease).owners).toEqual([COUNT])
  },
  TIME_LIMIT_MS,
)

test(
  'L5, L7: 10,000 leases of one process and one OFD: any can be released, the exit takes all owners',
  () => {
    const world = new World(UNLIMITED)
    const leases = Array.from({ length: COUNT }, (_, index) => world.take({ bytes: [index, index + 1] }))
    for (const lease of leases.filter((_, index) => index % 2 === 0)) world.release(1, lease)
    expect(world.rules.leaseCount).toBe(COUNT / 2)
    world.exit(1)
    for (const lease of leases.slice(-10).filter((_, index) => index % 2 === 1)) {
      expect(world.lease(lease).owners).toEqual([])
    }
    expect(world.release(1)).toBe('done')
    expect(world.rules.leaseCount).toBe(0)
  },
  TIME_LIMIT_MS,
)

test('R1: what a report shows of a lease does not change with the lease', () => {
  const world = new World()
  const lease = world.take({ ofd: 1, process: 1 })
  const alone = world.lease(lease)
  const shown = structuredClone(alone)
  world.setOwner(1, lease, 2)
  const shared = world.lease(lease)
  const shownShared = structuredClone(shared)
  world.change({ process: 3 })
  world.removeOwner(1, lease, 1)
  world.release(1)
  expect([alone, shared]).toEqual([shown, shownShared])
})

test('L5: what one lease of a process remembers of its owner is not known to the others', () => {
  const world = new World()
  const first = world.take({ ofd: 1, file: 1, process: 1 })
  world.take({ ofd: 2, file: 2, process: 1 })
  world.setOwner(1, first, 1, 10)
  world.change({ file: 2, process: 3 })
  expect(world.effects.filter(({ kind }) => kind === 'signal')).toEqual([])
  world.change({ file: 1, process: 3 })
  expect(world.effects.filter(({ kind }) => kind === 'signal')).toHaveLength(1)
})

test('L6: who watches is told when a lease that cannot be broken comes between', () => {
  const world = new World()
  world.take({ ofd: 1, process: 1 })
  expect(world.tryTake({ ofd: 2, process: 2, mode: 'write', whenBusy: 'start' })).toBe('EAGAIN')
  expect(world.poll(2).priority).toBe(false)
  world.take({ ofd: 3, process: 3, level: 'exclusive' })
  expect(world.poll(2).priority).toBe(true)
  expect(world.tryTake({ ofd: 2, process: 2, mode: 'write' })).toBe('ETXTBSY')
})
