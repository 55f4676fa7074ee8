/**
 * The file system of `src/passthrough` against the plain directory, on every kind of backing file system, with I/O
 * past the daemon and through it. The checks are in test/programs; what is tested here has no leases. Programs that people
 * use are tried in mount-trees.mount.test.ts, through `holdfast mount`.
 */
import { describe, expect, test } from 'vitest'
import { FILE_SYSTEMS, onMount, plainServer } from './support/on-mount.js'

const MODES = [
  { mode: 'with passthrough', flags: [], claims: '--passthrough' },
  { mode: 'without passthrough', flags: ['--no-passthrough'], claims: '' },
] as const

function failures(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith('ok ') && !line.startsWith('skip '))
}

const CONFORMANCE = (claims: string) =>
  `python3 "$PROGRAMS/conformance.py" "$MOUNT" --backing "$BACKING" ${claims}`

describe.each(FILE_SYSTEMS)('on %s', (kind) => {
  test('the checks themselves hold on a plain directory', () => {
    const script = 'python3 "$PROGRAMS/conformance.py" "$PLAIN"'
    expect(failures(onMount({ kind, server: plainServer(kind), script }))).toEqual([])
  })

  test.each(MODES)('a mount $mode behaves as the directory does', ({ flags, claims }) => {
    const lines = onMount({ kind, server: plainServer(kind, ...flags), script: CONFORMANCE(claims) })
    expect(failures(lines)).toEqual([])
    expect(lines.length).toBeGreaterThan(35)
  })
})

test('few descriptors are enough: files are found again by handle or by name', () => {
  const server = plainServer('ext4', '--path-fds', '16', '--idle-backing', '2')
  expect(failures(onMount({ kind: 'ext4', server, script: CONFORMANCE('--passthrough') }))).toEqual([])
})

test('few descriptors are enough where there are no file handles', () => {
  const server = plainServer('overlay', '--path-fds', '16', '--idle-backing', '2')
  expect(failures(onMount({ kind: 'overlay', server, script: CONFORMANCE('--passthrough') }))).toEqual([])
})

test.each(MODES)('blocks reserved for root stay reserved, $mode', ({ flags }) => {
  const script = 'python3 "$PROGRAMS/reserve.py" "$PLAIN" && python3 "$PROGRAMS/reserve.py" "$MOUNT"'
  const server = plainServer('ext4', ...flags)
  const lines = onMount({ kind: 'ext4', server, script, sizeMib: 64, mkfsOptions: '-m 20' })
  expect(lines).toEqual(['ok', 'ok'])
})
