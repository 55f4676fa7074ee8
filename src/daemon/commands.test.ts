import { describe, expect, test } from 'vitest'
import type { RequestInfo } from '../fuse/api.js'
import { Errno } from '../lib/errno.js'
import { testDirectory } from '../linux/test-directory.js'
import { type CommandScope, runCommand } from './commands.js'
import type { Ioctls } from './ioctls.js'
import { TestFiles } from './test-files.js'

const directory = testDirectory()

function engine(overrides: Partial<CommandScope> = {}) {
  const expected: number[] = []
  const scope: CommandScope = {
    service: new TestFiles(directory).service,
    // No open file of a mount is found here, so that none of its methods is reached.
    ioctls: {} as Ioctls,
    mounts: [],
    expect: (pid) => {
      expected.push(pid)
      return true
    },
    arrived: () => {},
    ...overrides,
  }
  const run = (line: string, uid = 0) =>
    runCommand(line, { pid: process.pid, uid, gid: 0 } as unknown as RequestInfo, scope)
  return { run, expected }
}

describe('what is no command is EINVAL, and says what is wanted', () => {
  for (const line of [
    '',
    'hold',
    'hold x',
    'hold -1',
    'hold 1.5',
    'hold 0x3',
    'hold 3 4',
    'expect 1 2',
    'break-time 99999999999999999999',
    'nonsense 1',
    'HOLD 3',
    'lease 3',
    'lease 3 read',
    'lease 3 read loud',
    'lease 3 normal read',
    'lease 3 read normal more',
    'lease x read normal',
    'constructor 1',
  ]) {
    test(JSON.stringify(line), () => {
      const { errno, text } = engine().run(line)
      expect(errno).toBe(Errno.EINVAL)
      expect(text).toMatch(/^EINVAL Invalid argument: /)
      expect(text).not.toContain('\n')
    })
  }
})

describe('expect', () => {
  test('keeps the mounts for a process; space around the words does not matter', () => {
    const { run, expected } = engine()
    expect(run('  expect\t17 ')).toEqual({ errno: 0, text: 'ok' })
    expect(expected).toEqual([17])
  })

  test('ENODEV where the mounts are about to go, which the launcher takes for "try again"', () => {
    const { errno, text } = engine({ expect: () => false }).run('expect 17')
    expect(errno).toBe(Errno.ENODEV)
    expect(text).toMatch(/^ENODEV /)
  })
})

describe('break-time', () => {
  test('root, or who mounted it, changes it; nobody else may', () => {
    const { run } = engine()
    expect(run('break-time 500').errno).toBe(0)
    expect(run('break-time 500', process.getuid?.()).errno).toBe(0)
    expect(run('break-time 500', 54321).errno).toBe(Errno.EPERM)
  })

  test('a time out of range is EINVAL', () => {
    expect(engine().run('break-time 0').errno).toBe(Errno.EINVAL)
    expect(engine().run('break-time 60001').errno).toBe(Errno.EINVAL)
  })
})

test('hold and lease: a descriptor that is no file of the mount is EBADF, which the launcher takes for "try again"', () => {
  for (const line of ['hold 0', 'hold 999999999', 'lease 0 read normal']) {
    const { errno, text } = engine().run(line)
    expect(errno).toBe(Errno.EBADF)
    expect(text).toMatch(/^EBADF /)
  }
})
