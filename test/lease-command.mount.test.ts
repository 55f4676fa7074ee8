/** `holdfast lease`: range, level, break time and waiting, for a shell's descriptor and for a COMMAND. */
import { describe, expect, test } from 'vitest'
import { eventuallyTrue, staysPending } from './support/eventually.js'
import { NORMAL, POLLPRI, WRITE } from './support/ioctl.js'
import { HOLDFAST } from './support/programs.js'
import { PAGE, scene } from './support/scene.js'

const s = scene()

/** The two forms, as shell code that holds the lease until a line is typed; `$2` is the file. */
const FORMS = [
  ['--fd N', (options: string) => `exec 3<"$2"; "$1" lease --fd 3 ${options} && echo started && read x`],
  ['FILE -- COMMAND', (options: string) => `exec "$1" lease ${options} "$2" -- sh -c 'echo started; read x'`],
] as const

function start(script: string) {
  return s.box.start(['sh', '-c', script, 'sh', HOLDFAST, s.file], { stdin: 'pipe' })
}

describe.each(FORMS)('lease %s', (_form, script) => {
  test('--start, --length, --write, --exclusive: exactly that range is held', async () => {
    const running = start(script(`--exclusive --write --start ${PAGE} --length ${2 * PAGE}`))
    await running.says('started')
    expect(await s.leases()).toMatchObject([
      {
        start: PAGE,
        length: 2 * PAGE,
        mode: 'write',
        level: 'exclusive',
        uid: 0,
        owners: [{ pid: running.pid }],
      },
    ])
    const other = await s.agent('other')
    expect(await other.call('truncate', s.file, 3 * PAGE)).toBe('0')
    expect(await other.call('truncate', s.file, 2 * PAGE)).toBe('ETXTBSY')
    running.closeInput()
    await running.ended
  })

  test('--normal is the default, and --break-time is how long a change waits for it', async () => {
    for (const [options, size] of [
      ['--break-time 300', PAGE],
      ['--normal --break-time 300', 0],
    ] as const) {
      const running = start(script(options))
      await running.says('started')
      expect(await s.leases()).toMatchObject([{ level: 'normal', mode: 'read', start: 0, length: 0 }])
      const other = await s.agent('other')
      const begin = performance.now()
      expect(await other.call('truncate', s.file, size)).toBe('0')
      expect(performance.now() - begin).toBeGreaterThanOrEqual(290)
      expect(performance.now() - begin).toBeLessThan(3_000)
      running.closeInput()
      await running.ended
    }
  })

  test('a conflict fails at once; with --wait it breaks the other lease, and waits until that is given up', async () => {
    const holder = await s.agent('holder')
    const fd = await holder.open(s.file)
    const { id } = await holder.setLease(fd, { mode: WRITE, flags: NORMAL, breakMs: 10_000 })
    const hasty = await start(script('--write')).ended
    expect(hasty.code).not.toBe(0)
    expect(hasty.stderr).toMatch(/^holdfast: .*\n$/)
    expect(await holder.poll(fd, POLLPRI)).toBe(0)
    const running = start(script('--write --wait'))
    expect(await holder.poll(fd, POLLPRI, 10_000)).toBe(POLLPRI)
    await staysPending('the lease', running.says('started', 15_000))
    expect(await holder.release(fd, id)).toBe('ok')
    await running.says('started')
    expect(await s.leases()).toMatchObject([{ mode: 'write', owners: [{ pid: running.pid }] }])
    running.closeInput()
    await running.ended
  })

  test('B7: a wait can be given up: killed while it waits, it leaves no lease and no request behind', async () => {
    const holder = await s.agent('holder')
    const fd = await holder.open(s.file)
    await holder.setLease(fd, { mode: WRITE, flags: NORMAL, breakMs: 10_000 })
    const running = start(script('--write --wait'))
    expect(await holder.poll(fd, POLLPRI, 10_000)).toBe(POLLPRI)
    await running.kill()
    const waiting = async () => (await s.box.holdfast('who', s.file)).stdout.includes('has waited')
    await eventuallyTrue('nobody waits any more', async () => !(await waiting()))
    expect(await holder.release(fd, 0)).toBe('ok')
    expect(await s.leases()).toEqual([])
  })

  test('what makes no sense is wrong usage (2), in one line', async () => {
    for (const options of ['--normal --exclusive', '--start x', '--length -1', '--break-time 60001']) {
      const { code, stderr } = await start(script(options)).ended
      expect(code).toBe(2)
      expect(stderr).toMatch(/^holdfast: [^\n]+\n$/)
    }
    expect(await s.leases()).toEqual([])
  })
})
