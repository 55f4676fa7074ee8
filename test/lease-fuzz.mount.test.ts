/**
 * Abuse on a real mount: tens of thousands of random ioctls by several processes, each with the errnos it may end
 * with (test/programs/ioctlfuzz.c), and odd use of the control directory (test/programs/controlabuse.py). A
 * failure names its seed; HOLDFAST_SEED repeats it, as far as several processes can be repeated.
 */
import { randomInt } from 'node:crypto'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { controlDirectory, readEventsOf } from './support/events.js'
import { EXCLUSIVE, encodeLease, GETLEASE, SETLEASE } from './support/ioctl.js'
import { engineFailures } from './support/kernel-log.js'
import { listing } from './support/listing.js'
import { program, REPOSITORY } from './support/programs.js'
import { Sandbox } from './support/sandbox.js'

const PROCESSES = 4
const STEPS = 5_000
const SIZE = 65_536
const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31))

describe.each([
  ['with passthrough', [] as string[]],
  ['without passthrough', ['--no-passthrough']],
])('%s', (_name, options) => {
  let box: Sandbox
  let tree: string
  let control: string

  beforeAll(async () => {
    box = await Sandbox.create()
    tree = path.join(box.work, 'tree')
    await box.file('tree/a', SIZE)
    await box.file('tree/b', SIZE)
    await box.must('ln -s a link && mkfifo fifo', { cwd: tree })
    await box.mount(tree, ...options)
    control = await controlDirectory(box, path.join(tree, 'a'))
  })

  afterAll(async () => {
    await box.dispose()
  })

  function fuzz(mode: 'any' | 'bad'): string[] {
    return [program('ioctlfuzz'), mode, tree, control, String(seed), String(PROCESSES), String(STEPS)]
  }

  /** After the abuse: nothing is left, nothing was reported, and leases and pins work. */
  async function expectUnharmed(): Promise<void> {
    expect(await listing(box, 'leases')).toEqual([])
    expect(await listing(box, 'pins')).toEqual([])
    expect(await engineFailures(box)).toEqual([])
    const file = await box.file('tree/after', SIZE)
    const [a, b] = [await box.agent(`a${performance.now()}`), await box.agent(`b${performance.now()}`)]
    const fd = await a.open(file)
    const { id } = await a.setLease(fd, { flags: EXCLUSIVE })
    const pin = await a.pin(fd, id)
    expect(await b.call('truncate', file, 0)).toBe('ETXTBSY')
    expect(await a.unpin(fd, pin.id)).toBe('ok')
    expect(await a.release(fd, id)).toBe('ok')
    expect(await b.call('truncate', file, 0)).toBe('0')
    a.disconnect()
    b.disconnect()
  }

  /** How often a request came to something, from the line that ioctlfuzz prints for each. */
  function tally(output: string): (request: string, outcome: string) => number {
    return (request, outcome) => {
      const line = output.split('\n').find((text) => text.startsWith(`${request} `)) ?? ''
      return Number(new RegExp(` ${outcome}=(\\d+)`).exec(line)?.[1] ?? 0)
    }
  }

  test(`every request comes to what it may come to, and agrees with its caller's books (HOLDFAST_SEED=${seed})`, async () => {
    // Breaks have to end within the time of the test.
    await box.must('echo break-time 50 > "$1/ctl"', { args: [control] })
    const { code, stdout, stderr } = await box.exec(fuzz('any'), { timeoutMs: 110_000 })
    expect({ code, stderr, failure: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', failure: '' })
    // It did try what it claims to: each request succeeded, and failed in each way that it has.
    const count = tally(stdout)
    for (const [request, ...outcomes] of [
      ['SETLEASE', 'done', 'EINVAL', 'ENOENT', 'ETXTBSY', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['RELEASE', 'done', 'ENOENT', 'EBUSY', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['GETLEASE', 'done', 'EINVAL', 'ENOENT', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['SETOWN', 'done', 'EINVAL', 'ENOENT', 'EPERM', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['PIN', 'done', 'EINVAL', 'ENOENT', 'EPERM', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['UNPIN', 'done', 'ENOENT', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['QUERY', 'done', 'EINVAL', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['INFO', 'done', 'EFAULT', 'EBADF', 'ENOTTY'],
      ['OTHER', 'ENOTTY', 'EFAULT', 'EBADF'],
    ] as const) {
      for (const outcome of outcomes) {
        expect(count(request, outcome), `${request} ${outcome}\n${stdout}`).toBeGreaterThan(0)
      }
      expect(count(request, 'EIO')).toBe(0)
    }
    await expectUnharmed()
  })

  test(`a request that fails changes nothing: reports and events are as before (HOLDFAST_SEED=${seed})`, async () => {
    const report = async (): Promise<unknown[]> => {
      const lines = (await box.must('cat "$1/report"', { args: [control] })).trim().split('\n')
      return lines.map((line) => ({ ...(JSON.parse(line) as object), ageMs: 0 }))
    }
    const running = box.start(fuzz('bad'), { stdin: 'pipe' })
    await running.says('ready')
    const events = await readEventsOf(box, `${control}/events`)
    const before = await report()
    // A mount, six leases, two pins.
    expect(before).toHaveLength(9)
    running.type('\n')
    await running.says('\ndone', 110_000)
    expect(await report()).toEqual(before)
    expect(events.all()).toEqual([])
    const count = tally(running.stdout)
    expect(count('SETLEASE', 'EBUSY')).toBeGreaterThan(0)
    expect(count('RELEASE', 'EBUSY')).toBeGreaterThan(0)
    running.type('\n')
    expect((await running.ended).code).toBe(0)
    await events.stop()
    await expectUnharmed()
  })

  test(`the control directory stands odd use: ctl, reports, events, pin contexts (HOLDFAST_SEED=${seed})`, async () => {
    await box.must('echo break-time 10000 > "$1/ctl"', { args: [control] })
    const abuse = ['python3', '-B', path.join(REPOSITORY, 'test', 'programs', 'controlabuse.py')]
    const result = await box.exec([...abuse, control, path.join(tree, 'a'), String(seed)], {
      timeoutMs: 110_000,
    })
    expect(result).toMatchObject({ code: 0, stdout: 'ok\n', stderr: '' })
    await expectUnharmed()
  })

  test('P6: the last close of a pin context ends its pins before anything that is asked next, each of 300 times', async () => {
    const script = [
      'import fcntl, os, struct, sys',
      'fd = os.open(sys.argv[1], os.O_RDWR)',
      'for size in range(300, 0, -1):',
      '    lease = bytearray(struct.pack("=QQQIIIII20x", 0, 0, 0, 1, 1, 0, 0, 0))',
      '    fcntl.ioctl(fd, 0xC0404801, lease)',
      '    context = os.open(sys.argv[2], os.O_RDWR)',
      '    fcntl.ioctl(context, 0xC0284805, struct.pack("=QQQQII", 0, *struct.unpack_from("=Q", lease), 0, 0, 0, 0))',
      '    if size % 2: os.close(context)',
      '    else: os.dup2(fd, context); os.close(context)',
      '    fcntl.ioctl(fd, 0x40084802, bytes(8))',
      '    os.truncate(sys.argv[1], size)',
    ].join('\n')
    const file = await box.file('tree/closing', SIZE)
    await box.must('python3 -c "$1" "$2" "$3"', { args: [script, file, `${control}/pinctx`] })
    expect(await engineFailures(box)).toEqual([])
  })

  test('SETLEASE into memory that cannot be written is EFAULT, and GETLEASE finds the lease that it took', async () => {
    // The kernel copies an answer out after it was given: nobody can take it back then.
    const script = [
      'import ctypes, mmap, os, struct, sys',
      'libc = ctypes.CDLL(None, use_errno=True)',
      'libc.mmap.restype = ctypes.c_void_p',
      'fd = os.open(sys.argv[1], os.O_RDWR)',
      'page = libc.mmap(None, ctypes.c_size_t(4096), 3, 0x22, -1, ctypes.c_long(0))',
      'ctypes.memmove(page, bytes.fromhex(sys.argv[2]), 64)',
      'libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(4096), 1)',
      `failed = libc.ioctl(fd, ctypes.c_ulong(${SETLEASE}), ctypes.c_void_p(page)) == -1`,
      'print(failed, ctypes.get_errno())',
      'lease = (ctypes.c_char * 64)()',
      `print(libc.ioctl(fd, ctypes.c_ulong(${GETLEASE}), lease), struct.unpack_from("=Q", lease)[0] > 0)`,
    ].join('\n')
    const args = [script, path.join(tree, 'a'), encodeLease({}).toString('hex')]
    expect(await box.must('python3 -c "$1" "$2" "$3"', { args })).toBe('True 14\n0 True\n')
    expect(await listing(box, 'leases')).toEqual([])
  })
})
