import { describe, expect, test } from 'vitest'
import type { CommandResult } from '../control/control-fs.js'
import type { RequestInfo } from '../fuse/api.js'
import { Errno } from '../lib/errno.js'
import type { ContextId, Ofd, PinId, Uid } from '../lib/ids.js'
import { WHOLE_FILE } from '../lib/range.js'
import { testDirectory } from '../linux/test-directory.js'
import { type CommandScope, runCommand } from './commands.js'
import type { Ioctls } from './leasing/ioctls.js'
import { TestFiles } from './leasing/test-files.js'

const directory = testDirectory()

function engine(overrides: Partial<CommandScope> = {}) {
  const expected: number[] = []
  const files = new TestFiles(directory)
  const scope: CommandScope = {
    service: files.service,
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
  const run = (line: string, uid = 0) => {
    let result: CommandResult | undefined
    const command = {
      line: Buffer.from(line),
      request: { pid: process.pid, uid, gid: 0 } as unknown as RequestInfo,
      opener: { uid, realUid: uid, mayKillAll: uid === 0 },
    }
    runCommand(command, scope, (answer) => {
      result = answer
    })
    if (result === undefined) throw new Error('no answer')
    return result
  }
  return { run, expected, files }
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
    'lease 3 read normal 0 x',
    'lease 3 read normal 0 0 0 soon',
    'lease 3 read normal 0 0 0 wait 1',
    'revoke',
    'revoke x',
    'revoke 1 2',
    'revoke 1 killed',
    'revoke 1 kill kill',
    'release-all',
    'release-all root',
    'release-all 0 kill',
    'hold 3 kill',
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

const USER = 4711
const STRANGER = 4712

describe('revoke', () => {
  function leased(level: 'normal' | 'exclusive' = 'exclusive') {
    const { run, files } = engine()
    const { file } = files.open()
    const owner = files.owner(process.pid)
    const id = files.lease(file, owner, level)
    const state = () => files.service.rules.lease(id)?.state
    const pin = () =>
      files.service.step({
        kind: 'pin',
        lease: id,
        range: WHOLE_FILE,
        process: owner,
        user: 0 as Uid,
        holder: { kind: 'context', context: 7 as ContextId },
      })
    return { run, id, state, pin, files, file }
  }

  test('X4: root takes a lease away, normal or exclusive; a second time changes nothing', () => {
    for (const level of ['normal', 'exclusive'] as const) {
      const { run, id, state } = leased(level)
      expect(run(`revoke ${id}`)).toEqual({ errno: 0, text: 'ok' })
      expect(state()).toBe('revoked')
      expect(run(`revoke ${id}`).errno).toBe(0)
    }
  })

  test("an id that does not exist, or is not the caller's to see, is ENOENT", () => {
    const { run, id, state } = leased()
    expect(run('revoke 999999').errno).toBe(Errno.ENOENT)
    expect(run(`revoke ${id}`, STRANGER).errno).toBe(Errno.ENOENT)
    expect(state()).toBe('active')
  })

  test('X4: EBUSY while it is pinned; kill cannot end a pin that only a context has', () => {
    const { run, id, state, pin } = leased()
    expect(pin().answer.status).toBe('done')
    expect(run(`revoke ${id}`).errno).toBe(Errno.EBUSY)
    expect(state()).toBe('active')
  })

  test('X4: who may not kill every owner kills nobody: EPERM', () => {
    const { run, files, file } = leased()
    // Taken by USER, owned by a process of ours.
    const { answer } = files.service.step({
      kind: 'acquire',
      request: files.service.nextRequestId(),
      ofd: Number(file.id) as Ofd,
      file: file.id,
      process: files.owner(process.pid),
      user: USER as Uid,
      range: WHOLE_FILE,
      mode: 'read',
      level: 'normal',
      mayDelayOthers: true,
      whenBusy: 'fail',
      breakTimeMs: 0,
    })
    const id = answer.status === 'done' ? answer.lease : undefined
    expect(run(`revoke ${id} kill`, USER).errno).toBe(Errno.EPERM)
    expect(files.service.counts.kills).toBe(0)
    // X4: who took it may release it, and revoking it is for the owner of the file and root.
    expect(run(`revoke ${id}`, USER).errno).toBe(Errno.EPERM)
  })
})

describe('release-all', () => {
  test('root releases those of anybody, a user their own, and pins keep all of them', () => {
    const { run, files } = engine()
    const { file } = files.open()
    const owner = files.owner(process.pid)
    const [first, second] = [files.lease(file, owner), files.lease(file, owner)]
    const states = () => [first, second].map((id) => files.service.rules.lease(id)?.state)
    expect(run('release-all 0', USER).errno).toBe(Errno.EPERM)
    expect(run(`release-all ${USER}`, USER).errno).toBe(0)
    expect(states()).toEqual(['active', 'active'])
    files.service.step({
      kind: 'pin',
      lease: second,
      range: WHOLE_FILE,
      process: owner,
      user: 0 as Uid,
      holder: { kind: 'process', process: owner },
    })
    expect(run('release-all 0').errno).toBe(Errno.EBUSY)
    expect(states()).toEqual(['active', 'active'])
    files.service.step({ kind: 'unpin', pin: 1 as PinId, holder: { kind: 'process', process: owner } })
    expect(run('release-all 0').errno).toBe(0)
    expect(states()).toEqual(['revoked', 'revoked'])
  })
})
