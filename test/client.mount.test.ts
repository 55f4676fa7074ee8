/** The TypeScript client on a real mount: what it does beyond taking a lease, in a program of its own. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from './support/control.js'
import { NORMAL, POLLPRI } from './support/ioctl.js'
import { REPOSITORY } from './support/programs.js'
import { isAlive, PAGE, scene } from './support/scene.js'

const CLIENT = path.join(REPOSITORY, 'dist', 'client', 'index.js')

const s = scene()

/** Starts a program that has the client as `holdfast` and the file's path as `file`. */
function start(body: string) {
  const script = `
    import * as holdfast from ${JSON.stringify(CLIENT)}
    import { open } from 'node:fs/promises'
    const file = process.argv[1]
    const say = (value) => console.log(JSON.stringify(value))
    const codeOf = async (action) => { try { await action(); return 'ok' } catch (error) { return error.code } }
    ${body}`
  return s.box.start([process.execPath, '--input-type=module', '-e', script, s.file], { stdin: 'pipe' })
}

async function lines(running: ReturnType<typeof start>): Promise<unknown[]> {
  const { stdout, stderr } = await running.ended
  expect(stderr).toBe('')
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line): unknown => JSON.parse(line))
}

describe('client', () => {
  test('B2: addOwner with a signal: it comes at a break, once, and `break` is emitted as well', async () => {
    const running = start(`
      const lease = await holdfast.takeLease(file, { breakTimeMs: 8000 })
      const told = { signals: 0, breaks: 0 }
      process.on('SIGUSR2', () => { told.signals++ })
      lease.on('break', () => { told.breaks++ })
      await lease.addOwner('self', { signal: 'SIGUSR2', value: 7 })
      say('ready')
      await new Promise((resolve) => process.stdin.once('data', resolve))
      process.stdin.destroy()
      say(told)`)
    await running.says('ready')
    const breaker = await s.agent('breaker')
    expect(await breaker.call('open', s.file, 'rdwr|trunc|nonblock')).toBe('EAGAIN')
    await s.becomes('breaking')
    // Signals and poll reach a Node program by its event loop: an answer to what is typed comes after them.
    running.type('go\n')
    expect(await lines(running)).toEqual(['ready', { signals: 1, breaks: 1 }])
  })

  test('L5: signals and values that are none are EINVAL before anything is asked', async () => {
    const running = start(`
      const lease = await holdfast.takeLease(file)
      for (const options of [
        { signal: 'SIGKILL' }, { signal: 'SIGNOTHING' }, { signal: 1.5 }, { signal: 65 }, { signal: 32 },
        { signal: 10, value: 2 ** 31 }, { signal: 10, value: 0.5 }, { signal: 'SIGTERM', value: -5 }, {},
      ]) say(await codeOf(() => lease.addOwner('self', options)))`)
    expect(await lines(running)).toEqual([...Array(7).fill('EINVAL'), 'ok', 'ok'])
  })

  test('R4: query says what a change would meet, and because of whom', async () => {
    const holder = await s.agent('holder')
    const fd = await holder.open(s.file)
    const exclusive = await holder.setLease(fd, { start: 0, length: PAGE })
    const normal = await holder.setLease(fd, { start: PAGE, length: PAGE, flags: NORMAL })
    const running = start(`
      say(await holdfast.query(file))
      say(await holdfast.query(file, { start: ${PAGE} }))
      say(await holdfast.query(file, { operation: 'punch-hole', start: ${2 * PAGE}, length: 10 }))`)
    const who = { pid: holder.pid, command: expect.stringMatching(/^leasectl/) as unknown }
    expect(await lines(running)).toEqual([
      { code: 'ETXTBSY', lease: Number(exclusive.id), ...who },
      { code: 'EAGAIN', lease: Number(normal.id), ...who },
      { code: null, lease: 0, pid: 0, command: '' },
    ])
  })

  test('leasesOn, releaseAll and info of an open file', async () => {
    const running = start(`
      const handle = await open(file)
      const ids = []
      for (const start of [0, 4096]) ids.push((await holdfast.takeLease(handle, { start, length: 4096 })).id)
      const leases = await holdfast.leasesOn(handle)
      say(leases.map(({ id, range }) => [ids.includes(id), range]))
      await holdfast.releaseAll(handle)
      say(await holdfast.leasesOn(handle))
      const { version, control } = await holdfast.info(handle)
      say([version, control])
      await handle.close()`)
    expect(await lines(running)).toEqual([
      [
        [true, { start: 0, end: PAGE }],
        [true, { start: PAGE, end: 2 * PAGE }],
      ],
      [],
      [1, s.control],
    ])
  })

  test('X4: revoke, of another’s lease by id and of one’s own; with kill; errors by code', async () => {
    const holder = await s.agent('holder')
    const fd = await holder.open(s.file)
    const first = await holder.setLease(fd)
    const second = await holder.setLease(fd)
    await holder.pin(fd, second.id)
    const running = start(`
      const lease = await holdfast.takeLease(file)
      await lease.revoke()
      say(lease.status().state)
      say(await codeOf(() => holdfast.revoke(file, ${first.id})))
      say(await codeOf(() => holdfast.revoke(file, { id: ${second.id} })))
      say(await codeOf(() => holdfast.revoke(file, 999999)))
      say(await codeOf(() => holdfast.revoke(file, 1.5)))
      say(await codeOf(() => holdfast.revoke('/', 1)))
      say(await codeOf(() => holdfast.revoke(file, ${second.id}, { kill: true })))`)
    expect(await lines(running)).toEqual(['revoked', 'ok', 'EBUSY', 'ENOENT', 'EINVAL', 'ENOTTY', 'ok'])
    expect(isAlive(s.box, holder.pid)).toBe(false)
  })

  test('B2: POLLPRI in another process, and `revoked` in the client, when root takes the lease away', async () => {
    const running = start(`
      const lease = await holdfast.takeLease(file)
      lease.on('revoked', () => { say('revoked'); process.stdin.destroy() })
      say(lease.id)
      process.stdin.resume()`)
    await running.says('\n')
    const root = await s.agent('root')
    const fd = await root.open(s.file)
    expect(await command(root, s.control, `revoke ${running.stdout.trim()}`)).toBe('ok')
    expect((await lines(running))[1]).toBe('revoked')
    expect(await root.poll(fd, POLLPRI)).toBe(0)
  })

  test('a program may end without a word while something it is watching for has just happened', async () => {
    for (let round = 0; round < 3; round++) {
      const running = start(`
        const lease = await holdfast.takeLease(file)
        await lease.revoke()
        say('done')`)
      expect(await running.ended).toMatchObject({ code: 0, signal: null, stderr: '', stdout: '"done"\n' })
    }
  })
})
