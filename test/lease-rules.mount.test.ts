/**
 * The rules of leases and pins on a real mount, asked with the documented ioctls: L1 to L6, L8, X1 to X3, X5,
 * P1, P4, B1, B4, B5, B7, B8. How long leases live is in lease-lifetime.mount.test.ts.
 */
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { readEvents } from './support/events.js'
import { eventuallyTrue, staysPending } from './support/eventually.js'
import {
  ACTIVE,
  BREAKING,
  EXCLUSIVE,
  NORMAL,
  NOTIFY_ONLY,
  POLLERR,
  POLLIN,
  POLLOUT,
  POLLPRI,
  READ,
  REVOKED,
  START,
  WAIT,
  WRITE,
} from './support/ioctl.js'
import { listing } from './support/listing.js'
import { Sandbox, SOON_MS } from './support/sandbox.js'

const PAGE = 4096
const SIZE = 16 * PAGE
const KEEP_SIZE = 1
const PUNCH_HOLE = 2
const ZERO_RANGE = 16
const COLLAPSE_RANGE = 8
const INSERT_RANGE = 32
/** Long enough for a test to do something during a break, short enough to see its end. */
const BREAK_MS = 1_200

let box: Sandbox
let file: string
let counter = 0
let a: Agent
let b: Agent
let fa: number
let fb: number
let open: Agent[] = []

beforeAll(async () => {
  box = await Sandbox.create()
  await box.must('mkdir tree && chmod 777 tree')
  await box.mount(path.join(box.work, 'tree'))
})

afterAll(async () => {
  await box.dispose()
})

/** Two processes, each with its own open file description of a fresh file. */
beforeEach(async () => {
  file = await box.file(`tree/file-${++counter}`, SIZE)
  a = await newAgent('a')
  b = await newAgent('b')
  fa = await a.open(file)
  fb = await b.open(file)
})

afterEach(async () => {
  for (const agent of open) agent.disconnect()
  open = []
  await eventuallyTrue('no lease is left', async () => (await listing(box, 'leases')).length === 0, SOON_MS)
})

async function newAgent(role: string): Promise<Agent> {
  const agent = await box.agent(`${role}-${counter}-${open.length}`)
  open.push(agent)
  return agent
}

async function asUser(uid: number, target = file, flags = 'rdonly'): Promise<{ agent: Agent; fd: number }> {
  const agent = await newAgent(`user-${uid}`)
  await agent.call('become', uid, uid)
  return { agent, fd: await agent.open(target, flags) }
}

describe('leases', () => {
  test('L1: without a lease nothing is refused', async () => {
    expect(await b.call('fallocate', fb, PUNCH_HOLE | KEEP_SIZE, 0, PAGE)).toBe('0')
    expect(await b.call('fallocate', fb, ZERO_RANGE, 0, PAGE)).toBe('0')
    expect(await b.call('truncate', file, 10)).toBe('0')
    expect(await b.open(file, 'rdwr|trunc')).toBeGreaterThan(2)
  })

  test('L1: a new lease is active, has an id above 0, and reads back the same by GETLEASE', async () => {
    const lease = await a.setLease(fa, { start: PAGE, length: 2 * PAGE, mode: WRITE })
    expect(lease).toMatchObject({ mode: WRITE, flags: EXCLUSIVE, state: ACTIVE, pins: 0 })
    expect(lease.id).toBeGreaterThan(0n)
    const read = await a.getLease(fa)
    expect(read).toEqual({ errno: 'ok', value: lease })
  })

  test('L3: read leases of two OFDs on one range stand together, normal or exclusive', async () => {
    for (const flags of [NORMAL, EXCLUSIVE]) {
      await a.setLease(fa, { flags })
      await b.setLease(fb, { flags })
    }
    expect(await listing(box, 'leases')).toHaveLength(4)
  })

  test('L4: leases of one OFD never conflict, and ids are never used again', async () => {
    const first = await a.setLease(fa, { mode: WRITE })
    const second = await a.setLease(fa, { mode: WRITE })
    await a.release(fa, second.id)
    await a.release(fa, first.id)
    const third = await a.setLease(fa, { mode: READ })
    expect(third.id).toBeGreaterThan(second.id)
  })

  test('L4: GETLEASE goes through the leases of this OFD by id, ENOENT after the last', async () => {
    const ids = []
    for (const start of [0, PAGE, 2 * PAGE]) ids.push((await a.setLease(fa, { start, length: PAGE })).id)
    await b.setLease(fb)
    const seen = []
    for (let at = 0n; ; ) {
      const next = await a.getLease(fa, at)
      if (!('value' in next)) {
        expect(next.errno).toBe('ENOENT')
        break
      }
      at = next.value.id
      seen.push(at)
    }
    expect(seen).toEqual(ids)
  })

  test('L4: setting with an id changes mode and level in place; the range stays', async () => {
    const { id } = await a.setLease(fa, { start: 0, length: PAGE, mode: WRITE, flags: EXCLUSIVE })
    const changed = await a.setLease(fa, { id, mode: READ, flags: NORMAL, breakMs: BREAK_MS })
    expect(changed).toMatchObject({ id, start: 0n, length: BigInt(PAGE), mode: READ, flags: NORMAL })
    expect(await a.setLease(fa, { id, mode: READ, flags: EXCLUSIVE })).toMatchObject({ id, flags: EXCLUSIVE })
    expect(await listing(box, 'leases')).toHaveLength(1)
  })

  test('L4: another OFD’s id is ENOENT, for changing, releasing and owning', async () => {
    const { id } = await a.setLease(fa)
    expect((await b.trySetLease(fb, { id })).errno).toBe('ENOENT')
    expect(await b.release(fb, id)).toBe('ENOENT')
    expect(await b.setOwner(fb, { lease: id, op: 1 })).toBe('ENOENT')
    expect((await b.trySetLease(fb, { id: 999_999n })).errno).toBe('ENOENT')
  })

  test('L6: a conflicting exclusive lease gives ETXTBSY, a normal one EAGAIN', async () => {
    const { id } = await a.setLease(fa, { mode: WRITE, flags: EXCLUSIVE })
    expect((await b.trySetLease(fb, { mode: READ })).errno).toBe('ETXTBSY')
    await a.setLease(fa, { id, mode: WRITE, flags: NORMAL })
    expect((await b.trySetLease(fb, { mode: READ })).errno).toBe('EAGAIN')
    await a.setLease(fa, { id, mode: READ, flags: NORMAL })
    expect((await b.trySetLease(fb, { mode: WRITE })).errno).toBe('EAGAIN')
  })

  test('L6: ranges that only touch do not conflict; length 0 goes to the end, wherever that is', async () => {
    await a.setLease(fa, { start: 0, length: PAGE, mode: WRITE })
    await b.setLease(fb, { start: PAGE, length: PAGE, mode: WRITE })
    await b.setLease(fb, { start: 10 * PAGE, length: 0, mode: WRITE })
    expect((await a.trySetLease(fa, { start: 1_000 * PAGE, length: 1, mode: READ })).errno).toBe('ETXTBSY')
  })

  test('L6: WAIT waits until the other lets go, and is then granted', async () => {
    const { id } = await a.setLease(fa, { mode: WRITE, flags: NORMAL })
    const waiting = b.trySetLease(fb, { mode: WRITE, flags: NORMAL | WAIT })
    await staysPending('SETLEASE with WAIT', waiting)
    expect(await a.poll(fa, POLLPRI)).toBe(POLLPRI)
    expect(await a.release(fa, id)).toBe('ok')
    expect(await waiting).toMatchObject({ errno: 'ok', value: { state: ACTIVE } })
  })

  test('L6: START answers EAGAIN at once, breaks the lease, and POLLPRI tells when to try again', async () => {
    const { id } = await a.setLease(fa, { mode: WRITE, flags: NORMAL })
    expect((await b.trySetLease(fb, { mode: WRITE, flags: NORMAL | START })).errno).toBe('EAGAIN')
    expect(await a.getLease(fa)).toMatchObject({ value: { state: BREAKING } })
    expect(await b.poll(fb, POLLPRI)).toBe(0)
    const told = b.poll(fb, POLLPRI, 5_000)
    await a.release(fa, id)
    expect(await told).toBe(POLLPRI)
    await b.setLease(fb, { mode: WRITE, flags: NORMAL })
  })

  test('L6: nobody starves a breaker: a new conflicting lease is EAGAIN while a truncate waits', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: BREAK_MS })
    const truncating = b.call('truncate', file, 0)
    await eventuallyTrue('the break has begun', async () => (await a.poll(fa, POLLPRI)) === POLLPRI)
    const late = await newAgent('late')
    expect((await late.trySetLease(await late.open(file), { flags: NORMAL })).errno).toBe('EAGAIN')
    await a.release(fa, id)
    expect(await truncating).toBe('0')
  })

  test('L8: an exclusive lease by a stranger with a read-only descriptor is EPERM', async () => {
    await box.must('chmod 666 "$1"', { args: [file] })
    const { agent, fd } = await asUser(4711)
    expect((await agent.trySetLease(fd, { flags: EXCLUSIVE })).errno).toBe('EPERM')
  })

  test('L8: the owner of the file may, with a read-only descriptor; so may anyone with a writable one, and root', async () => {
    await box.must('chmod 666 "$1"; chown 4711 "$1"', { args: [file] })
    const owner = await asUser(4711)
    await owner.agent.setLease(owner.fd, { flags: EXCLUSIVE })
    const writer = await asUser(4712, file, 'rdwr')
    await writer.agent.setLease(writer.fd, { flags: EXCLUSIVE })
    await a.setLease(await a.open(file, 'rdonly'), { flags: EXCLUSIVE })
  })

  test('L8: a normal lease of a stranger is notify-only: the change does not wait', async () => {
    await box.must('chmod 644 "$1"', { args: [file] })
    const { agent, fd } = await asUser(4711)
    const lease = await agent.setLease(fd, { flags: NORMAL })
    expect(lease.flags).toBe(NOTIFY_ONLY)
    const start = performance.now()
    expect(await b.call('truncate', file, 0)).toBe('0')
    expect(performance.now() - start).toBeLessThan(SOON_MS)
  })

  test('L8: rights are checked when the lease is taken, not again', async () => {
    await box.must('chown 4711 "$1"', { args: [file] })
    const { agent, fd } = await asUser(4711)
    await agent.setLease(fd, { flags: EXCLUSIVE })
    await box.must('chown 0 "$1"; chmod 600 "$1"', { args: [file] })
    expect(await b.call('truncate', file, 0)).toBe('ETXTBSY')
  })
})

describe('exclusive leases', () => {
  test.each<[string, (agent: Agent, fd: number) => Promise<string>]>([
    ['truncate', (agent) => agent.call('truncate', file, 0)],
    ['ftruncate', (agent, fd) => agent.call('ftruncate', fd, SIZE - 1)],
    ['open with O_TRUNC', (agent) => agent.call('open', file, 'rdwr|trunc')],
    ['open with O_TRUNC, read-only', (agent) => agent.call('open', file, 'rdonly|trunc')],
    ['open with O_CREAT and O_TRUNC', (agent) => agent.call('open', file, 'wronly|creat|trunc')],
    ['PUNCH_HOLE', (agent, fd) => agent.call('fallocate', fd, PUNCH_HOLE | KEEP_SIZE, PAGE, PAGE)],
    ['ZERO_RANGE', (agent, fd) => agent.call('fallocate', fd, ZERO_RANGE, PAGE, PAGE)],
    [
      'ZERO_RANGE with KEEP_SIZE',
      (agent, fd) => agent.call('fallocate', fd, ZERO_RANGE | KEEP_SIZE, PAGE, PAGE),
    ],
  ])('X1: %s is ETXTBSY for others, EDEADLK for an owner', async (_name, change) => {
    await a.setLease(fa)
    expect(await change(b, fb)).toBe('ETXTBSY')
    expect(await change(a, fa)).toBe('EDEADLK')
    expect(await b.call('fstat', fb)).toMatch(new RegExp(`^${SIZE} `))
  })

  test.each([
    ['COLLAPSE_RANGE', COLLAPSE_RANGE],
    ['INSERT_RANGE', INSERT_RANGE],
  ])('layout table: %s is refused by FUSE itself (EOPNOTSUPP)', async (_name, mode) => {
    await a.setLease(fa)
    expect(await b.call('fallocate', fb, mode, 0, PAGE)).toBe('EOPNOTSUPP')
  })

  test('layout table: growing and writing are no layout change', async () => {
    await a.setLease(fa)
    expect(await b.call('truncate', file, SIZE + 100)).toBe('0')
    expect(await b.call('truncate', file, SIZE + 100)).toBe('0')
    expect(await b.call('fallocate', fb, 0, 0, SIZE + PAGE)).toBe('0')
    expect(await b.call('fallocate', fb, KEEP_SIZE, SIZE, PAGE)).toBe('0')
    expect(await b.call('write', fb, SIZE, '6162')).toBe('2')
    expect(await b.call('write', fb, 0, '6162')).toBe('2')
    expect(await b.call('chmod', file, '600')).toBe('0')
    const map = await b.number('mmap', fb, 0, PAGE, 'rws')
    expect(await b.call('poke', map, 5, 66)).toBe('66')
  })

  test('layout table: copy_file_range into a leased file copies the bytes', async () => {
    await a.setLease(fa)
    const source = await b.open(await box.file(`tree/source-${counter}`, SIZE))
    await b.call('write', source, 0, '424242')
    expect(await b.call('copyrange', source, 0, fb, 0, PAGE)).toBe(String(PAGE))
    expect(await a.call('read', fa, 0, 4)).toBe('4 42424241')
  })

  test('layout table: a range outside of the change is not touched by it', async () => {
    await a.setLease(fa, { start: 4 * PAGE, length: 4 * PAGE })
    const punch = (page: number): Promise<string> => {
      return b.call('fallocate', fb, PUNCH_HOLE | KEEP_SIZE, page * PAGE, PAGE)
    }
    expect([await punch(3), await punch(8)]).toEqual(['0', '0'])
    expect([await punch(4), await punch(7)]).toEqual(['ETXTBSY', 'ETXTBSY'])
    expect(await b.call('ftruncate', fb, 8 * PAGE)).toBe('0')
    expect(await b.call('ftruncate', fb, 8 * PAGE - 1)).toBe('ETXTBSY')
  })

  test('X1: every hard link is the file', async () => {
    await a.setLease(fa)
    await b.call('link', file, `${file}-link`)
    expect(await b.call('truncate', `${file}-link`, 0)).toBe('ETXTBSY')
    await b.call('rename', file, `${file}-renamed`)
    expect(await b.call('truncate', `${file}-renamed`, 0)).toBe('ETXTBSY')
  })

  test('X1: a change by another thread of an owner is EDEADLK, by its child ETXTBSY', async () => {
    await a.setLease(fa)
    expect(await a.call('thread', 'ftruncate', fa, 0)).toBe('EDEADLK')
    const child = await a.fork(`child-${counter}`)
    open.push(child)
    expect(await child.call('ftruncate', fa, 0)).toBe('ETXTBSY')
  })

  test('X1: with two exclusive leases, an owner of one of them gets EDEADLK', async () => {
    await a.setLease(fa)
    await b.setLease(fb)
    expect(await a.call('ftruncate', fa, 0)).toBe('EDEADLK')
    expect(await b.call('ftruncate', fb, 0)).toBe('EDEADLK')
    expect(await (await newAgent('c')).call('truncate', file, 0)).toBe('ETXTBSY')
  })

  test('X2: a refused change breaks nothing: the normal lease on the same range stays active', async () => {
    await a.setLease(fa, { flags: EXCLUSIVE })
    const normal = await b.setLease(fb, { flags: NORMAL })
    const c = await newAgent('c')
    expect(await c.call('truncate', file, 0)).toBe('ETXTBSY')
    expect(await b.poll(fb, POLLPRI)).toBe(0)
    expect(await b.getLease(fb)).toMatchObject({ value: { id: normal.id, state: ACTIVE } })
  })

  test('X3: owners get a `refused` event with the offender’s pid, command, operation and range', async () => {
    const events = await readEvents(box, file)
    const { id } = await a.setLease(fa)
    await b.call('fallocate', fb, PUNCH_HOLE | KEEP_SIZE, PAGE, 2 * PAGE)
    const refused = await events.next((event) => event.event === 'refused')
    expect(refused).toMatchObject({
      lease: Number(id),
      file,
      offender: { pid: b.pid, operation: 'punch-hole', start: PAGE, length: 2 * PAGE, errno: 'ETXTBSY' },
    })
    expect(JSON.stringify(refused.offender)).toContain('leasectl')
    expect(Math.abs(Date.parse(String(refused.time)) - Date.now())).toBeLessThan(60_000)
    await b.call('truncate', file, 0)
    expect(await events.next((event) => event.event === 'refused')).toMatchObject({
      offender: { pid: b.pid, operation: 'truncate', start: 0 },
    })
    await b.call('open', file, 'rdwr|trunc')
    expect(await events.next((event) => event.event === 'refused')).toMatchObject({
      offender: { pid: b.pid, operation: 'open-truncate' },
    })
    await events.stop()
  })

  test.each([
    ['normal', NORMAL],
    ['exclusive', EXCLUSIVE],
  ])('X5: under its own %s write lease an owner may change the layout', async (_name, flags) => {
    await a.setLease(fa, { mode: WRITE, flags })
    expect(await a.call('ftruncate', fa, SIZE - PAGE)).toBe('0')
    expect(await a.call('truncate', file, SIZE - 2 * PAGE)).toBe('0')
    expect(await a.call('fallocate', fa, PUNCH_HOLE | KEEP_SIZE, 0, PAGE)).toBe('0')
  })

  test('X5: a change through the leased OFD itself is allowed for any process that has it', async () => {
    await a.setLease(fa, { mode: WRITE, flags: EXCLUSIVE })
    const child = await a.fork(`child-${counter}`)
    open.push(child)
    expect(await child.call('ftruncate', fa, SIZE - PAGE)).toBe('0')
    expect(await child.call('truncate', file, 0)).toBe('ETXTBSY')
  })

  test('X5: where pins are, even the owner of a write lease gets EDEADLK', async () => {
    const { id } = await a.setLease(fa, { mode: WRITE, flags: EXCLUSIVE })
    await a.pin(fa, id, 0, PAGE)
    expect(await a.call('fallocate', fa, PUNCH_HOLE | KEEP_SIZE, 0, PAGE)).toBe('EDEADLK')
    expect(await a.call('fallocate', fa, PUNCH_HOLE | KEEP_SIZE, PAGE, PAGE)).toBe('0')
    expect(await a.call('ftruncate', fa, PAGE)).toBe('0')
    expect(await a.call('ftruncate', fa, PAGE - 1)).toBe('EDEADLK')
  })
})

describe('pins', () => {
  test('P1: a pin needs an exclusive lease', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL })
    expect((await a.tryPin(fa, id, 0, PAGE)).errno).toBe('EPERM')
  })

  test('P1: a pin needs a lease that covers its range', async () => {
    const { id } = await a.setLease(fa, { start: PAGE, length: 2 * PAGE })
    expect((await a.tryPin(fa, id, 0, PAGE)).errno).toBe('EPERM')
    expect((await a.tryPin(fa, id, 2 * PAGE, 2 * PAGE)).errno).toBe('EPERM')
    expect((await a.tryPin(fa, id, PAGE, 0)).errno).toBe('EPERM')
    expect((await a.tryPin(fa, id, PAGE, 2 * PAGE)).errno).toBe('ok')
  })

  test('P1: a pin needs an owner: neither a stranger nor a former owner', async () => {
    const { id } = await a.setLease(fa)
    expect((await b.tryPin(fb, id, 0, PAGE)).errno).toMatch(/^(EPERM|ENOENT)$/)
    await a.setOwner(fa, { lease: id, op: 2 })
    expect((await a.tryPin(fa, id, 0, PAGE)).errno).toBe('EPERM')
  })

  test('P4: a pinned lease is neither released nor downgraded below exclusive: EBUSY', async () => {
    const { id } = await a.setLease(fa, { mode: WRITE })
    const pin = await a.pin(fa, id, 0, PAGE)
    expect(await a.release(fa, id)).toBe('EBUSY')
    expect((await a.trySetLease(fa, { id, mode: WRITE, flags: NORMAL })).errno).toBe('EBUSY')
    expect((await a.trySetLease(fa, { id, mode: READ, flags: EXCLUSIVE })).errno).toBe('ok')
    expect(await a.getLease(fa)).toMatchObject({ value: { pins: 1, flags: EXCLUSIVE, state: ACTIVE } })
    await a.unpin(fa, pin.id)
    expect(await a.release(fa, id)).toBe('ok')
  })

  test('P4: releasing all leases of an OFD is all or nothing', async () => {
    const first = await a.setLease(fa, { start: 0, length: PAGE })
    const second = await a.setLease(fa, { start: PAGE, length: PAGE })
    const pin = await a.pin(fa, second.id, PAGE, PAGE)
    expect(await a.release(fa, 0)).toBe('EBUSY')
    expect(await a.getLease(fa)).toMatchObject({ value: { id: first.id } })
    await a.unpin(fa, pin.id)
    expect(await a.release(fa, 0)).toBe('ok')
    expect((await a.getLease(fa)).errno).toBe('ENOENT')
  })

  test('X1: a pin refuses like its lease: ETXTBSY for others, EDEADLK for its process', async () => {
    const { id } = await a.setLease(fa)
    await a.pin(fa, id, 0, PAGE)
    expect(await b.call('truncate', file, 0)).toBe('ETXTBSY')
    expect(await a.call('truncate', file, 0)).toBe('EDEADLK')
  })
})

describe('breaking a normal lease', () => {
  async function broken(): Promise<void> {
    await eventuallyTrue('the break has begun', async () => (await a.poll(fa, POLLPRI)) === POLLPRI)
  }

  test('poll: a file is always readable and writable; POLLPRI and POLLERR only in a break', async () => {
    await a.setLease(fa)
    expect(await a.poll(fa, POLLIN | POLLOUT | POLLPRI)).toBe(POLLIN | POLLOUT)
  })

  test.each<[string, (agent: Agent, fd: number) => Promise<string>]>([
    ['truncate', (agent) => agent.call('truncate', file, 0)],
    ['ftruncate', (agent, fd) => agent.call('ftruncate', fd, 0)],
    ['PUNCH_HOLE', (agent, fd) => agent.call('fallocate', fd, PUNCH_HOLE | KEEP_SIZE, 0, PAGE)],
    ['open with O_TRUNC', (agent) => agent.number('open', file, 'rdwr|trunc').then(() => '0')],
  ])('B1, B3, B4: %s waits until the lease is released, then goes ahead', async (_name, change) => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const changing = change(b, fb)
    await broken()
    await staysPending('the change', changing)
    const state = await a.getLease(fa)
    expect(state).toMatchObject({ value: { state: BREAKING } })
    if ('value' in state) expect(state.value.breakMs).toBeLessThanOrEqual(10_000)
    const start = performance.now()
    await a.release(fa, id)
    expect(await changing).toBe('0')
    expect(performance.now() - start).toBeLessThan(1_000)
  })

  test('B3: closing the last descriptor answers a break', async () => {
    await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const changing = b.call('truncate', file, 0)
    await broken()
    await a.call('close', fa)
    expect(await changing).toBe('0')
  })

  test('B3: downgrading from write to read answers a conflicting read request', async () => {
    const { id } = await a.setLease(fa, { mode: WRITE, flags: NORMAL, breakMs: 10_000 })
    const waiting = b.trySetLease(fb, { mode: READ, flags: NORMAL | WAIT })
    await broken()
    await a.setLease(fa, { id, mode: READ, flags: NORMAL })
    expect((await waiting).errno).toBe('ok')
    expect(await a.poll(fa, POLLPRI)).toBe(0)
  })

  test('L4: a lease that is breaking cannot be upgraded (EAGAIN)', async () => {
    const { id } = await a.setLease(fa, { mode: READ, flags: NORMAL, breakMs: 10_000 })
    const changing = b.call('truncate', file, 0)
    await broken()
    expect((await a.trySetLease(fa, { id, mode: WRITE, flags: NORMAL })).errno).toBe('EAGAIN')
    expect((await a.trySetLease(fa, { id, mode: READ, flags: EXCLUSIVE })).errno).toBe('EAGAIN')
    await a.release(fa, id)
    expect(await changing).toBe('0')
  })

  test('P1: a breaking lease pins nothing', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const changing = b.call('truncate', file, 0)
    await broken()
    expect((await a.tryPin(fa, id, 0, PAGE)).errno).toBe('EPERM')
    await a.release(fa, id)
    await changing
  })

  test('B5: a lease not given up in time is revoked: POLLERR, listed as revoked, the change goes ahead', async () => {
    const events = await readEvents(box, file)
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: BREAK_MS })
    const start = performance.now()
    expect(await b.call('truncate', file, 0)).toBe('0')
    const took = performance.now() - start
    expect(took).toBeGreaterThanOrEqual(BREAK_MS - 10)
    expect(took).toBeLessThan(BREAK_MS + 1_000)
    expect(await a.poll(fa, POLLPRI)).toBe(POLLERR)
    expect(await a.getLease(fa)).toMatchObject({ value: { id, state: REVOKED } })
    expect(await listing(box, 'leases')).toMatchObject([{ id: Number(id), state: 'revoked' }])
    expect(await events.next((event) => event.event === 'revoked')).toMatchObject({ lease: Number(id) })
    expect((await a.tryPin(fa, id, 0, PAGE)).errno).toBe('EPERM')
    expect(await b.call('truncate', file, 0)).toBe('0')
    expect(await a.release(fa, id)).toBe('ok')
    expect(await a.poll(fa, POLLPRI)).toBe(0)
    await events.stop()
  })

  test('B1: all waiting parties share one break: reads and stores go on meanwhile', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const map = await a.number('mmap', fa, 0, SIZE, 'rws')
    const changing = b.call('truncate', file, 0)
    await broken()
    expect(await a.call('read', fa, 0, 2)).toBe('2 4141')
    expect(await a.call('poke', map, 1, 66)).toBe('66')
    await a.call('munmap', map)
    await a.release(fa, id)
    expect(await changing).toBe('0')
  })

  test('B4: two breakers of two ranges of a file share the release and both go ahead', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const c = await newAgent('c')
    const changes = [b.call('truncate', file, 2 * PAGE), c.call('truncate', file, PAGE)]
    await broken()
    await a.release(fa, id)
    expect(await Promise.all(changes)).toEqual(['0', '0'])
  })

  test('B7: a signal to the breaker: EINTR, the file is unchanged, the break goes on', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const changing = b.call('truncate', file, 0)
    await broken()
    b.signal('SIGUSR1')
    expect(await changing).toBe('EINTR')
    expect(await b.call('fstat', fb)).toMatch(new RegExp(`^${SIZE} `))
    expect(await a.poll(fa, POLLPRI)).toBe(POLLPRI)
    expect(await a.getLease(fa)).toMatchObject({ value: { id, state: BREAKING } })
  })

  test('B7: a signal to a waiting SETLEASE: EINTR', async () => {
    await a.setLease(fa, { mode: WRITE, flags: NORMAL, breakMs: 10_000 })
    const waiting = b.trySetLease(fb, { mode: WRITE, flags: NORMAL | WAIT })
    await broken()
    b.signal('SIGUSR1')
    expect((await waiting).errno).toBe('EINTR')
  })

  test('B7: a breaker that is killed with SIGKILL dies at once, and others go on', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    void b.call('truncate', file, 0)
    await broken()
    b.signal('SIGKILL')
    const dead = (): boolean => !box.processes().some((line) => line.pid === b.pid)
    await eventuallyTrue('the breaker is dead', dead, 1_000)
    await a.release(fa, id)
    expect(await a.call('fstat', fa)).toMatch(new RegExp(`^${SIZE} `))
  })

  test('B6: a breaker with O_NONBLOCK gets EAGAIN at once; the break goes on', async () => {
    await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const fd = await b.open(file, 'rdwr|nonblock')
    expect(await b.call('ftruncate', fd, 0)).toBe('EAGAIN')
    await broken()
  })

  test('B8: the only owner’s own change breaks its normal read lease at once, with `broken`, reason `self`', async () => {
    const events = await readEvents(box, file)
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const start = performance.now()
    expect(await a.call('ftruncate', fa, 0)).toBe('0')
    expect(performance.now() - start).toBeLessThan(1_000)
    const told = await events.next((event) => event.event === 'broken')
    expect(told).toMatchObject({ lease: Number(id), reason: 'self' })
    await events.stop()
  })

  test('B8: with another owner it is an ordinary break for that one', async () => {
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const child = await a.fork(`child-${counter}`)
    open.push(child)
    await child.setOwner(fa, { lease: id, op: 1 })
    const changing = a.call('ftruncate', fa, 0)
    await eventuallyTrue('the break has begun', async () => (await child.poll(fa, POLLPRI)) === POLLPRI)
    await staysPending('the change', changing)
    await child.release(fa, id)
    expect(await changing).toBe('0')
  })

  test('B2: poll in every process that shares the OFD wakes, and the event names lease and offender', async () => {
    const events = await readEvents(box, file)
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const children = [await a.fork(`one-${counter}`), await a.fork(`two-${counter}`)]
    open.push(...children)
    const woken = [a, ...children].map((agent) => agent.poll(fa, POLLPRI, 5_000))
    const changing = b.call('truncate', file, 0)
    expect(await Promise.all(woken)).toEqual([POLLPRI, POLLPRI, POLLPRI])
    const told = await events.next((event) => event.event === 'break')
    expect(told).toMatchObject({ lease: Number(id), offender: { pid: b.pid, operation: 'truncate' } })
    await a.release(fa, id)
    await changing
    expect(events.all().filter((event) => event.event === 'break')).toHaveLength(1)
    await events.stop()
  })
})

describe('limits', () => {
  test('L9: over the limit of leases or pins a user gets ENOLCK, others do not', async () => {
    const tree = path.join(box.work, 'limited')
    await box.must('mkdir limited && chmod 777 limited && echo text > limited/data && chmod 666 limited/data')
    await box.mount(tree, '--max-leases', '3', '--max-pins', '2')
    const target = path.join(tree, 'data')
    const user = await asUser(4711, target, 'rdwr')
    const leases = []
    for (let i = 0; i < 3; i++) leases.push(await user.agent.setLease(user.fd))
    expect((await user.agent.trySetLease(user.fd)).errno).toBe('ENOLCK')
    const again = await asUser(4711, target, 'rdwr')
    expect((await again.agent.trySetLease(again.fd)).errno).toBe('ENOLCK')
    const other = await asUser(4712, target, 'rdwr')
    await other.agent.setLease(other.fd)
    const lease = leases[0]?.id ?? 0n
    await user.agent.pin(user.fd, lease, 0, 1)
    await user.agent.pin(user.fd, lease, 1, 1)
    expect((await user.agent.tryPin(user.fd, lease, 2, 1)).errno).toBe('ENOLCK')
    await user.agent.release(user.fd, leases[1]?.id ?? 0n)
    expect((await again.agent.trySetLease(again.fd)).errno).toBe('ok')
    for (const agent of open) agent.disconnect()
    await eventuallyTrue('no lease is left', async () => (await listing(box, 'leases')).length === 0)
    expect((await box.umount(tree)).code).toBe(0)
  })
})
