/**
 * Descriptor life: when a lease ends (L7), and what pins make of it (P2, P3, P5 to P8), with real processes.
 * Every claim is tried with passthrough and without, because the kernel tells the daemon different things:
 * with passthrough a mapping does not keep the FUSE file open.
 */
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { type EventReader, readEvents } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { ACTIVE, EXCLUSIVE, NORMAL, READ, WRITE } from './support/ioctl.js'
import { Sandbox, SOON_MS } from './support/sandbox.js'

const PAGE = 4096

describe.each([
  ['with passthrough', [] as string[]],
  ['without passthrough', ['--no-passthrough']],
])('%s', (_name, options) => {
  let box: Sandbox
  let tree: string
  let counter = 0
  let outsider: Agent
  let open: Agent[] = []

  beforeAll(async () => {
    box = await Sandbox.create()
    tree = path.join(box.work, 'tree')
    await box.must('mkdir tree')
    await box.mount(tree, ...options)
    outsider = await box.agent('outsider')
  })

  afterAll(async () => {
    await box.dispose()
  })

  /** No test hands a lease on to the next one. */
  afterEach(async () => {
    for (const agent of open) agent.disconnect()
    open = []
    await eventuallyTrue(
      'no lease is left',
      async (saw) => {
        const { stdout } = await box.holdfast('leases', '--json')
        saw(stdout)
        return JSON.parse(stdout).length === 0
      },
      SOON_MS,
    )
  })

  async function newFile(): Promise<string> {
    return await box.file(`tree/file-${++counter}`, 16 * PAGE)
  }

  async function newAgent(role: string): Promise<Agent> {
    const agent = await box.agent(`${role}-${counter}-${open.length}`)
    open.push(agent)
    return agent
  }

  async function forked(agent: Agent, role: string): Promise<Agent> {
    const child = await agent.fork(`${role}-${counter}-${open.length}`)
    open.push(child)
    return child
  }

  /** A holder with a descriptor and an exclusive lease of the whole file. */
  async function holder(): Promise<{ file: string; agent: Agent; fd: number; lease: bigint }> {
    const file = await newFile()
    const agent = await newAgent('holder')
    const fd = await agent.open(file)
    const { id } = await agent.setLease(fd)
    return { file, agent, fd, lease: id }
  }

  /** What an outsider's truncate comes to: the same length, minus a byte, so that it can be asked again. */
  async function truncate(file: string): Promise<string> {
    const size = Number((await outsider.call('stat', file)).split(' ')[0])
    return await outsider.call('truncate', file, size - 1)
  }

  async function expectHeld(file: string): Promise<void> {
    expect(await truncate(file)).toBe('ETXTBSY')
  }

  /** At once: the very next change is let through, without waiting for anything. */
  async function expectFree(file: string): Promise<void> {
    expect(await truncate(file)).toBe('0')
  }

  describe('L7: the lease ends with the last descriptor', () => {
    test('L7: close of the only descriptor ends it, before the next change is judged', async () => {
      const { file, agent, fd } = await holder()
      await expectHeld(file)
      await agent.call('close', fd)
      await expectFree(file)
    })

    test('L7: a dup keeps it, the close of the dup ends it', async () => {
      const { file, agent, fd } = await holder()
      const copy = await agent.number('dup', fd)
      await agent.call('close', fd)
      await expectHeld(file)
      await agent.call('close', copy)
      await expectFree(file)
    })

    test('L7: a second open of the same file does not keep it', async () => {
      const { file, agent, fd } = await holder()
      await agent.open(file)
      await agent.call('close', fd)
      await expectFree(file)
    })

    test('L7: a forked child keeps it when the parent closes, and when the parent is killed', async () => {
      const { file, agent, fd } = await holder()
      const child = await forked(agent, 'child')
      await agent.call('close', fd)
      await expectHeld(file)
      agent.signal('SIGKILL')
      await expectHeld(file)
      await child.call('close', fd)
      await expectFree(file)
    })

    test('L7: kill -9 of the only holder ends it, before the next change is judged', async () => {
      const { file, agent } = await holder()
      agent.signal('SIGKILL')
      await eventuallyTrue(
        'the holder is gone',
        () => !box.processes().some((line) => line.pid === agent.pid),
      )
      await expectFree(file)
    })

    test('L7: exec keeps it, close-on-exec ends it', async () => {
      const { file, agent, fd } = await holder()
      const same = await agent.exec(`exec-${counter}`)
      open.push(same)
      expect(same.pid).toBe(agent.pid)
      await expectHeld(file)
      expect(await same.call('truncate', file, 0)).toBe('EDEADLK')
      await same.call('close', fd)
      await expectFree(file)

      const other = await newFile()
      const secret = await same.open(other, 'rdwr|cloexec')
      await same.setLease(secret)
      open.push(await same.exec(`exec-again-${counter}`))
      await expectFree(other)
    })

    test('L7: a copy sent to another process keeps it, also while it is still in the socket', async () => {
      const { file, agent, fd } = await holder()
      const receiver = await newAgent('receiver')
      await agent.call('sendfd', fd, receiver.name)
      await agent.call('close', fd)
      await expectHeld(file)
      const copy = await receiver.number('recvfd')
      agent.signal('SIGKILL')
      await expectHeld(file)
      await receiver.call('close', copy)
      await expectFree(file)
    })

    test('L7: a copy that dies in the socket, with its receiver, ends it', async () => {
      const { file, agent, fd } = await holder()
      const receiver = await newAgent('receiver')
      await agent.call('sendfd', fd, receiver.name)
      await agent.call('close', fd)
      await expectHeld(file)
      receiver.signal('SIGKILL')
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })

    test('L5: a receiver is no owner (ETXTBSY) until it adds itself (EDEADLK), and not after it removed itself', async () => {
      const { agent, fd, lease } = await holder()
      const receiver = await newAgent('receiver')
      await agent.call('sendfd', fd, receiver.name)
      const copy = await receiver.number('recvfd')
      expect(await receiver.call('ftruncate', copy, 0)).toBe('ETXTBSY')
      expect(await receiver.setOwner(copy, { lease, op: 1 })).toBe('ok')
      expect(await receiver.call('ftruncate', copy, 0)).toBe('EDEADLK')
      expect(await receiver.setOwner(copy, { lease, op: 2 })).toBe('ok')
      expect(await receiver.call('ftruncate', copy, 0)).toBe('ETXTBSY')
      expect(await agent.call('ftruncate', fd, 0)).toBe('EDEADLK')
    })

    test('L5: a child can make its parent an owner', async () => {
      const { agent, fd, lease } = await holder()
      const child = await forked(agent, 'child')
      expect(await agent.setOwner(fd, { lease, op: 2 })).toBe('ok')
      expect(await agent.call('ftruncate', fd, 0)).toBe('ETXTBSY')
      expect(await child.setOwner(fd, { lease, op: 1, pid: agent.pid })).toBe('ok')
      expect(await agent.call('ftruncate', fd, 0)).toBe('EDEADLK')
      expect(await child.call('ftruncate', fd, 0)).toBe('ETXTBSY')
    })
  })

  describe('L7: a mapping of an owner keeps the lease', () => {
    test.each([
      ['shared, for reading', 'rs'],
      ['shared, for writing', 'rws'],
      ['private', 'rp'],
    ])('L7: mapped %s, then closed: held until munmap; the owner never sees SIGBUS', async (_kind, kind) => {
      const { file, agent, fd } = await holder()
      const map = await agent.number('mmap', fd, 0, 16 * PAGE, kind)
      await agent.call('close', fd)
      await expectHeld(file)
      expect(await agent.call('touch', map, 15 * PAGE)).toBe('65')
      await agent.call('munmap', map)
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })

    test('L7: a mapping of one page of the range is enough; unmapping the rest ends nothing', async () => {
      const { file, agent, fd } = await holder()
      const map = await agent.number('mmap', fd, 0, 16 * PAGE, 'rs')
      await agent.call('close', fd)
      await agent.call('unmappart', map, 0, 15 * PAGE)
      await expectHeld(file)
      await agent.call('unmappart', map, 15 * PAGE, PAGE)
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })

    /**
     * Without passthrough the kernel keeps the FUSE file open for any mapping that was made through it, and
     * does not say whether a descriptor is left as well: the lease can last longer than L7 asks, never shorter.
     */
    const limit = options.includes('--no-passthrough')
      ? ', except (limit) without passthrough, until munmap'
      : ''

    test(`L7: a mapping outside of the leased range does not keep it${limit}`, async () => {
      const file = await newFile()
      const agent = await newAgent('holder')
      const fd = await agent.open(file)
      await agent.setLease(fd, { start: 0, length: 4 * PAGE })
      const map = await agent.number('mmap', fd, 8 * PAGE, 4 * PAGE, 'rs')
      await agent.call('close', fd)
      if (limit !== '') {
        expect(await outsider.call('truncate', file, PAGE)).toBe('ETXTBSY')
        await agent.call('munmap', map)
      }
      await eventuallyTrue(
        'the lease is gone',
        async () => (await outsider.call('truncate', file, PAGE)) === '0',
        SOON_MS,
      )
    })

    test(`L7: a mapping of a child that is no owner does not keep it${limit}`, async () => {
      const { file, agent, fd } = await holder()
      const map = await agent.number('mmap', fd, 0, PAGE, 'rs')
      const child = await forked(agent, 'child')
      await child.call('close', fd)
      await agent.call('exit', 0)
      if (limit !== '') {
        await expectHeld(file)
        await child.call('munmap', map)
      }
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })

    test('L7: a mapping of somebody who is no owner does not keep it', async () => {
      const { file, agent, fd } = await holder()
      const stranger = await newAgent('stranger')
      const own = await stranger.open(file)
      await stranger.number('mmap', own, 0, 16 * PAGE, 'rs')
      await agent.call('close', fd)
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })

    test('L7: the mapping of a killed owner ends the lease within a second', async () => {
      const { file, agent, fd } = await holder()
      await agent.number('mmap', fd, 0, PAGE, 'rs')
      await agent.call('close', fd)
      await expectHeld(file)
      agent.signal('SIGKILL')
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })

    test('L7: exec of the owner drops its mappings and so the lease', async () => {
      const { file, agent, fd } = await holder()
      await agent.number('mmap', fd, 0, PAGE, 'rs')
      await agent.call('close', fd)
      await expectHeld(file)
      open.push(await agent.exec(`exec-map-${counter}`))
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })

    test('L7: a mapping made before the lease counts as well', async () => {
      const file = await newFile()
      const agent = await newAgent('holder')
      const fd = await agent.open(file)
      const map = await agent.number('mmap', fd, 0, PAGE, 'rs')
      await agent.setLease(fd)
      await agent.call('close', fd)
      await expectHeld(file)
      await agent.call('munmap', map)
      await eventuallyTrue('the lease is gone', async () => (await truncate(file)) === '0', SOON_MS)
    })
  })

  describe('pins', () => {
    test('P6: unpin ends a pin; then the lease can be released', async () => {
      const { file, agent, fd, lease } = await holder()
      const pin = await agent.pin(fd, lease, 0, PAGE)
      expect(await agent.release(fd, lease)).toBe('EBUSY')
      expect(await agent.unpin(fd, pin.id)).toBe('ok')
      expect(await agent.release(fd, lease)).toBe('ok')
      await expectFree(file)
    })

    test('P3: pinning the same range twice gives the same id and counts two; it takes two unpins', async () => {
      const { agent, fd, lease } = await holder()
      const first = await agent.pin(fd, lease, 0, PAGE)
      const second = await agent.pin(fd, lease, 0, PAGE)
      const other = await agent.pin(fd, lease, 0, 2 * PAGE)
      expect([first.count, second.count, other.count]).toEqual([1, 2, 1])
      expect(second.id).toBe(first.id)
      expect(other.id).not.toBe(first.id)
      expect(await agent.unpin(fd, other.id)).toBe('ok')
      expect(await agent.unpin(fd, first.id)).toBe('ok')
      expect(await agent.release(fd, lease)).toBe('EBUSY')
      expect(await agent.unpin(fd, first.id)).toBe('ok')
      expect(await agent.unpin(fd, first.id)).toBe('ENOENT')
      expect(await agent.release(fd, lease)).toBe('ok')
    })

    test('P5: the last close makes a pinned lease a zombie: it protects its whole range, and ends with the pin', async () => {
      const { file, agent, fd, lease } = await holder()
      const pin = await agent.pin(fd, lease, 0, PAGE)
      await agent.call('close', fd)
      await expectHeld(file)
      const { stdout } = await box.holdfast('leases', '--json')
      expect(stdout).toContain('"zombie"')
      const again = await agent.open(file)
      expect((await agent.tryPin(again, lease, 0, PAGE)).errno).toMatch(/^(EPERM|ENOENT)$/)
      // P6: a process pin is ended from any file of the mount.
      expect(await agent.unpin(again, pin.id)).toBe('ok')
      await expectFree(file)
    })

    test('P5: a zombie ends with its last pin, not with the first', async () => {
      const { file, agent, fd, lease } = await holder()
      const pins = [await agent.pin(fd, lease, 0, PAGE), await agent.pin(fd, lease, PAGE, PAGE)]
      await agent.call('close', fd)
      const any = await agent.open(file)
      await agent.unpin(any, pins[0]?.id ?? 0n)
      await expectHeld(file)
      await agent.unpin(any, pins[1]?.id ?? 0n)
      await expectFree(file)
    })

    test('P6: SIGKILL of the pin’s process: the pin is gone before the next change is judged', async () => {
      for (let round = 0; round < 10; round++) {
        const { file, agent, fd, lease } = await holder()
        await agent.pin(fd, lease)
        await agent.call('close', fd)
        await expectHeld(file)
        agent.signal('SIGKILL')
        await eventuallyTrue(
          'the process is gone',
          () => !box.processes().some((line) => line.pid === agent.pid),
        )
        await expectFree(file)
      }
    })

    test('P6: exit of the pin’s process leaves a child’s descriptor its lease, without the pin', async () => {
      const { file, agent, fd, lease } = await holder()
      await agent.pin(fd, lease)
      const child = await forked(agent, 'child')
      await agent.call('exit', 0)
      await expectHeld(file)
      await eventuallyTrue('the pin is gone', async () => (await child.release(fd, lease)) === 'ok', SOON_MS)
      await expectFree(file)
    })

    test('P2: a fork does not inherit the parent’s process pin: it cannot unpin it', async () => {
      const { agent, fd, lease } = await holder()
      const pin = await agent.pin(fd, lease)
      const child = await forked(agent, 'child')
      expect(await child.unpin(fd, pin.id)).toBe('ENOENT')
      expect((await child.tryPin(fd, lease, 0, PAGE)).errno).toBe('EPERM')
    })

    test('P8: neither munmap, nor close, nor rename, nor unlink, nor exec ends a pin', async () => {
      const { file, agent, fd, lease } = await holder()
      const map = await agent.number('mmap', fd, 0, PAGE, 'rs')
      const pin = await agent.pin(fd, lease)
      await agent.call('munmap', map)
      await expectHeld(file)
      await agent.call('rename', file, `${file}-renamed`)
      await agent.call('link', `${file}-renamed`, `${file}-linked`)
      await agent.call('unlink', `${file}-renamed`)
      await agent.call('close', fd)
      await expectHeld(`${file}-linked`)
      const same = await agent.exec(`exec-pin-${counter}`)
      open.push(same)
      await expectHeld(`${file}-linked`)
      const any = await same.open(`${file}-linked`)
      expect(await same.call('ftruncate', any, 0)).toBe('EDEADLK')
      expect(await same.unpin(any, pin.id)).toBe('ok')
      await expectFree(`${file}-linked`)
    })

    test('P7: after unlink the data lives until the last pin ends, also without any descriptor', async () => {
      const { file, agent, fd, lease } = await holder()
      const free = async (): Promise<number> =>
        Number(await box.must('stat -f -c %f "$1"', { args: [box.work] }))
      await box.must('head -c 8M /dev/urandom >> "$1" && sync "$1"', { args: [file] })
      const before = await free()
      const pin = await agent.pin(fd, lease)
      await agent.call('unlink', file)
      await agent.call('close', fd)
      await box.must('sync -f "$1"', { args: [box.work] })
      expect(await free()).toBeLessThan(before + 1000)
      const any = await agent.open(await newFile())
      expect(await agent.unpin(any, pin.id)).toBe('ok')
      await eventuallyTrue('its blocks are free', async () => (await free()) > before + 1500, SOON_MS)
    })
  })

  describe('pin contexts', () => {
    test('P2: a pin of a context ends with its last close, after dup and close of one copy', async () => {
      const { file, agent, fd, lease } = await holder()
      const context = await agent.openPinContext(fd)
      await agent.pin(context, lease, 0, PAGE)
      const copy = await agent.number('dup', context)
      await agent.call('close', context)
      await agent.call('close', fd)
      await expectHeld(file)
      await agent.call('close', copy)
      await expectFree(file)
    })

    test('P6: a close counts before any change that comes later, also while the control directory is busy', async () => {
      const { file, agent, fd, lease } = await holder()
      const control = await agent.controlDirectory(fd)
      const script = 'while :; do cat "$1/version" "$1/leases" "$1/metrics"; done'
      const busy = [0, 1, 2].map(() => box.start(['sh', '-c', `${script} > /dev/null`, 'sh', control]))
      // Neither the lease nor its end is in question here, only the pin: changes are its own (X5).
      await agent.setLease(fd, { id: lease, mode: WRITE })
      for (let round = 0; round < 80; round++) {
        const context = await agent.openPinContext(fd)
        await agent.pin(context, lease)
        if (round % 20 === 0) expect(await agent.call('truncate', file, 4)).toBe('EDEADLK')
        await agent.call('close', context)
        expect(await agent.call('truncate', file, 0), `round ${round}`).toBe('0')
        await agent.call('truncate', file, 8)
      }
      await Promise.all(busy.map((each) => each.kill()))
    })

    test('P2: a context sent to another process keeps its pins when the first process is killed', async () => {
      const { file, agent, fd, lease } = await holder()
      const context = await agent.openPinContext(fd)
      await agent.pin(context, lease)
      const receiver = await newAgent('receiver')
      await agent.call('sendfd', context, receiver.name)
      const copy = await receiver.number('recvfd')
      agent.signal('SIGKILL')
      await eventuallyTrue(
        'the process is gone',
        () => !box.processes().some((line) => line.pid === agent.pid),
      )
      await expectHeld(file)
      await receiver.call('close', copy)
      await expectFree(file)
    })

    test('P2: a child that inherited the context can unpin through it', async () => {
      const { file, agent, fd, lease } = await holder()
      const context = await agent.openPinContext(fd)
      const pin = await agent.pin(context, lease)
      const child = await forked(agent, 'child')
      expect(await child.unpin(context, pin.id)).toBe('ok')
      expect(await agent.unpin(context, pin.id)).toBe('ENOENT')
      expect(await agent.release(fd, lease)).toBe('ok')
      await expectFree(file)
    })

    test('P2: process and context, and two contexts, are different owners of a pin', async () => {
      const { agent, fd, lease } = await holder()
      const contexts = [await agent.openPinContext(fd), await agent.openPinContext(fd)]
      const pins = [
        await agent.pin(fd, lease, 0, PAGE),
        await agent.pin(contexts[0] ?? -1, lease, 0, PAGE),
        await agent.pin(contexts[1] ?? -1, lease, 0, PAGE),
      ]
      expect(new Set(pins.map((pin) => pin.id)).size).toBe(3)
      expect(pins.map((pin) => pin.count)).toEqual([1, 1, 1])
      expect(await agent.unpin(fd, pins[1]?.id ?? 0n)).toBe('ENOENT')
      expect(await agent.unpin(contexts[0] ?? -1, pins[2]?.id ?? 0n)).toBe('ENOENT')
    })

    test('P1: only an owner of the lease may pin through a context', async () => {
      const { agent, fd, lease } = await holder()
      const stranger = await newAgent('stranger')
      const context = await agent.openPinContext(fd)
      await agent.call('sendfd', context, stranger.name)
      const copy = await stranger.number('recvfd')
      expect((await stranger.tryPin(copy, lease, 0, PAGE)).errno).toBe('EPERM')
    })
  })

  describe('events of a life', () => {
    let events: EventReader

    test('R3: granted, pinned, zombie, unpinned, gone are told in this order', async () => {
      const file = await newFile()
      events = await readEvents(box, file)
      const agent = await newAgent('holder')
      const fd = await agent.open(file)
      const { id, state } = await agent.setLease(fd, { mode: READ, flags: EXCLUSIVE })
      expect(state).toBe(ACTIVE)
      const pin = await agent.pin(fd, id)
      await agent.call('close', fd)
      await agent.unpin(await agent.open(file), pin.id)
      await events.next((event) => event.event === 'gone')
      expect(events.all().map((event) => event.event)).toEqual([
        'granted',
        'pinned',
        'zombie',
        'unpinned',
        'gone',
      ])
      await events.stop()
    })

    test('R3: a lease without pins is granted and released, with the reason', async () => {
      const file = await newFile()
      events = await readEvents(box, file)
      const agent = await newAgent('holder')
      const fd = await agent.open(file)
      const first = await agent.setLease(fd, { flags: NORMAL })
      await agent.release(fd, first.id)
      await agent.setLease(fd)
      await agent.call('close', fd)
      const seen = ['granted', 'released', 'granted', 'released']
      for (const name of seen) expect((await events.next(() => true)).event).toBe(name)
      const reasons = events.all().filter((event) => event.event === 'released')
      expect(reasons.map((event) => event.reason)).toEqual(['release', 'close'])
      await events.stop()
    })
  })
})
