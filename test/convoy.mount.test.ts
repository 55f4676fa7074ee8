/**
 * No convoy: a process that waits for the file system below keeps nobody else waiting. Below is a file system that holds
 * requests until it is told otherwise, so nothing here depends on how quick the machine is: what is claimed is that B is
 * through while A is still held.
 */
import path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { onMount, plainServer } from './support/on-mount.js'

/** Those of test/programs/convoy.py, which says for each what is done. */
const KINDS = [
  'lookup',
  'getattr',
  'open for writing',
  'open that truncates',
  'create',
  'mkdir',
  'mknod',
  'symlink',
  'link',
  'unlink',
  'rmdir',
  'rename',
  'rename onto a file',
  'chmod',
  'utimes',
  'truncate',
  'readdir',
  'opendir',
  'readlink',
  'statfs',
  'setxattr',
  'getxattr',
  'listxattr',
  'removexattr',
  'fsync',
  'fsync of a directory',
  'fallocate',
  'lseek',
]

describe('while the file system below holds one operation, others are served', () => {
  let lines: string[] = []

  beforeAll(() => {
    const server = [path.join(import.meta.dirname, 'support', 'serve-above.sh')]
    const script = 'python3 "$PROGRAMS/convoy.py" "$MOUNT" "$BACKING"'
    lines = onMount({ kind: 'ext4', server, script, timeoutS: 200 })
  }, 240_000)

  test.each(KINDS)('%s', (kind) => {
    // Anything but "ok" says what went wrong.
    expect(lines.filter((line) => line === `ok ${kind}` || line.startsWith(`${kind}:`))).toEqual([
      `ok ${kind}`,
    ])
  })

  test('and there is no kind that nobody looks at', () => {
    expect(lines.map((line) => line.replace(/^ok /, ''))).toEqual(KINDS)
  })
})

test('a mount whose every call is made in an io thread behaves as the directory does', () => {
  const script = 'python3 "$PROGRAMS/conformance.py" "$MOUNT" --backing "$BACKING" --passthrough'
  const lines = onMount({ kind: 'tmpfs', server: plainServer('tmpfs', '--remote'), script, timeoutS: 200 })
  expect(lines.filter((line) => !line.startsWith('ok ') && !line.startsWith('skip '))).toEqual([])
  expect(lines.length).toBeGreaterThan(35)
}, 240_000)
