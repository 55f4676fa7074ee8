/** The control directory: what `cat` shows of it (interface.md section 3; R1, R2, R3). */
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Agent } from './support/agent.js'
import { controlDirectory, readEventsOf } from './support/events.js'
import { eventuallyTrue } from './support/eventually.js'
import { NORMAL, WRITE } from './support/ioctl.js'
import { listing } from './support/listing.js'
import { PLAIN_ENVIRONMENT, Sandbox, SOON_MS } from './support/sandbox.js'

const PAGE = 4096

let box: Sandbox
let tree: string
let file: string
let control: string
let a: Agent
let fd: number
let counter = 0
let open: Agent[] = []

beforeAll(async () => {
  box = await Sandbox.create()
  tree = path.join(box.work, 'tree')
  await box.must('mkdir tree && chmod 777 tree')
  await box.mount(tree)
  await box.must('echo > tree/first')
  control = await controlDirectory(box, path.join(tree, 'first'))
})

afterAll(async () => {
  await box.dispose()
})

beforeEach(async () => {
  file = await box.file(`tree/file-${++counter}`)
  a = await box.agent(`a-${counter}`)
  fd = await a.open(file)
  open = [a]
})

afterEach(async () => {
  for (const agent of open) agent.disconnect()
  await eventuallyTrue('no lease is left', async () => (await listing(box, 'leases')).length === 0, SOON_MS)
})

async function as(uid: number, argv: readonly string[]) {
  return await box.exec(['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...argv])
}

describe('version', () => {
  test('version: `holdfast X.Y.Z`, then one `key value` per line', async () => {
    const lines = (await box.must('cat "$1/version"', { args: [control] })).split('\n')
    expect(lines[0]).toMatch(/^holdfast \d+\.\d+\.\d+/)
    expect(lines.at(-1)).toBe('')
    for (const line of lines.slice(1, -1)) expect(line).toMatch(/^\S+ \S.*$/)
    expect(lines.length).toBeGreaterThan(2)
  })

  test('the directory is shown by ls -l without an error, and cannot be written to', async () => {
    expect((await box.bash('ls -la "$1" && find "$1" -type f', { args: [control] })).stderr).toBe('')
    expect(
      (await box.bash('touch "$1/new" || mkdir "$1/new" || rm -f "$1/version"', { args: [control] })).code,
    ).not.toBe(0)
  })
})

describe('leases', () => {
  test('R1: a header line and one aligned line per lease with id, mode, level, state, range, owner, file', async () => {
    const { id } = await a.setLease(fd, { start: PAGE, length: 2 * PAGE, mode: WRITE })
    await a.setLease(fd, { start: 0, length: PAGE, flags: NORMAL })
    const text = await box.must('cat "$1/leases"', { args: [control] })
    const [header = '', ...lines] = text.trimEnd().split('\n')
    expect(lines).toHaveLength(2)
    const line = lines.find((row) => row.trim().startsWith(`${id} `)) ?? ''
    for (const part of [
      'write',
      'exclusive',
      'active',
      String(PAGE),
      String(2 * PAGE),
      String(a.pid),
      file,
    ]) {
      expect(line).toContain(part)
    }
    const column = header.indexOf('FILE')
    expect(column).toBeGreaterThan(0)
    for (const row of lines) expect(row.slice(column)).toBe(file)
  })

  test('R1: everybody sees their own and root sees all', async () => {
    await a.setLease(fd)
    await box.must('touch "$1/own" && chown 4711 "$1/own" && chmod 644 "$1/own"', { args: [tree] })
    const user = await box.agent(`user-${counter}`)
    open.push(user)
    await user.call('become', 4711, 4711)
    await user.setLease(await user.open(path.join(tree, 'own')))
    const rows = async (uid: number): Promise<number> => {
      const { stdout } = await as(uid, ['cat', `${control}/leases`])
      return stdout.trimEnd().split('\n').length - 1
    }
    expect(await rows(0)).toBe(2)
    expect(await rows(4711)).toBe(1)
    expect(await rows(4712)).toBe(0)
  })

  test('leases: a report that grows while it is read in small pieces is one snapshot, whole lines only', async () => {
    for (let i = 0; i < 60; i++) await a.setLease(fd, { start: i * PAGE, length: PAGE })
    const reading = box.start(['dd', `if=${control}/leases`, 'bs=7', 'status=none'])
    for (let i = 60; i < 100; i++) await a.setLease(fd, { start: i * PAGE, length: PAGE })
    const { stdout } = await reading.ended
    const lines = stdout.trimEnd().split('\n')
    expect(lines.length).toBeGreaterThanOrEqual(61)
    for (const line of lines.slice(1)) expect(line.endsWith(file)).toBe(true)
  })

  test('leases: a file name with a newline or other odd bytes does not make two lines', async () => {
    await box.must('printf x > "$1"/$\'odd\\nname \\xff\'', { args: [tree] })
    const agent = await box.agent(`odd-${counter}`, { env: PLAIN_ENVIRONMENT, cwd: tree })
    open.push(agent)
    // The command language has no way to say this name, a glob has.
    await box.must('cd "$1" && ln -s $\'odd\\nname \\xff\' plain-name', { args: [tree] })
    await agent.setLease(await agent.open('plain-name'))
    const text = await box.must('cat "$1/leases"', { args: [control] })
    expect(text.trimEnd().split('\n')).toHaveLength(2)
    expect(await listing(box, 'leases')).toHaveLength(1)
  })
})

describe('pins', () => {
  test('R2: pins/PID lists pins of the process as plain paths and those of contexts under `FD: PATH`, by a tab', async () => {
    const { id } = await a.setLease(fd)
    await a.pin(fd, id, 0, PAGE)
    const second = await box.file(`tree/second-${counter}`)
    const secondFd = await a.open(second)
    const lease = await a.setLease(secondFd)
    const context = await a.openPinContext(fd)
    await a.pin(context, lease.id)
    await a.pin(context, id, PAGE, PAGE)
    const text = await box.must('cat "$1/pins/$2"', { args: [control, String(a.pid)] })
    const lines = text.trimEnd().split('\n')
    const head = lines.indexOf(`${context}: ${control}/pinctx`)
    expect(head).toBeGreaterThanOrEqual(0)
    expect(lines.slice(head + 1, head + 3).sort()).toEqual([`\t${file}`, `\t${second}`].sort())
    const plain = lines.filter((_line, index) => index < head || index > head + 2)
    expect(plain).toEqual([file])
  })

  test('R2: a file that is pinned twice by one owner is listed once', async () => {
    const { id } = await a.setLease(fd)
    await a.pin(fd, id, 0, PAGE)
    await a.pin(fd, id, 0, PAGE)
    expect(await box.must('cat "$1/pins/$2"', { args: [control, String(a.pid)] })).toBe(`${file}\n`)
  })

  test('R2: the directory lists the processes that have pins, and no others', async () => {
    const { id } = await a.setLease(fd)
    const list = async (): Promise<string[]> => {
      return (await box.must('ls "$1/pins"', { args: [control] })).split('\n').filter((line) => line !== '')
    }
    expect(await list()).toEqual([])
    const pin = await a.pin(fd, id)
    expect(await list()).toEqual([String(a.pid)])
    await a.unpin(fd, pin.id)
    expect(await list()).toEqual([])
    expect((await box.bash('cat "$1/pins/1"', { args: [control] })).stderr).toContain('No such file')
  })

  test('R2: a stranger does not see another user’s pins', async () => {
    const { id } = await a.setLease(fd)
    await a.pin(fd, id)
    const result = await as(4712, ['cat', `${control}/pins/${a.pid}`])
    expect(result.stdout).toBe('')
    expect(result.code).not.toBe(0)
  })
})

describe('events', () => {
  test('R3: every line is an object with time, event, lease, file and range', async () => {
    const events = await readEventsOf(box, `${control}/events`)
    const { id } = await a.setLease(fd, { start: PAGE, length: PAGE })
    const granted = await events.next((event) => event.event === 'granted')
    expect(granted).toMatchObject({ lease: Number(id), file, start: PAGE, length: PAGE })
    expect(String(granted.time)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)
    expect(JSON.stringify(granted)).toContain(String(a.pid))
    await events.stop()
  })

  test('R3: a reader sees what happens after it opened, and nothing from before', async () => {
    const { id } = await a.setLease(fd)
    const events = await readEventsOf(box, `${control}/events`)
    await a.release(fd, id)
    expect((await events.next(() => true)).event).toBe('released')
    await events.stop()
  })

  test('R3: two readers each see everything', async () => {
    const readers = [
      await readEventsOf(box, `${control}/events`),
      await readEventsOf(box, `${control}/events`),
    ]
    const { id } = await a.setLease(fd)
    await a.release(fd, id)
    for (const events of readers) {
      await events.next((event) => event.event === 'released')
      expect(events.all().map((event) => event.event)).toEqual(['granted', 'released'])
      await events.stop()
    }
  })

  test('R3: a user sees the events of their own files and leases only', async () => {
    const reader = box.start([
      'setpriv',
      '--reuid=4712',
      '--regid=4712',
      '--clear-groups',
      'cat',
      `${control}/events`,
    ])
    const root = await readEventsOf(box, `${control}/events`)
    await eventuallyTrue('both read', () => reader.result === undefined)
    const { id } = await a.setLease(fd)
    await a.release(fd, id)
    await root.next((event) => event.event === 'released')
    expect(reader.stdout).toBe('')
    expect(reader.stderr).toBe('')
    await reader.kill()
    await root.stop()
  })

  test('events: a reader that waits can be interrupted and killed at any time', async () => {
    for (let round = 0; round < 5; round++) {
      const reader = await readEventsOf(box, `${control}/events`)
      const start = performance.now()
      await reader.stop()
      expect(performance.now() - start).toBeLessThan(1_000)
    }
  })

  test('R3: a slow reader gets `lost` with a count, everything before and after in order, and delays nobody', async () => {
    const slow = await box.agent(`slow-${counter}`)
    open.push(slow)
    const events = await slow.open(`${control}/events`, 'rdonly')
    const { id: lease } = await a.setLease(fd)
    const rounds = 5_000
    for (let i = 0; i < rounds; i += 100) {
      const batch = []
      for (let j = 0; j < 100; j++) batch.push(a.pin(fd, lease, i + j, 1).then((pin) => a.unpin(fd, pin.id)))
      await Promise.all(batch)
    }
    let text = ''
    let lost: Record<string, unknown> | undefined
    for (let reads = 0; reads < 4_000 && lost === undefined; reads++) {
      const answer = await slow.call('read', events, -1, 16_384)
      text += Buffer.from(answer.split(' ')[1] ?? '', 'hex').toString()
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        const event = JSON.parse(line) as Record<string, unknown>
        if (event.event === 'lost') lost = event
      }
    }
    expect(lost).toMatchObject({ event: 'lost' })
    expect(Number(lost?.count)).toBeGreaterThan(0)
    expect(Number(lost?.count)).toBeLessThan(2 * rounds)
  })
})

describe('pinctx', () => {
  test('P2: opened by a user who owns no lease, it is there but pins nothing', async () => {
    const { id } = await a.setLease(fd)
    const user = await box.agent(`user-${counter}`)
    open.push(user)
    await user.call('become', 4711, 4711)
    const context = await user.open(`${control}/pinctx`, 'rdonly')
    expect((await user.tryPin(context, id, 0, 1)).errno).toMatch(/^(EPERM|ENOENT)$/)
  })

  test('P2: SETLEASE on a pin context is refused', async () => {
    const context = await a.openPinContext(fd)
    expect((await a.trySetLease(context)).errno).not.toBe('ok')
  })
})
