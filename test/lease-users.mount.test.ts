/** Two users with real uids on one mount: what each may see, take, revoke, end and be refused (L8, L9, R1, X4). */
import { describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { command } from './support/control.js'
import { EventReader, readEvents, readEventsOf } from './support/events.js'
import { eventuallyTrue, staysPending } from './support/eventually.js'
import { EXCLUSIVE, NORMAL, NOTIFY_ONLY, POLLPRI, READ, START, WAIT, WRITE } from './support/ioctl.js'
import type { Row } from './support/listing.js'
import { HOLDFAST } from './support/programs.js'
import { isAlive, PAGE, scene } from './support/scene.js'

const A = 4711
const B = 4712
const LIMIT = 4

const s = scene('--max-leases', String(LIMIT), '--max-pins', String(LIMIT))

async function ownedBy(uid: number, mode = '644'): Promise<void> {
  await s.box.must('chown "$2:$2" "$1" && chmod "$3" "$1"', { args: [s.file, String(uid), mode] })
}

function asUser(uid: number, ...argv: string[]): string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...argv]
}

async function rows(uid: number, ...listing: string[]): Promise<Row[]> {
  const { stdout, stderr } = await s.box.exec(asUser(uid, HOLDFAST, ...listing, '--json'))
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Row[]
}

async function eventsFor(uid: number): Promise<EventReader> {
  const running = s.box.start(asUser(uid, 'cat', `${s.control}/events`))
  const probe = await s.agent('probe', uid)
  // The reader is there when an event that both may see has arrived.
  const own = `${s.tree}/own-${uid}-${performance.now()}`
  const fd = await probe.open(own, 'rdwr|creat')
  const reader = new EventReader(running)
  await eventuallyTrue(`${uid} reads events`, async () => {
    const { id } = await probe.setLease(fd)
    await probe.release(fd, id)
    return reader.all().length > 0
  })
  await probe.call('close', fd)
  return reader
}

async function opened(role: string, uid: number, flags = 'rdwr'): Promise<{ agent: Agent; fd: number }> {
  const agent = await s.agent(role, uid)
  return { agent, fd: await agent.open(s.file, flags) }
}

describe('seeing', () => {
  test('R1: leases, pins, waiting operations and events are for who takes them, who owns the file, and root', async () => {
    await ownedBy(A, '666')
    const [seesA, seesB, seesNone] = [await eventsFor(A), await eventsFor(B), await eventsFor(4713)]
    const b = await opened('b', B)
    const { id } = await b.agent.setLease(b.fd)
    await b.agent.pin(b.fd, id)
    for (const [uid, count] of [
      [A, 1],
      [B, 1],
      [4713, 0],
      [0, 1],
    ] as const) {
      expect(await rows(uid, 'leases')).toHaveLength(count)
      expect(await rows(uid, 'pins')).toHaveLength(count)
    }
    const isPinned = (event: { event: string; file?: unknown }) =>
      event.event === 'pinned' && event.file === s.file
    for (const events of [seesA, seesB])
      expect(await events.next(isPinned)).toMatchObject({ lease: Number(id), uid: B })
    expect(seesNone.all().some((event) => event.file === s.file)).toBe(false)
    for (const events of [seesA, seesB, seesNone]) await events.stop()
  })

  test('R1, X3: who was refused is told so too, and by whom; but lists nothing of it', async () => {
    await ownedBy(A, '666')
    const seesB = await eventsFor(B)
    const a = await opened('a', A)
    const { id } = await a.agent.setLease(a.fd)
    const b = await opened('b', B)
    expect(await b.agent.call('ftruncate', b.fd, 0)).toBe('ETXTBSY')
    const refused = await seesB.next((event) => event.event === 'refused')
    expect(refused).toMatchObject({
      lease: Number(id),
      file: s.file,
      start: 0,
      length: 0,
      owners: [{ pid: a.agent.pid }],
      offender: { pid: b.agent.pid, operation: 'truncate', start: 0, errno: 'ETXTBSY' },
    })
    expect(seesB.all().filter((event) => event.file === s.file)).toHaveLength(1)
    expect(await rows(B, 'leases')).toEqual([])
    await seesB.stop()
  })

  test('R1: who is an owner by a descriptor that was sent sees the lease and its events', async () => {
    await ownedBy(A, '600')
    const seesB = await eventsFor(B)
    const a = await opened('a', A)
    const b = await s.agent('b', B)
    const { id } = await a.agent.setLease(a.fd, { flags: NORMAL, breakMs: 10_000 })
    expect(await a.agent.call('sendfd', a.fd, b.name)).toBe('1')
    const fd = await b.number('recvfd')
    await b.setOwner(fd, { lease: id, op: 1 })
    expect(await rows(B, 'leases')).toMatchObject([{ id: Number(id), uid: A }])
    const root = await s.agent('root')
    expect(await root.call('open', s.file, 'rdwr|trunc|nonblock')).toBe('EAGAIN')
    expect(await seesB.next((event) => event.event === 'break')).toMatchObject({ lease: Number(id) })
    await seesB.stop()
  })

  test('R4: who says what is in the way, also where the lease is not theirs to list', async () => {
    await ownedBy(A, '644')
    const a = await opened('a', A)
    const { id } = await a.agent.setLease(a.fd)
    const result = await s.box.exec(asUser(B, HOLDFAST, 'who', s.file))
    expect(result.code).toBe(0)
    expect(result.stdout).toContain('nobody that you may see holds it')
    expect(result.stdout).toContain(`truncating it fails because of lease ${id} of ${a.agent.pid}(leasectl`)
    expect(result.stdout).toContain('ETXTBSY')
  })

  test('R4: who names holders, pins, what was refused, and who waits', async () => {
    const holder = await s.agent('holder')
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { start: 0, length: PAGE })
    await holder.pin(fd, id, 0, 16)
    const normal = await holder.setLease(fd, { start: PAGE, length: PAGE, flags: NORMAL, breakMs: 10_000 })
    const loser = await s.agent('loser')
    expect(await loser.call('truncate', s.file, 1)).toBe('ETXTBSY')
    const waiter = await s.agent('waiter')
    const waiting = waiter.call('truncate', s.file, PAGE)
    await s.becomes('breaking', normal.id)
    const text = (await s.box.holdfast('who', s.file)).stdout
    expect(text).toContain(`exclusive read lease ${id} on 0+${PAGE}, held by ${holder.pid}(`)
    expect(text).toMatch(new RegExp(`0\\+16 pinned by ${holder.pid}\\(`))
    expect(text).toMatch(
      new RegExp(`lease ${id} has refused once, last at \\S+: truncate on 1\\+end by ${loser.pid}\\(`),
    )
    expect(text).toMatch(
      new RegExp(`${waiter.pid}\\(leasectl\\S*\\) has waited \\d+s with truncate on ${PAGE}\\+end`),
    )
    const json: unknown = JSON.parse((await s.box.holdfast('who', s.file, '--json')).stdout)
    expect(json).toMatchObject({
      file: s.file,
      leases: [
        { refused: { count: 1, last: { pid: loser.pid, errno: 'ETXTBSY' } } },
        { id: Number(normal.id) },
      ],
      pins: [{ length: 16 }],
      waiting: [{ pid: waiter.pid, operation: 'truncate', start: PAGE, length: 0 }],
      truncate: { code: 'ETXTBSY', lease: Number(id), pid: holder.pid },
    })
    await holder.release(fd, normal.id)
    expect(await waiting).toBe('0')
  })
})

describe('taking', () => {
  test('L8: a user who may only read takes no exclusive lease, and a normal one of theirs delays nobody', async () => {
    await ownedBy(A)
    const b = await opened('b', B, 'rdonly')
    const a = await opened('a', A)
    expect((await b.agent.trySetLease(b.fd)).errno).toBe('EPERM')
    const lease = await b.agent.setLease(b.fd, { flags: NORMAL, breakMs: 10_000 })
    expect(lease.flags).toBe(NOTIFY_ONLY)
    await b.agent.call('catch', 12)
    await b.agent.setOwner(b.fd, { lease: lease.id, op: 1, signo: 12, value: 4 })
    const told = b.agent.poll(b.fd, POLLPRI, 5_000)
    const start = performance.now()
    expect(await a.agent.call('ftruncate', a.fd, PAGE)).toBe('0')
    expect(performance.now() - start).toBeLessThan(1_000)
    expect(await told).toBe(POLLPRI)
    expect(await b.agent.caught()).toMatchObject([{ signo: 12, value: 4 }])
  })

  test('L8: nor does it make the owner wait for a lease, and it breaks none of theirs', async () => {
    await ownedBy(A)
    const b = await opened('b', B, 'rdonly')
    const a = await opened('a', A)
    await b.agent.setLease(b.fd, { flags: NORMAL })
    const write = await a.agent.setLease(a.fd, { mode: WRITE, flags: NORMAL })
    const again = await opened('again', B, 'rdonly')
    for (const flags of [NORMAL, NORMAL | WAIT, NORMAL | START]) {
      expect((await again.agent.trySetLease(again.fd, { mode: READ, flags })).errno).toBe('EAGAIN')
    }
    expect(await a.agent.getLease(a.fd)).toMatchObject({ value: { id: write.id, state: 1 } })
  })

  test('L8: rights are those of the moment it was taken: a chown later changes nothing', async () => {
    await ownedBy(A)
    const a = await opened('a', A, 'rdonly')
    await a.agent.setLease(a.fd)
    await ownedBy(B)
    const b = await opened('b', B)
    expect(await b.agent.call('ftruncate', b.fd, 0)).toBe('ETXTBSY')
    // But the new owner can seize it (X4).
    expect(await rows(B, 'leases')).toHaveLength(1)
  })

  test('L9: at the limit of leases or pins it is ENOLCK for that user in any process, and others go on', async () => {
    await ownedBy(A, '666')
    const first = await opened('first', A)
    const taken: bigint[] = []
    for (let count = 0; count < LIMIT; count++) {
      taken.push((await first.agent.setLease(first.fd, { start: count * PAGE, length: PAGE })).id)
    }
    const second = await opened('second', A)
    for (const flags of [EXCLUSIVE, NORMAL, NORMAL | WAIT, NORMAL | START]) {
      expect((await second.agent.trySetLease(second.fd, { flags })).errno).toBe('ENOLCK')
    }
    const other = await opened('other', B)
    const others = await other.agent.setLease(other.fd)
    const [lease = 0n] = taken
    for (let start = 0; start < LIMIT; start++) await first.agent.pin(first.fd, lease, start, 1)
    expect((await first.agent.tryPin(first.fd, lease, LIMIT, 1)).errno).toBe('ENOLCK')
    expect((await first.agent.pin(first.fd, lease, 0, 1)).count).toBe(2)
    await other.agent.pin(other.fd, others.id)
    expect(await first.agent.release(first.fd, taken[1] ?? 0n)).toBe('ok')
    expect((await second.agent.trySetLease(second.fd)).errno).toBe('ok')
  })

  test('L9: leases that wait to be revoked by their user count until then; release-all makes room', async () => {
    await ownedBy(A, '666')
    const first = await opened('first', A)
    for (let count = 0; count < LIMIT; count++) await first.agent.setLease(first.fd)
    expect((await first.agent.trySetLease(first.fd)).errno).toBe('ENOLCK')
    expect(await command(first.agent, s.control, `release-all ${A}`)).toBe('ok')
    // Revoked they are still listed, and count, until their holder has let go of them.
    expect((await first.agent.trySetLease(first.fd)).errno).toBe('ENOLCK')
    expect(await first.agent.release(first.fd, 0)).toBe('ok')
    expect((await first.agent.trySetLease(first.fd)).errno).toBe('ok')
  })
})

describe('ending what is another’s', () => {
  test('neither releases, changes, owns, pins under nor unpins: ENOENT or EPERM, and nothing has changed', async () => {
    await ownedBy(A, '666')
    const a = await opened('a', A)
    const b = await opened('b', B)
    const { id } = await a.agent.setLease(a.fd)
    const pin = await a.agent.pin(a.fd, id)
    expect(await b.agent.release(b.fd, id)).toBe('ENOENT')
    expect((await b.agent.trySetLease(b.fd, { id, flags: NORMAL })).errno).toBe('ENOENT')
    expect(await b.agent.setOwner(b.fd, { lease: id, op: 1 })).toBe('ENOENT')
    expect((await b.agent.tryPin(b.fd, id, 0, 0)).errno).toBe('EPERM')
    expect(await b.agent.unpin(b.fd, pin.id)).toBe('ENOENT')
    expect(await command(b.agent, s.control, `revoke ${id}`)).toBe('ENOENT')
    expect(await s.leases()).toMatchObject([{ id: Number(id), state: 'active', pins: 1 }])
  })

  test('X4: the owner of a file ends what a squatter has on it, but kills none of their processes', async () => {
    await ownedBy(A, '666')
    const b = await opened('b', B)
    const a = await opened('a', A)
    const { id } = await b.agent.setLease(b.fd, { mode: WRITE })
    await b.agent.pin(b.fd, id)
    expect(await a.agent.call('ftruncate', a.fd, 0)).toBe('ETXTBSY')
    expect(await command(a.agent, s.control, `revoke ${id}`)).toBe('EBUSY')
    expect(await command(a.agent, s.control, `revoke ${id} kill`)).toBe('EPERM')
    expect(isAlive(s.box, b.agent.pid)).toBe(true)
    const root = await s.agent('root')
    expect(await command(root, s.control, `revoke ${id} kill`)).toBe('ok')
    await eventuallyTrue('the squatter is dead', () => !isAlive(s.box, b.agent.pid))
    expect(await a.agent.call('ftruncate', a.fd, 0)).toBe('0')
  })
})

describe('R3: every kind of event says what it is about', () => {
  test('time, lease, file, range, mode, level, owners; holder of a pin; offender of break and refused', async () => {
    const events = await readEvents(s.box, s.file)
    const a = await s.agent('a')
    const b = await s.agent('b')
    const fd = await a.open(s.file)
    const first = await a.setLease(fd, { mode: WRITE, start: 0, length: 2 * PAGE })
    const pin = await a.pin(fd, first.id, PAGE, 16)
    expect(await b.call('truncate', s.file, 0)).toBe('ETXTBSY')
    await a.unpin(fd, pin.id)
    await a.setLease(fd, { id: first.id, mode: READ, flags: NORMAL })
    expect(await b.call('open', s.file, 'rdwr|trunc|nonblock')).toBe('EAGAIN')
    await a.release(fd, first.id)
    await a.setLease(fd, { flags: NORMAL })
    await a.call('ftruncate', fd, 0)
    await a.release(fd, 0)
    const revoked = await a.setLease(fd, { flags: NORMAL, breakMs: 50 })
    const waiting = b.call('truncate', s.file, 0)
    await a.call('ftruncate', fd, 4)
    await waiting
    await a.release(fd, 0)
    const last = await a.setLease(fd)
    await a.pin(fd, last.id)
    await a.call('close', fd)
    await events.next((event) => event.event === 'zombie')
    a.signal('SIGKILL')
    await events.next((event) => event.event === 'gone')
    const seen = events.all()
    const kinds = new Set(seen.map((event) => event.event))
    const rules = [
      'granted',
      'break',
      'downgraded',
      'released',
      'broken',
      'refused',
      'pinned',
      'unpinned',
      'zombie',
      'gone',
    ]
    for (const kind of rules) expect(kinds).toContain(kind)
    for (const event of seen) {
      expect(event).toMatchObject({
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        lease: expect.any(Number),
        file: s.file,
        start: expect.any(Number),
        length: expect.any(Number),
        mode: expect.stringMatching(/^(read|write)$/),
        level: expect.stringMatching(/^(normal|exclusive)$/),
        owners: expect.any(Array),
      })
      if (event.event === 'pinned' || event.event === 'unpinned') {
        expect(event).toMatchObject({ pin: expect.any(Number), holder: { kind: 'process', pid: a.pid } })
      }
      if (event.event === 'break' || event.event === 'refused') {
        expect(event).toMatchObject({
          offender: {
            pid: b.pid,
            command: expect.stringMatching(/^leasectl/),
            operation: expect.any(String),
          },
        })
      }
    }
    expect(seen.find((event) => event.event === 'refused')).toMatchObject({
      offender: { operation: 'truncate', start: 0, length: 0, errno: 'ETXTBSY' },
      owners: [{ pid: a.pid }],
    })
    expect(revoked.id).toBeGreaterThan(0n)
    await events.stop()
  })

  test('R3: WAIT that breaks a lease names itself as operation `lease`, and is listed while it waits', async () => {
    const events = await readEventsOf(s.box, `${s.control}/events`)
    const a = await s.agent('a')
    const b = await s.agent('b')
    const fa = await a.open(s.file)
    const fb = await b.open(s.file)
    const { id } = await a.setLease(fa, { flags: NORMAL, breakMs: 10_000 })
    const waiting = b.trySetLease(fb, { mode: WRITE, flags: NORMAL | WAIT })
    expect(await events.next((event) => event.event === 'break')).toMatchObject({
      offender: { pid: b.pid, operation: 'lease', start: 0, length: 0 },
    })
    await staysPending('the request', waiting)
    const { stdout } = await s.box.holdfast('who', s.file)
    expect(stdout).toContain(`${b.pid}(`)
    expect(stdout).toContain('with a lease request on whole file')
    await a.release(fa, id)
    expect((await waiting).errno).toBe('ok')
    await events.stop()
  })
})

describe('metrics', () => {
  test('Prometheus text that agrees with what is there, for everybody to read', async () => {
    const a = await s.agent('a')
    const b = await s.agent('b')
    const fd = await a.open(s.file)
    const { id } = await a.setLease(fd, { start: 0, length: PAGE })
    await a.pin(fd, id, 0, PAGE)
    expect(await b.call('truncate', s.file, 0)).toBe('ETXTBSY')
    await a.setLease(fd, { start: PAGE, length: PAGE, flags: NORMAL, breakMs: 10_000 })
    void b.call('truncate', s.file, PAGE)
    await s.becomes('breaking')
    const { stdout } = await s.box.exec(asUser(B, 'cat', `${s.control}/metrics`))
    const lines = stdout.split('\n')
    expect(lines.pop()).toBe('')
    for (const line of lines) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) holdfast_\w+ .+|holdfast_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? \d+)$/,
      )
    }
    for (const line of [
      'holdfast_leases{state="active",level="exclusive"} 1',
      'holdfast_leases{state="breaking",level="normal"} 1',
      'holdfast_pins 1',
      'holdfast_breaks 1',
      'holdfast_waiting_requests{kind="change"} 1',
      'holdfast_waiting_requests{kind="lease"} 0',
      'holdfast_table_entries{table="open-files"} 1',
      'holdfast_table_entries{table="requests"} 1',
      'holdfast_table_entries{table="event-readers"} 0',
    ]) {
      expect(lines).toContain(line)
    }
    const sample = (name: string) =>
      Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1))
    expect(sample('holdfast_refused_total')).toBeGreaterThan(0)
    expect(sample('holdfast_requests_total')).toBeGreaterThan(10)
    expect(sample('holdfast_memory_bytes{kind="heap"}')).toBeGreaterThan(1 << 20)
    expect(sample('holdfast_events_total{kind="pinned"}')).toBeGreaterThan(0)
    await a.call('closeall')
  })
})
