/**
 * What is changed past the mount shows on it, as soon as --cache promises; and what a promise costs in requests. The
 * changes and the looks are in test/programs/coherence.py.
 */
import { describe, expect, test } from 'vitest'
import { statusMounts } from './support/listing.js'
import { holdfastServer, onMount } from './support/on-mount.js'
import { HOLDFAST } from './support/programs.js'
import { inSandbox } from './support/sandbox.js'

const PROGRAM = 'python3 "$PROGRAMS/coherence.py" "$MOUNT"'

/**
 * What the kernel asks when it has asked the same a moment ago: of a path of four names below the mountpoint, and of a
 * directory of 501 names in it.
 */
const COSTS = {
  auto: { stat: 'none', missing: 'none', fstat: 'none', open: '1 OPEN', list: '1 OPENDIR' },
  strict: {
    stat: '1 GETATTR, 4 LOOKUP',
    missing: '1 GETATTR, 4 LOOKUP',
    fstat: '1 GETATTR',
    open: '1 GETATTR, 4 LOOKUP, 1 OPEN',
    list: '1 GETATTR, 1 LOOKUP, 1 OPENDIR, 3 READDIR',
  },
  none: {
    stat: '5 GETATTR, 4 LOOKUP',
    missing: '4 GETATTR, 4 LOOKUP',
    fstat: '1 GETATTR',
    open: '5 GETATTR, 4 LOOKUP, 1 OPEN',
    list: '3 GETATTR, 1 LOOKUP, 1 OPENDIR, 3 READDIR',
  },
} as const
const READ_COSTS = { auto: 'none', strict: '1 GETATTR', none: '1 READ' } as const

function judge(lines: readonly string[]) {
  const failures = lines.filter((line) => !/^(ok|requests) /.test(line))
  const costs = lines.flatMap((line) => {
    const [, name = '', counts = ''] = /^requests (\w+): (.*)$/.exec(line) ?? []
    return name === '' ? [] : [[name, counts] as const]
  })
  return {
    failures,
    okCount: lines.filter((line) => line.startsWith('ok ')).length,
    costs: Object.fromEntries(costs),
  }
}

describe.each(['auto', 'strict', 'none'] as const)('--cache %s', (mode) => {
  test.each([
    { how: 'with passthrough', flags: [], claims: '--passthrough', read: 'none' },
    { how: 'without passthrough', flags: ['--no-passthrough'], claims: '', read: READ_COSTS[mode] },
  ])(
    'changes past the mount show as soon as promised, at the stated cost, $how',
    ({ flags, claims, read }) => {
      const log = `/tmp/holdfast-log-${process.pid}`
      const lines = onMount({
        kind: 'ext4',
        server: holdfastServer(...flags, '--cache', mode, '--debug', log),
        script: `${PROGRAM} "$BACKING" ${mode} ${claims} --log ${log}; rm ${log}`,
      })
      const { failures, okCount, costs } = judge(lines)
      expect(failures).toEqual([])
      expect(okCount).toBeGreaterThan(30)
      expect(costs).toEqual({ ...COSTS[mode], read })
    },
  )
})

test('so do changes made on a second Holdfast mount of the same directory', () => {
  const script = `
    mkdir "$FILE_SYSTEM/second" &&
    "$HOLDFAST" mount "$BACKING" "$FILE_SYSTEM/second" >/dev/null 2>&1 &&
    ${PROGRAM} "$FILE_SYSTEM/second" strict --passthrough &&
    "$HOLDFAST" umount "$FILE_SYSTEM/second"`
  const { failures, okCount } = judge(
    onMount({ kind: 'ext4', server: holdfastServer('-o', 'cache=strict'), script }),
  )
  expect(failures).toEqual([])
  expect(okCount).toBeGreaterThan(30)
})

test('a cache that is none of the three is named', () => {
  const server = holdfastServer('--cache', 'always')
  expect(() => onMount({ kind: 'tmpfs', server, script: 'true' })).toThrow(
    '--cache always: none of auto, strict, none',
  )
})

test(
  'run has the cache that is asked for; a run that joins is told what it asks for in vain, and runs',
  inSandbox(async (box) => {
    const file = await box.file('model', 4096)
    const join = async (...flags: string[]) => {
      const { code, stderr } = await box.holdfast('run', ...flags, file, '--', 'true')
      expect(code).toBe(0)
      return stderr
    }
    const first = box.start([HOLDFAST, 'run', '--cache=strict', file, '--', 'sh', '-c', 'echo on; read x'], {
      stdin: 'pipe',
    })
    await first.says('on')
    const [record] = await statusMounts(box)
    expect(record).toMatchObject({ cache: 'strict', kind: 'run' })
    expect(await box.must('cat "$1/version"', { args: [String(record?.control)] })).toContain(
      'cache strict\n',
    )
    expect(await join()).toBe('')
    expect(await join('--cache', 'strict')).toBe('')
    expect(await join('--cache', 'none')).toBe(
      `holdfast: ${file} is mounted already, with cache strict: --cache none has no effect\n`,
    )
    expect(await join('--no-passthrough', '--without', 'noflush')).toBe(
      `holdfast: ${file} is mounted already, with noflush, passthrough: --without noflush, --no-passthrough have no effect\n`,
    )
    expect(await join('--debug', 'log')).toBe(
      `holdfast: ${file} is mounted already: --debug log has no effect\n`,
    )
    expect(await join('--cache', 'none', '--debug', 'log', '--without', 'noflush')).toBe(
      `holdfast: ${file} is mounted already, with cache strict, noflush: --cache none, --without noflush, --debug log have no effect\n`,
    )
    first.type('\n')
    expect(await first.ended).toMatchObject({ code: 0 })
  }),
)
