/**
 * `holdfast mount` on a directory in use: ordinary programs leave the same tree inside as outside, on every kind of
 * backing file system, and what its mount forbids (ro, nosuid, nodev, noexec) is forbidden inside, too.
 */
import { describe, expect, test } from 'vitest'
import { FILE_SYSTEMS, type FileSystemKind, holdfastServer, onMount } from './support/on-mount.js'

const TREES = 'python3 "$PROGRAMS/trees.py" "$PLAIN" "$MOUNT" --backing "$BACKING"'
const RESTRICTIONS =
  'python3 "$PROGRAMS/restrictions.py" "$HOLDFAST" "$FILE_SYSTEM" "$FILE_SYSTEM/restrictions"'

function failures(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith('ok ') && !line.startsWith('skip '))
}

interface Way {
  readonly kind: FileSystemKind
  readonly options?: readonly string[]
  readonly overItself?: boolean
  readonly script?: string
}

function run({ kind, options = [], overItself = false, script = TREES }: Way): string[] {
  return onMount({ kind, server: holdfastServer(...options), overItself, script, sizeMib: 800 })
}

describe.each(FILE_SYSTEMS)('holdfast mount on %s', (kind) => {
  test('programs leave the same tree, and restrictions of the backing mount hold', () => {
    const lines = run({ kind, script: `${TREES} && ${RESTRICTIONS}` })
    expect(failures(lines)).toEqual([])
    expect(lines.length).toBeGreaterThan(7 + 7)
  })
})

describe('holdfast mount on ext4', () => {
  test('over the directory itself: programs leave the same tree', () => {
    const lines = run({ kind: 'ext4', overItself: true })
    expect(failures(lines)).toEqual([])
    expect(lines.length).toBeGreaterThan(7)
  })

  test('without passthrough: programs leave the same tree', () => {
    const lines = run({ kind: 'ext4', options: ['--no-passthrough'] })
    expect(failures(lines)).toEqual([])
    expect(lines.length).toBeGreaterThan(7)
  })
})
