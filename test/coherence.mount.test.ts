/**
 * L10: what is done to leased files past the mount is told as `bypassed`: what, to which lease, by whom. Nothing is told of
 * what goes through the mount. The directory is shown at another place here, so that everybody can go past it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { controlDirectory, type EventReader, readEventsOf, type SeenEvent } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { NORMAL, WRITE } from './support/ioctl.js'
import { statusMounts } from './support/listing.js'
import { Sandbox, SOON_MS } from './support/sandbox.js'
import { USER, USER_HOLDFAST, User, WHY_NOT } from './support/user.js'

const PAGE = 4096
/** The name of the program as the kernel has it: it is built under a name with a number behind. */
const LEASECTL: unknown = expect.stringMatching(/^leasectl/)
const SIZE = 16 * PAGE
const KEEP_SIZE = 1
const PUNCH_HOLE = 2 | KEEP_SIZE
const ZERO_RANGE = 0x10

interface Row {
  readonly what: string
  /** Done by a process outside, on the file, with a descriptor of it and a second file beside it. */
  readonly act: (outsider: Agent, file: string, fd: number) => Promise<string>
  readonly offender: { readonly operation: string; readonly start: number; readonly length: number }
}

const WHOLE = { start: 0, length: 0 }
const BYPASSES: readonly Row[] = [
  {
    what: 'truncate',
    act: (outsider, file) => outsider.call('truncate', file, 100),
    offender: { operation: 'truncate', start: 100, length: 0 },
  },
  {
    what: 'ftruncate',
    act: (outsider, _file, fd) => outsider.call('ftruncate', fd, PAGE),
    offender: { operation: 'truncate', start: PAGE, length: 0 },
  },
  {
    what: 'O_TRUNC',
    act: (outsider, file) => outsider.call('open', file, 'wronly|trunc'),
    offender: { operation: 'truncate', ...WHOLE },
  },
  {
    what: 'punching a hole',
    act: (outsider, _file, fd) => outsider.call('fallocate', fd, PUNCH_HOLE, 2 * PAGE, 3 * PAGE),
    offender: { operation: 'punch-hole', start: 2 * PAGE, length: 3 * PAGE },
  },
  {
    what: 'zeroing a range',
    act: (outsider, _file, fd) => outsider.call('fallocate', fd, ZERO_RANGE, 8 * PAGE, PAGE),
    offender: { operation: 'zero-range', start: 8 * PAGE, length: PAGE },
  },
  {
    what: 'unlink',
    act: (outsider, file) => outsider.call('unlink', file),
    offender: { operation: 'unlink', ...WHOLE },
  },
  {
    what: 'renaming it',
    act: (outsider, file) => outsider.call('rename', file, `${file}-elsewhere`),
    offender: { operation: 'rename', ...WHOLE },
  },
  {
    what: 'renaming another file over it',
    act: (outsider, file) => outsider.call('rename', `${file}-other`, file),
    offender: { operation: 'rename', ...WHOLE },
  },
]

/** Marks that an engine has: files that the kernel watches for it. */
function watchCount(enginePid: number): number {
  const directory = `/proc/${enginePid}/fdinfo`
  const lines = readdirSync(directory).flatMap((fd) => textOf(path.join(directory, fd)).split('\n'))
  return lines.filter((line) => /^(fanotify ino|inotify wd)/.test(line)).length
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '' // Closed meanwhile.
    throw error
  }
}

/** Two seconds of renaming `argv[1]` there and back while another process writes and syncs `argv[2]`. */
const RENAME_BESIDE_SYNC = `
import os, sys, time
end = time.time() + 2
if os.fork() == 0:
    fd = os.open(sys.argv[2], os.O_RDWR)
    while time.time() < end: os.pwrite(fd, b'x' * 65536, 0); os.fsync(fd)
    os._exit(0)
count = 0
while time.time() < end:
    os.rename(sys.argv[1], sys.argv[1] + '-away'); os.rename(sys.argv[1] + '-away', sys.argv[1]); count += 1
print(count)
`
/**
 * Two seconds of writing to \`argv[1]\`, from outside, what is mapped of \`argv[2]\` on the mount: the write holds the lock
 * of the file below while it waits for the engine. Prints how many names were looked up meanwhile.
 */
const WRITE_FROM_A_MAPPING = `
import mmap, os, sys, time
end = time.time() + 2
if os.fork() == 0:
    out = os.open(sys.argv[1], os.O_WRONLY)
    while time.time() < end:
        fd = os.open(sys.argv[2], os.O_RDWR); os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        pages = mmap.mmap(fd, 0, mmap.MAP_PRIVATE); os.pwrite(out, pages, 0); pages.close(); os.close(fd)
    os._exit(0)
count = 0
while time.time() < end: os.path.exists('%s-nothing-%d' % (sys.argv[2], count)); count += 1
os.wait()
print(count)
`

class Place {
  readonly box: Sandbox
  readonly store: string
  readonly tree: string
  events!: EventReader
  enginePid = 0
  #counter = 0
  #agents: Agent[] = []

  constructor(box: Sandbox) {
    this.box = box
    this.store = path.join(box.work, 'store')
    this.tree = path.join(box.work, 'tree')
  }

  /** Files of their own for one test, on the disk; paths outside and inside. */
  async fresh(suffixes: readonly string[] = ['', '-other']): Promise<{ outside: string; inside: string }> {
    const name = `file-${++this.#counter}`
    for (const suffix of suffixes) await this.box.file(path.join('store', name + suffix), SIZE)
    await this.box.must('chmod 666 store/file-* && sync -f store')
    return { outside: path.join(this.store, name), inside: path.join(this.tree, name) }
  }

  async agent(role: string): Promise<Agent> {
    const agent = await this.box.agent(`${role}-${this.#counter}-${this.#agents.length}`)
    this.#agents.push(agent)
    return agent
  }

  /** An event that comes after all others that are under way: what it is about is changed outside now. */
  async marker(outsider: Agent): Promise<SeenEvent[]> {
    const { outside, inside } = await this.fresh([''])
    const holder = await this.agent('marker')
    await holder.setLease(await holder.open(inside), {})
    await outsider.call('truncate', outside, 1)
    await this.events.next((event) => event.event === 'bypassed' && event.file === inside)
    return this.events.all().filter((event) => event.event === 'bypassed' && event.file !== inside)
  }

  async endAgents(): Promise<void> {
    for (const agent of this.#agents.splice(0)) agent.disconnect()
    await eventuallyTrue('no file is watched any more', () => watchCount(this.enginePid) === 0, SOON_MS)
  }
}

describe.each([
  { mode: 'with passthrough', flags: [], kinds: BYPASSES },
  // What happens outside is the same; a few rows show that it is told here as well.
  { mode: 'without passthrough', flags: ['--no-passthrough'], kinds: BYPASSES.slice(2, 4) },
])('$mode', ({ flags, kinds }) => {
  let place: Place

  beforeAll(async () => {
    place = new Place(await Sandbox.create())
    await place.box.must('mkdir store tree; echo > store/first')
    await place.box.mount(place.store, place.tree, ...flags)
    for (const row of await statusMounts(place.box)) place.enginePid = (row.engine as { pid: number }).pid
  })

  afterAll(async () => {
    await place.box.dispose()
  })

  beforeEach(async () => {
    const control = await controlDirectory(place.box, path.join(place.tree, 'first'))
    place.events = await readEventsOf(place.box, `${control}/events`)
  })

  afterEach(async () => {
    await place.events.stop()
    await place.endAgents()
  })

  test.each(kinds)('L10: $what past the mount is told once, with lease, file and process', async (row) => {
    const { outside, inside } = await place.fresh()
    const [holder, outsider] = [await place.agent('holder'), await place.agent('outsider')]
    const lease = await holder.setLease(await holder.open(inside), {})
    const fd = await outsider.open(outside)
    expect(await row.act(outsider, outside, fd)).toMatch(/^\d+$/)
    const event = await place.events.next(({ event }) => event === 'bypassed')
    expect(event).toMatchObject({
      file: inside,
      lease: Number(lease.id),
      level: 'exclusive',
      owners: [{ pid: holder.pid, command: LEASECTL }],
      offender: { pid: outsider.pid, command: LEASECTL, ...row.offender },
    })
    expect(await place.marker(outsider)).toEqual([event])
    const metrics = await place.box.must('cat "$(echo /run/holdfast/*/metrics)"')
    expect(metrics).toMatch(/^holdfast_events_total\{kind="bypassed"\} [1-9]/m)
  })

  test('L10: only leases on what was taken are told, each once; a normal lease and its holder stay as they are', async () => {
    const { outside, inside } = await place.fresh()
    const [first, second, outsider] = [
      await place.agent('first'),
      await place.agent('second'),
      await place.agent('outsider'),
    ]
    const head = await first.setLease(await first.open(inside), { flags: NORMAL, length: 2 * PAGE })
    const tail = await second.setLease(await second.open(inside), { start: 4 * PAGE })
    await outsider.call('truncate', outside, 8 * PAGE)
    expect(await place.events.next(({ event }) => event === 'bypassed')).toMatchObject({
      lease: Number(tail.id),
    })
    await outsider.call('truncate', outside, PAGE)
    const told = [
      await place.events.next(({ event }) => event === 'bypassed'),
      await place.events.next(({ event }) => event === 'bypassed'),
    ]
    expect(told.map(({ lease }) => lease).sort()).toEqual([Number(head.id), Number(tail.id)].sort())
    expect(await place.marker(outsider)).toHaveLength(3)
  })

  test('L10: what is written in place or appended outside, and a second link that comes and goes, is no bypass', async () => {
    const { outside, inside } = await place.fresh()
    const [holder, outsider] = [await place.agent('holder'), await place.agent('outsider')]
    await holder.setLease(await holder.open(inside), {})
    const fd = await outsider.open(outside)
    for (let round = 0; round < 20; round++) {
      expect(await outsider.call('write', fd, (round % 16) * PAGE, 'ff'.repeat(64))).toBe('64')
      expect(await outsider.call('write', fd, SIZE + 64 * round, 'ff'.repeat(64))).toBe('64')
      expect(await outsider.call('link', outside, `${outside}-second`)).toBe('0')
      expect(await outsider.call('unlink', `${outside}-second`)).toBe('0')
      expect(await outsider.call('chmod', outside, '666')).toBe('0')
    }
    expect(await place.marker(outsider)).toEqual([])
  })

  test('L10: of a long mix of operations through the mount nothing is told', async () => {
    const { inside } = await place.fresh()
    const [holder, other] = [await place.agent('holder'), await place.agent('other')]
    const fd = await holder.open(inside)
    // A write lease: its holder may cut and punch (X5).
    await holder.setLease(fd, { mode: WRITE, flags: NORMAL })
    const otherFd = await other.open(inside)
    const said = new Set<string>()
    const does = async (agent: Agent, ...words: (string | number)[]) => {
      const answer = await agent.call(...words)
      said.add(`${words[0]} ${/^\d+$/.test(answer) ? 'ok' : answer}`)
    }
    for (let round = 0; round < 30; round++) {
      await does(holder, 'ftruncate', fd, (round % 5) * PAGE + 17)
      await does(other, 'write', otherFd, ((round * 7) % 16) * PAGE, 'aa'.repeat(512))
      await does(holder, 'ftruncate', fd, SIZE)
      await does(holder, 'write', fd, ((round * 5) % 16) * PAGE, 'bb'.repeat(512))
      if (round % 3 === 0) await does(other, 'fsync', otherFd)
      await does(holder, 'fallocate', fd, PUNCH_HOLE, ((round * 3) % 16) * PAGE, PAGE)
      await does(holder, 'fallocate', fd, ZERO_RANGE, ((round * 11) % 16) * PAGE, PAGE)
      await does(holder, 'fallocate', fd, 0, 0, 2 * SIZE)
      await does(holder, 'truncate', inside, SIZE)
      await does(other, 'link', inside, `${inside}-link`)
      await does(other, 'chmod', inside, '644')
      await does(other, 'rename', inside, `${inside}-moved`)
      await does(other, 'unlink', `${inside}-link`)
      await does(other, 'rename', `${inside}-moved`, inside)
    }
    await does(other, 'rename', `${inside}-other`, inside)
    expect([...said].filter((word) => !word.endsWith(' ok'))).toEqual([])
    expect(await place.marker(other)).toEqual([])
  })

  test('L10: a truncate through the mount that breaks a normal lease is no bypass of the leases that stay', async () => {
    const { inside } = await place.fresh()
    const [holder, breaker] = [await place.agent('holder'), await place.agent('breaker')]
    const fd = await holder.open(inside)
    const lease = await holder.setLease(fd, { flags: NORMAL, start: 4 * PAGE })
    await holder.setLease(await holder.open(inside), { length: PAGE })
    const cut = breaker.call('truncate', inside, 2 * PAGE)
    await place.events.next(({ event }) => event === 'break')
    expect(await holder.release(fd, lease.id)).toBe('ok')
    expect(await cut).toBe('0')
    expect(await place.marker(breaker)).toEqual([])
  })

  test('L10: renames through the mount are no bypass, also while io threads make them beside a process that syncs', async () => {
    const { outside, inside } = await place.fresh()
    const [holder, outsider] = [await place.agent('holder'), await place.agent('outsider')]
    await holder.setLease(await holder.open(inside), {})
    const args = ['-c', RENAME_BESIDE_SYNC, inside, `${outside}-other`.replace(place.store, place.tree)]
    const count = await place.box.must('exec python3 "$@"', { args })
    expect(Number(count)).toBeGreaterThan(10)
    expect(await place.marker(outsider)).toEqual([])
  })

  test('L10: a write past the mount that waits for the engine is not waited for by the engine', async () => {
    const { outside, inside } = await place.fresh()
    const [holder, outsider] = [await place.agent('holder'), await place.agent('outsider')]
    await holder.setLease(await holder.open(inside), {})
    const count = await place.box.must('exec python3 "$@"', {
      args: ['-c', WRITE_FROM_A_MAPPING, outside, `${inside}-other`],
    })
    expect(Number(count)).toBeGreaterThan(10)
    expect(await place.marker(outsider)).toEqual([])
  })

  test('a file is watched once, as long as there is a lease on it', async () => {
    const [one, two] = [await place.fresh(), await place.fresh()]
    const [holder, other] = [await place.agent('holder'), await place.agent('other')]
    expect(watchCount(place.enginePid)).toBe(0)
    const fd = await holder.open(one.inside)
    const first = await holder.setLease(fd, { flags: NORMAL })
    const second = await other.setLease(await other.open(one.inside), { flags: NORMAL })
    expect(watchCount(place.enginePid)).toBe(1)
    await other.setLease(await other.open(two.inside), {})
    expect(watchCount(place.enginePid)).toBe(2)
    expect(await holder.release(fd, first.id)).toBe('ok')
    expect(watchCount(place.enginePid)).toBe(2)
    expect(second.id).not.toBe(first.id)
    other.signal('SIGKILL')
    await eventuallyTrue('nothing is watched', () => watchCount(place.enginePid) === 0, SOON_MS)
    // Nor is anything told of a file that nobody holds.
    await holder.call('truncate', one.outside, 0)
    expect(await place.marker(holder)).toEqual([])
  })
})

describe.skipIf(WHY_NOT !== null)(`mounted by an ordinary user ${WHY_NOT ?? ''}`, () => {
  test('L10: a truncate past the mount is told to the user, but not by whom', async () => {
    const box = await Sandbox.create()
    let failure: unknown
    try {
      const user = await User.in(box)
      await user.must('mkdir store tree && head -c 65536 /dev/zero > store/f && echo > store/other')
      expect(await user.exec([USER_HOLDFAST, 'mount', 'store', 'tree'])).toMatchObject({ code: 0 })
      const holder = await user.agent('holder')
      const lease = await holder.setLease(await holder.open(path.join(box.work, 'tree/f')), {})
      const events = await readEventsOf(box, `/run/user/${USER}/holdfast/0/events`, (argv) => user.argv(argv))
      await user.must('echo more >> store/f; truncate -s 12 store/f')
      expect(await events.next(({ event }) => event === 'bypassed')).toMatchObject({
        lease: Number(lease.id),
        file: path.join(box.work, 'tree/f'),
        offender: { pid: 0, operation: 'truncate', start: 12, length: 0 },
      })
      await events.stop()
      holder.disconnect()
      await eventuallyTrue(
        'it can be unmounted',
        async () => (await user.holdfast('umount', 'tree')).code === 0,
      )
    } catch (error) {
      failure = error
      throw error
    } finally {
      await box.dispose(failure)
    }
  })
})
