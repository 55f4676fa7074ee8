/**
 * B2 and L5 on a real mount: who is told of a break, in which ways, and who may have others told. The kernel's own
 * leases (fcntl(2), F_SETLEASE) are beside them where they do otherwise.
 */
import { describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { readEvents } from './support/events.js'
import { eventually, eventuallyTrue, staysPending } from './support/eventually.js'
import { NORMAL, POLLERR, POLLPRI, REVOKED } from './support/ioctl.js'
import { program } from './support/programs.js'
import { isAlive, PAGE, scene } from './support/scene.js'

const SIGUSR2 = 12
const SIGTERM = 15
const SIGRTMIN = 34
const SIGRTMAX = 64
const SI_QUEUE = -1
const F_SETOWN = 8
const F_SETSIG = 10
const F_SETLEASE = 1024
const F_RDLCK = 0
const F_UNLCK = 2
const USER = 4711

const s = scene()

/** Sends the descriptor over a Unix socket; the number it has over there. */
async function pass(from: Agent, fd: number, to: Agent): Promise<number> {
  expect(await from.call('sendfd', fd, to.name)).toBe('1')
  return await to.number('recvfd')
}

async function signalled(agent: Agent) {
  return await eventually(`${agent.name} is signalled`, async () => {
    const caught = await agent.caught()
    return caught.length > 0 ? caught : undefined
  })
}

describe('a descriptor that was sent to two more processes', () => {
  test('B2: each of the three is told once in each way it chose: signal with value, poll, select, epoll, event', async () => {
    const taker = await s.agent('taker')
    const second = await s.agent('second')
    const third = await s.agent('third')
    const breaker = await s.agent('breaker')
    const fd = await taker.open(s.file)
    const { id } = await taker.setLease(fd, { flags: NORMAL, breakMs: 10_000 })
    const owners = [
      { agent: taker, fd, signo: SIGUSR2, value: 1001 },
      { agent: second, fd: await pass(taker, fd, second), signo: SIGRTMIN, value: -2 },
      { agent: third, fd: await pass(taker, fd, third), signo: SIGTERM, value: 0x7fff_ffff },
    ]
    for (const { agent, fd, signo, value } of owners) {
      expect(await agent.call('catch', signo)).toBe('0')
      expect(await agent.setOwner(fd, { lease: id, op: 1, signo, value })).toBe('ok')
    }
    const [one, two, three] = owners
    if (one === undefined || two === undefined || three === undefined) throw new Error('three owners')
    const events = await readEvents(s.box, s.file)
    const woken = Promise.all([
      one.agent.poll(one.fd, POLLPRI, 10_000),
      two.agent.number('select', two.fd, 10_000),
      three.agent.number('epoll', three.fd, POLLPRI, 10_000),
    ])
    const changing = breaker.call('truncate', s.file, 0)
    expect(await woken).toEqual([POLLPRI, 1, POLLPRI])
    for (const { agent, signo, value } of owners) {
      const [first, ...more] = await signalled(agent)
      expect(first).toMatchObject({ signo, value, code: SI_QUEUE, uid: 0 })
      expect(more).toEqual([])
    }
    const told = await events.next((event) => event.event === 'break')
    expect(told).toMatchObject({ lease: Number(id), file: s.file, offender: { pid: breaker.pid } })
    expect(told.owners).toEqual(owners.map(({ agent }) => ({ pid: agent.pid, command: expect.any(String) })))
    await staysPending('the change', changing)
    // Another breaker joins the break that is under way: nobody is told anything again.
    const other = await s.agent('other')
    expect(await other.call('open', s.file, 'rdwr|trunc|nonblock')).toBe('EAGAIN')
    for (const { agent, fd } of owners) {
      expect(await agent.caught()).toEqual([])
      expect(await agent.poll(fd, POLLPRI)).toBe(POLLPRI)
    }
    expect(events.all().filter((event) => event.event === 'break')).toHaveLength(1)
    expect(await three.agent.release(three.fd, id)).toBe('ok')
    expect(await changing).toBe('0')
    for (const { agent, fd } of owners) expect(await agent.poll(fd, POLLPRI)).toBe(0)
    await events.stop()
  })

  test("beside it: of the kernel's own lease only one of the three hears, the last that asked", async () => {
    const taker = await s.agent('taker')
    const second = await s.agent('second')
    const third = await s.agent('third')
    const breaker = await s.agent('breaker')
    const plain = await s.box.file('plain')
    const fd = await taker.open(plain, 'rdonly')
    const owners = [
      { agent: taker, fd },
      { agent: second, fd: await pass(taker, fd, second) },
      { agent: third, fd: await pass(taker, fd, third) },
    ]
    for (const { agent, fd } of owners) {
      await agent.call('catch', SIGRTMIN)
      expect(await agent.call('fcntl', fd, F_SETSIG, SIGRTMIN)).toBe('0')
      expect(await agent.call('fcntl', fd, F_SETLEASE, F_RDLCK)).toBe('0')
      expect(await agent.call('fcntl', fd, F_SETOWN, agent.pid)).toBe('0')
    }
    expect(await breaker.call('open', plain, 'rdwr|trunc|nonblock')).toBe('EAGAIN')
    await signalled(third)
    expect([await taker.caught(), await second.caught()]).toEqual([[], []])
    for (const { agent, fd } of owners) expect(await agent.poll(fd, POLLPRI)).toBe(0)
    expect(await third.call('fcntl', fd, F_SETLEASE, F_UNLCK)).toBe('0')
  })
})

describe('signals', () => {
  async function held(uid?: number) {
    const holder = await s.agent('holder', uid)
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 10_000 })
    return { holder, fd, id }
  }

  /** Starts a break that nobody has to wait for. */
  async function startBreak(): Promise<void> {
    const breaker = await s.agent('breaker')
    expect(await breaker.call('open', s.file, 'rdwr|trunc|nonblock')).toBe('EAGAIN')
  }

  test('L5: SIGKILL, SIGSTOP, the two that the C library keeps and what is no signal: EINVAL', async () => {
    const { holder, fd, id } = await held()
    for (const signo of [9, 19, 32, 33, -1, 65, 1 << 30]) {
      expect(await holder.setOwner(fd, { lease: id, op: 1, signo })).toBe('EINVAL')
    }
    for (const signo of [1, 31, SIGRTMIN, SIGRTMAX, 0]) {
      expect(await holder.setOwner(fd, { lease: id, op: 1, signo })).toBe('ok')
    }
  })

  test('L5: another pid than 0 must be the parent’s: EPERM', async () => {
    const { holder, fd, id } = await held()
    const stranger = await s.agent('stranger')
    for (const pid of [stranger.pid, holder.pid, 1, -1]) {
      expect(await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, pid })).toBe('EPERM')
    }
    const child = s.adopt(await holder.fork(`${holder.name}-child`))
    await holder.call('catch', SIGUSR2)
    expect(await child.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value: 5, pid: holder.pid })).toBe(
      'ok',
    )
    await startBreak()
    expect(await signalled(holder)).toMatchObject([{ signo: SIGUSR2, value: 5 }])
  })

  test('L5: the last choice counts, signo 0 is no signal, and who has resigned is not told', async () => {
    const { holder, fd, id } = await held()
    const silent = s.adopt(await holder.fork(`${holder.name}-silent`))
    const gone = s.adopt(await holder.fork(`${holder.name}-gone`))
    for (const agent of [holder, silent, gone]) await agent.call('catch', SIGUSR2)
    await holder.call('catch', SIGTERM)
    await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value: 1 })
    await holder.setOwner(fd, { lease: id, op: 1, signo: SIGTERM, value: 2 })
    await silent.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2 })
    await silent.setOwner(fd, { lease: id, op: 1, signo: 0 })
    await gone.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2 })
    await gone.setOwner(fd, { lease: id, op: 2 })
    await startBreak()
    expect(await signalled(holder)).toMatchObject([{ signo: SIGTERM, value: 2 }])
    expect([await silent.caught(), await gone.caught()]).toEqual([[], []])
  })

  test('B2: a signal that is chosen during a break is sent at once', async () => {
    const { holder, fd, id } = await held()
    await holder.call('catch', SIGUSR2)
    await startBreak()
    expect(await holder.caught()).toEqual([])
    await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value: 9 })
    expect(await signalled(holder)).toMatchObject([{ signo: SIGUSR2, value: 9 }])
  })

  test('B2: every break of a lease is told anew', async () => {
    const { holder, fd } = await held()
    await holder.call('catch', SIGUSR2)
    for (const value of [1, 2, 3]) {
      const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 10_000 })
      await holder.release(fd, id - 1n)
      await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value })
      await startBreak()
      expect(await signalled(holder)).toMatchObject([{ value }])
    }
  })

  test('L5: it says on whose behalf: the real user who chose it, and the engine as the sender', async () => {
    const { holder, fd, id } = await held(USER)
    await holder.call('catch', SIGUSR2)
    await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2 })
    await startBreak()
    const engine = (await s.box.helpers()).engines[0]
    expect(await signalled(holder)).toMatchObject([{ uid: USER, pid: engine?.pid }])
  })
})

describe('L5: a signal is sent only if the user who chose it could send it now', () => {
  /** USER's process with a lease and a signal, which then executes a program of root's with the setuid bit. */
  async function becomesPrivileged() {
    const setuid = `${s.box.outside}/setuid-leasectl`
    await s.box.must('cp "$1" "$2" && chown 0:0 "$2" && chmod 4755 "$2"', {
      args: [program('leasectl'), setuid],
    })
    const holder = await s.agent('holder', USER)
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 10_000 })
    expect(await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value: 1 })).toBe('ok')
    const privileged = s.adopt(await holder.exec(`${holder.name}-suid`, setuid))
    expect(privileged.pid).toBe(holder.pid)
    await privileged.call('catch', SIGUSR2)
    const user = await s.agent('user', USER)
    return { privileged, fd, mayKill: async () => await user.call('kill', privileged.pid, 0) }
  }

  async function breakIt(holder: Agent, fd: number): Promise<void> {
    const breaker = await s.agent('breaker')
    expect(await breaker.call('open', s.file, 'rdwr|trunc|nonblock')).toBe('EAGAIN')
    expect(await holder.poll(fd, POLLPRI, 5_000)).toBe(POLLPRI)
  }

  test('a setuid program that has made itself root altogether is not signalled for an ordinary user', async () => {
    const { privileged, fd, mayKill } = await becomesPrivileged()
    expect(await privileged.call('setresuid', 0, 0, 0)).toBe('0')
    expect(await mayKill()).toBe('EPERM')
    await breakIt(privileged, fd)
    // The signal would have come before POLLPRI was reported.
    expect(await privileged.caught()).toEqual([])
    const metrics = await s.box.must('cat "$1/metrics"', { args: [s.control] })
    expect(metrics).toMatch(/holdfast_signals_total\{outcome="withheld"\} [1-9]/)
  })

  test('a setuid program whose real user is still the one who chose it is signalled, as kill(2) would', async () => {
    const { privileged, fd, mayKill } = await becomesPrivileged()
    expect(await mayKill()).toBe('0')
    await breakIt(privileged, fd)
    expect(await signalled(privileged)).toMatchObject([{ signo: SIGUSR2, value: 1, uid: USER }])
  })

  test('a process that has become another user since is not signalled, and one chosen by root is', async () => {
    const holder = await s.agent('holder')
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 10_000 })
    const child = s.adopt(await holder.fork(`${holder.name}-child`))
    for (const agent of [holder, child]) await agent.call('catch', SIGUSR2)
    // Root chooses for the parent, an ordinary user for itself; then each becomes somebody else.
    await child.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value: 1, pid: holder.pid })
    await child.call('setresuid', USER, USER, 0)
    await child.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value: 2 })
    await child.call('setresuid', 0, 0, 0)
    await holder.call('become', USER, USER)
    await breakIt(holder, fd)
    expect(await signalled(holder)).toMatchObject([{ value: 1, uid: 0 }])
    expect(await child.caught()).toEqual([])
  })
})

describe('holders that do not behave, and breakers that do not wait', () => {
  test('B5: a holder that never answers is revoked at its deadline: POLLERR until it releases', async () => {
    const holder = await s.agent('holder')
    const breaker = await s.agent('breaker')
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 400 })
    await holder.call('catch', SIGUSR2)
    await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2 })
    expect(await breaker.call('truncate', s.file, 0)).toBe('0')
    expect(await holder.caught()).toHaveLength(1)
    for (let look = 0; look < 3; look++) expect(await holder.poll(fd, POLLPRI)).toBe(POLLERR)
    expect(await holder.number('epoll', fd, POLLPRI, 0)).toBe(POLLERR)
    expect(await holder.getLease(fd)).toMatchObject({ value: { state: REVOKED } })
    expect(await holder.release(fd, id)).toBe('ok')
    expect(await holder.poll(fd, POLLPRI)).toBe(0)
  })

  test('B5: a holder that is stopped delays a change to its deadline, and finds the signal when it goes on', async () => {
    const holder = await s.agent('holder')
    const breaker = await s.agent('breaker')
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 500 })
    await holder.call('catch', SIGUSR2)
    await holder.setOwner(fd, { lease: id, op: 1, signo: SIGUSR2, value: 3 })
    holder.signal('SIGSTOP')
    const start = performance.now()
    expect(await breaker.call('truncate', s.file, 0)).toBe('0')
    expect(performance.now() - start).toBeGreaterThanOrEqual(490)
    holder.signal('SIGCONT')
    expect(await signalled(holder)).toMatchObject([{ value: 3 }])
    expect(await holder.poll(fd, POLLPRI)).toBe(POLLERR)
  })

  test('B2: holders that exit while they are told keep nobody: the change goes ahead with the last of them', async () => {
    const breaker = await s.agent('breaker')
    const holders: Agent[] = []
    for (let index = 0; index < 6; index++) {
      const holder = await s.agent('holder')
      const fd = await holder.open(s.file)
      const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 10_000 })
      // Nobody catches it: being told is what ends the process.
      await holder.setOwner(fd, { lease: id, op: 1, signo: SIGTERM })
      holders.push(holder)
    }
    const start = performance.now()
    expect(await breaker.call('truncate', s.file, 0)).toBe('0')
    expect(performance.now() - start).toBeLessThan(5_000)
    for (const { pid } of holders) {
      await eventuallyTrue('the holder has ended', () => !isAlive(s.box, pid))
    }
    expect(await s.leases()).toEqual([])
  })

  test('B7: a breaker that is killed while it waits takes nothing with it: the break ends as any other', async () => {
    const holder = await s.agent('holder')
    const breaker = await s.agent('breaker')
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { flags: NORMAL, breakMs: 700 })
    void breaker.call('truncate', s.file, 0)
    await s.becomes('breaking')
    breaker.signal('SIGKILL')
    await eventuallyTrue('the breaker is dead', () => !isAlive(s.box, breaker.pid), 1_000)
    await s.becomes('revoked')
    expect(await holder.call('fstat', fd)).toMatch(new RegExp(`^${16 * PAGE} `))
    expect(await holder.release(fd, id)).toBe('ok')
  })
})
