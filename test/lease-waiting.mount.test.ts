/**
 * What else waits while a change of a file's size waits for a lease (docs/SEMANTICS.md, "What waits while a change
 * waits"): the kernel holds the inode's lock until FUSE has its answer. Both lists are shown here, with passthrough
 * and without: what is stuck behind the change, and what goes on.
 *
 * Whoever waits for that lock cannot be ended, not even by SIGKILL: what must never wait here are the test and the
 * holder. When the holder ends, its lease does, and everybody goes on; so nothing stays behind a failure.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { controlDirectory } from './support/events.js'
import { eventually, eventuallyTrue, staysPending } from './support/eventually.js'
import { BREAKING, EXCLUSIVE, GETLEASE, INFO, NORMAL, NOTIFY_ONLY, POLLPRI, QUERY } from './support/ioctl.js'
import { listing } from './support/listing.js'
import { Sandbox } from './support/sandbox.js'

const PAGE = 4096
const SIZE = 16 * PAGE
const KEEP_SIZE = 1
const PUNCH_HOLE = 2
/** Longer than anything that must not wait may take, so that waiting cannot be taken for being slow. */
const BREAK_MS = 40_000
const PROMPT_MS = 10_000

describe.each([
  ['with passthrough', [] as string[]],
  ['without passthrough', ['--no-passthrough']],
])('%s', (_name, options) => {
  let box: Sandbox
  let tree: string
  let directory: string
  let elsewhere: string
  let file: string
  let counter = 0
  let holder: Agent
  let held: number
  let lease: bigint
  let breaker: Agent
  let others: Agent[] = []

  beforeAll(async () => {
    box = await Sandbox.create()
    tree = path.join(box.work, 'tree')
    await box.file('tree/first')
    await box.mount(tree, ...options)
    const control = await controlDirectory(box, path.join(tree, 'first'))
    await box.must('echo "break-time $2" > "$1/ctl"', { args: [control, String(BREAK_MS)] })
  })

  afterAll(async () => {
    await box.dispose()
  })

  /** A directory of its own with the file in it, a holder with a normal lease, and somebody who will break it. */
  beforeEach(async () => {
    directory = path.join(tree, `dir-${++counter}`)
    elsewhere = path.join(tree, `elsewhere-${counter}`)
    await box.must('mkdir "$1"', { args: [elsewhere] })
    file = await box.file(`tree/dir-${counter}/file`, SIZE)
    await box.file(`tree/dir-${counter}/sibling`)
    await box.file(`tree/elsewhere-${counter}/stranger`)
    holder = await box.agent(`holder-${counter}`)
    held = await holder.open(file)
    lease = (await holder.setLease(held, { flags: NORMAL })).id
    breaker = await box.agent(`breaker-${counter}`)
  })

  afterEach(async () => {
    // The holder first: it never waits, and with it goes what the others wait for.
    holder.disconnect()
    breaker.disconnect()
    for (const agent of others) agent.disconnect()
    const ours = [holder, breaker, ...others]
    others = []
    await eventuallyTrue(
      'nobody is stuck',
      async (saw) => {
        const left = box.processes().filter((line) => ours.some((agent) => agent.pid === line.pid))
        saw(left.map((line) => ({ ...line, wchan: waitChannel(line.pid) })))
        return left.length === 0 && (await listing(box, 'leases')).length === 0
      },
      PROMPT_MS,
    )
  })

  async function another(): Promise<Agent> {
    const agent = await box.agent(`other-${counter}-${others.length}`)
    others.push(agent)
    return agent
  }

  /** The change has reached Holdfast, which asks the holder. */
  async function isBroken(): Promise<void> {
    await eventuallyTrue('the break has begun', async () => (await holder.poll(held, POLLPRI)) === POLLPRI)
  }

  /** A truncate that waits for the holder. */
  async function startTruncate(): Promise<Waiting> {
    const answer = breaker.call('truncate', file, PAGE)
    await isBroken()
    return { what: 'the truncate', agent: breaker, answer }
  }

  /** Starts something that gets stuck in the kernel, and proves that it is: asleep without a way out, and still so. */
  async function getsStuck(what: string, agent: Agent, answer: Promise<string>): Promise<Waiting> {
    await eventually(
      `${what} is stuck in the kernel`,
      (saw) => {
        saw({ state: stateOf(agent.pid), wchan: waitChannel(agent.pid) })
        return stateOf(agent.pid) === 'D' ? true : undefined
      },
      PROMPT_MS,
    )
    await staysPending(what, answer)
    expect(stateOf(agent.pid), what).toBe('D')
    return { what, agent, answer }
  }

  /** What must not wait for the change ends while the change still waits. */
  async function goesOn(what: string, answer: Promise<string>, change: Waiting): Promise<string> {
    const late = new Promise<string>((resolve) => setTimeout(resolve, PROMPT_MS, 'late').unref())
    const result = await Promise.race([answer, late])
    if (result === 'late') throw new Error(`${what} was not to wait`)
    await staysPending(change.what, change.answer, 1)
    return result
  }

  async function letGo(): Promise<void> {
    expect(await holder.release(held, lease)).toBe('ok')
  }

  describe('what waits behind a truncate that waits', () => {
    test.each<[string, (agent: Agent, fd: number) => Promise<string>, string]>([
      ['pwrite to the file', (agent, fd) => agent.call('write', fd, 0, '6162'), '2'],
      ['fsync of the file', (agent, fd) => agent.call('fsync', fd), '0'],
      ['chmod of the file', (agent) => agent.call('chmod', file, '600'), '0'],
      ['a second truncate', (agent) => agent.call('truncate', file, 2 * PAGE), '0'],
      ['an ftruncate that grows the file', (agent, fd) => agent.call('ftruncate', fd, 2 * SIZE), '0'],
      ['punching a hole', (agent, fd) => agent.call('fallocate', fd, PUNCH_HOLE | KEEP_SIZE, 0, PAGE), '0'],
      ['unlink of the file', (agent) => agent.call('unlink', file), '0'],
      ['link to the file', (agent) => agent.call('link', file, path.join(elsewhere, 'link')), '0'],
      [
        'a rename of the file within its directory',
        (agent) => agent.call('rename', file, `${file}-renamed`),
        '0',
      ],
      [
        'a rename of the file to another directory',
        (agent) => agent.call('rename', file, path.join(elsewhere, 'moved')),
        '0',
      ],
      ['a rename onto it', (agent) => agent.call('rename', path.join(directory, 'sibling'), file), '0'],
    ])('%s waits, and goes on with the truncate', async (what, start, result) => {
      const agent = await another()
      const fd = await agent.open(file)
      const change = await startTruncate()
      const stuck = await getsStuck(what, agent, start(agent, fd))
      await letGo()
      expect(await change.answer).toBe('0')
      expect(await stuck.answer).toBe(result)
    })

    test('B4, B6: a second change with O_NONBLOCK waits all the same: Holdfast does not hear of it', async () => {
      const agent = await another()
      const fd = await agent.open(file, 'rdwr|nonblock')
      const change = await startTruncate()
      const stuck = await getsStuck('ftruncate with O_NONBLOCK', agent, agent.call('ftruncate', fd, 0))
      await letGo()
      expect(await change.answer).toBe('0')
      expect(await stuck.answer).toBe('0')
    })

    test('B7: a write that waits behind the change cannot be ended, not even by SIGKILL', async () => {
      const agent = await another()
      const fd = await agent.open(file)
      const change = await startTruncate()
      const stuck = await getsStuck('pwrite', agent, agent.call('write', fd, 0, '6162'))
      agent.signal('SIGKILL')
      await staysPending('the process that was killed', stuck.answer)
      expect(stateOf(agent.pid)).toBe('D')
      await letGo()
      expect(await change.answer).toBe('0')
      expect(await stuck.answer).toBe('gone')
    })

    test('B7: a signal to the change that waits in Holdfast frees everybody at once; the break goes on', async () => {
      const agent = await another()
      const fd = await agent.open(file)
      const change = await startTruncate()
      const stuck = await getsStuck('pwrite', agent, agent.call('write', fd, 0, '6162'))
      breaker.signal('SIGUSR1')
      expect(await change.answer).toBe('EINTR')
      expect(await stuck.answer).toBe('2')
      expect(await holder.getLease(held)).toMatchObject({ value: { state: BREAKING } })
    })

    test('behind an unlink that waits, creates and lookups in its directory wait; what the kernel remembers does not', async () => {
      const agents = [await another(), await another(), await another()]
      const [remover, creator, finder] = agents as [Agent, Agent, Agent]
      const bystander = await another()
      await bystander.call('stat', path.join(directory, 'sibling'))
      const change = await startTruncate()
      const stuck = [
        await getsStuck('unlink', remover, remover.call('unlink', file)),
        await getsStuck('a create', creator, creator.call('open', path.join(directory, 'new'), 'rdwr|creat')),
        await getsStuck('a lookup', finder, finder.call('stat', path.join(directory, 'never-seen'))),
      ]
      const sibling = bystander.call('stat', path.join(directory, 'sibling'))
      expect(await goesOn('stat of a sibling', sibling, change)).toMatch(/^\d+ /)
      const made = bystander.call('open', path.join(elsewhere, 'new'), 'rdwr|creat')
      expect(await goesOn('a create elsewhere', made, change)).toMatch(/^\d+$/)
      await letGo()
      expect(await change.answer).toBe('0')
      const [removed, created, found] = await Promise.all(stuck.map(({ answer }) => answer))
      expect([removed, found]).toEqual(['0', 'ENOENT'])
      expect(created).toMatch(/^\d+$/)
    })

    test('behind a rename to another directory, every rename between directories of the mount waits, others do not', async () => {
      const [mover, second] = [await another(), await another()]
      const bystander = await another()
      await box.must('mkdir "$1-a" "$1-b" && touch "$1-a/x" "$1-a/y"', { args: [elsewhere] })
      const change = await startTruncate()
      const stuck = [
        await getsStuck('the rename', mover, mover.call('rename', file, path.join(elsewhere, 'moved'))),
        await getsStuck('another', second, second.call('rename', `${elsewhere}-a/x`, `${elsewhere}-b/x`)),
      ]
      const within = bystander.call('rename', `${elsewhere}-a/y`, `${elsewhere}-a/z`)
      expect(await goesOn('a rename within one directory', within, change)).toBe('0')
      await letGo()
      expect(await change.answer).toBe('0')
      expect(await Promise.all(stuck.map(({ answer }) => answer))).toEqual(['0', '0'])
    })

    test('a hole that waits is like a truncate that waits', async () => {
      const agent = await another()
      const [fd, fb] = [await agent.open(file), await breaker.open(file)]
      const punch = breaker.call('fallocate', fb, PUNCH_HOLE | KEEP_SIZE, 0, PAGE)
      await isBroken()
      const stuck = await getsStuck('pwrite', agent, agent.call('write', fd, 0, '6162'))
      await letGo()
      expect(await punch).toBe('0')
      expect(await stuck.answer).toBe('2')
    })
  })

  describe('what goes on while a truncate waits', () => {
    test('open, stat, pread, close, ioctl, poll and stores into a mapping of that file', async () => {
      const agent = await another()
      const fd = await agent.open(file)
      const map = await agent.number('mmap', fd, 0, SIZE, 'rws')
      const change = await startTruncate()
      const ask = async (...words: (string | number)[]): Promise<string> => {
        return await goesOn(words.join(' '), agent.call(...words), change)
      }
      expect(await ask('stat', file)).toMatch(new RegExp(`^${SIZE} `))
      expect(await ask('fstat', fd)).toMatch(new RegExp(`^${SIZE} `))
      expect(await ask('read', fd, 0, 2)).toBe('2 4141')
      expect(await ask('poke', map, 5, 66)).toBe('66')
      expect(await ask('touch', map, SIZE - 1)).toBe('65')
      expect(await ask('poll', fd, 5, 0)).toBe('5')
      const query = Buffer.alloc(56)
      query.writeUInt32LE(1, 16)
      for (const [request, bytes] of [
        [INFO, Buffer.alloc(128)],
        [QUERY, query],
        [GETLEASE, Buffer.alloc(64)],
      ] as const) {
        const answer = await ask('ioctl', fd, request, bytes.toString('hex'))
        expect(answer).toMatch(request === GETLEASE ? /^ENOENT$/ : /^0 [0-9a-f]+$/)
      }
      const again = await ask('open', file, 'rdwr')
      expect(again).toMatch(/^\d+$/)
      expect(await ask('close', Number(again))).toBe('0')
      expect(await ask('close', fd)).toBe('0')
      await letGo()
      expect(await change.answer).toBe('0')
    })

    test('everything on other files, in the same directory too', async () => {
      const agent = await another()
      const change = await startTruncate()
      const sibling = path.join(directory, 'sibling')
      const fd = Number(await goesOn('open', agent.call('open', sibling, 'rdwr'), change))
      for (const words of [
        ['write', fd, 0, '6162'],
        ['truncate', sibling, 1],
        ['chmod', sibling, '600'],
        ['link', sibling, `${sibling}-link`],
        ['rename', `${sibling}-link`, path.join(elsewhere, 'link')],
        ['unlink', sibling],
      ]) {
        expect(await goesOn(words.join(' '), agent.call(...words), change)).toMatch(/^[02]$/)
      }
      await letGo()
      expect(await change.answer).toBe('0')
    })
  })

  test('an open with O_TRUNC that waits blocks nothing', async () => {
    const [agent, second] = [await another(), await another()]
    const fd = await agent.open(file)
    const opening = breaker.call('open', file, 'wronly|trunc')
    await isBroken()
    const change = { what: 'the open', agent: breaker, answer: opening }
    const ask = async (...words: (string | number)[]): Promise<string> => {
      return await goesOn(words.join(' '), agent.call(...words), change)
    }
    expect(await ask('write', fd, 0, '6162')).toBe('2')
    expect(await ask('fsync', fd)).toBe('0')
    expect(await ask('chmod', file, '600')).toBe('0')
    expect(await ask('ftruncate', fd, SIZE + 1)).toBe('0')
    expect(await ask('link', file, `${file}-link`)).toBe('0')
    expect(await ask('rename', `${file}-link`, path.join(elsewhere, 'link'))).toBe('0')
    expect(await ask('unlink', path.join(elsewhere, 'link'))).toBe('0')
    expect(await ask('open', path.join(directory, 'new'), 'rdwr|creat')).toMatch(/^\d+$/)
    // B6: a second change reaches Holdfast, and hears that it would have to wait.
    const nonBlocking = await second.open(file, 'rdwr|nonblock')
    expect(await goesOn('ftruncate', second.call('ftruncate', nonBlocking, 0), change)).toBe('EAGAIN')
    await letGo()
    expect(await opening).toMatch(/^\d+$/)
    expect(await agent.call('fstat', fd)).toMatch(/^0 /)
  })

  describe('what one can do about it', () => {
    test('B6: a change with O_NONBLOCK does not wait, so nobody waits for it', async () => {
      const agent = await another()
      const fd = await agent.open(file, 'rdwr|nonblock')
      expect(await agent.call('ftruncate', fd, 0)).toBe('EAGAIN')
      expect(await agent.call('write', fd, 0, '6162')).toBe('2')
      await letGo()
      expect(await agent.call('ftruncate', fd, 0)).toBe('0')
    })

    test('X1: under an exclusive lease the change fails at once, and nobody waits', async () => {
      await holder.setLease(held, { id: lease, flags: EXCLUSIVE })
      const agent = await another()
      expect(await agent.call('truncate', file, 0)).toBe('ETXTBSY')
      expect(await agent.call('write', await agent.open(file), 0, '6162')).toBe('2')
    })

    test('B1, B5: a lease with a short break time of its own makes everybody wait that long and no longer', async () => {
      await letGo()
      await holder.setLease(held, { flags: NORMAL, breakMs: 700 })
      const agent = await another()
      const fd = await agent.open(file)
      const start = performance.now()
      const change = await startTruncate()
      const stuck = await getsStuck('pwrite', agent, agent.call('write', fd, 0, '6162'))
      expect(await change.answer).toBe('0')
      expect(await stuck.answer).toBe('2')
      const took = performance.now() - start
      expect(took).toBeGreaterThan(600)
      expect(took).toBeLessThan(PROMPT_MS)
    })

    test('L8: for a notify-only lease nobody waits', async () => {
      await letGo()
      const guest = await another()
      await guest.call('become', 4711, 4711)
      const fd = await guest.open(file, 'rdonly')
      expect(await guest.setLease(fd, { flags: NORMAL })).toMatchObject({ flags: NOTIFY_ONLY })
      expect(await breaker.call('truncate', file, PAGE)).toBe('0')
      expect(await guest.poll(fd, POLLPRI)).toBe(POLLPRI)
    })
  })
})

interface Waiting {
  readonly what: string
  readonly agent: Agent
  readonly answer: Promise<string>
}

/** `D` is a sleep that no signal ends. */
function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
}

function waitChannel(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/wchan`, 'utf8')
  } catch {
    return '' // It has ended.
  }
}
