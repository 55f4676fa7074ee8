/**
 * Random system calls give the same on a mount as on the directory below, bytes stay what they must be while many
 * processes change them, and nobody gets further than without Holdfast. A bounded share of what `npm run difftest`
 * does for hours; HOLDFAST_SEED=<number> starts elsewhere.
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { type FileSystemKind, holdfastServer, onMount } from './support/on-mount.js'
import { REPOSITORY } from './support/programs.js'

const SEED = process.env.HOLDFAST_SEED ?? '1'

/** @returns what it printed; its last line says how it went. Throws with everything that it printed if it failed. */
function difftest(kind: FileSystemKind, ...options: string[]): string {
  const argv = [
    path.join(REPOSITORY, 'scripts', 'difftest.js'),
    '--backing',
    kind,
    '--seed',
    SEED,
    ...options,
  ]
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
  const done = spawnSync(process.execPath, argv, { env, encoding: 'latin1', timeout: 300_000 })
  if (done.status !== 0) throw new Error(`ended with ${done.status}:\n${done.stdout}\n${done.stderr}`)
  return done.stdout
}

const BOUND = ['--seconds', '12', '--sequences', '12']

describe(`from seed ${SEED}`, { timeout: 330_000 }, () => {
  test('two plain directories give the same: the test itself is sound', () => {
    expect(difftest('ext4', '--native', '--passthrough', '--seconds', '4')).toMatch(/^ok \d+ steps/m)
  })

  test.each([
    ['ext4', '--passthrough'],
    ['tmpfs', '--no-passthrough'],
  ] as const)('the same system calls give the same on %s as on the mount, %s', (kind, way) => {
    const printed = difftest(kind, way, ...BOUND)
    const kinds = /^ok \d+ steps .* (\d+) kinds of calls$/m.exec(printed)?.[1]
    expect(Number(kinds), printed).toBeGreaterThanOrEqual(60)
  })

  test.each([
    ['ext4', '--passthrough'],
    ['tmpfs', '--no-passthrough'],
  ] as const)('eight processes on one file find every byte as it must be, on %s, %s', (kind, way) => {
    const printed = difftest(kind, way, '--data', '--seconds', '60', '--operations', '10000')
    expect(printed).toMatch(/^ok \d+ operations of 8 processes/m)
  })
})

test('nobody gets further through a mount or its control directory than without', {
  timeout: 200_000,
}, () => {
  const script = 'python3 "$PROGRAMS/rights.py" "$HOLDFAST" "$FILE_SYSTEM" "$MOUNT" "$BACKING"'
  const lines = onMount({ kind: 'ext4', server: holdfastServer(), script, timeoutS: 150 })
  expect(lines.filter((line) => !line.startsWith('ok ') && !line.startsWith('skip '))).toEqual([])
  expect(lines.length).toBe(8)
})
