import { describe, expect, test } from 'vitest'
import { goldenBytes } from './golden/rows.js'
import { createNotifier, type FullNotifier } from './notify.js'
import { ScriptedTransport } from './testing.js'

const NAME = Buffer.from('name')

const ROWS: readonly [string, (notifier: FullNotifier) => number, string][] = [
  [
    'POLL',
    (notifier) => notifier.poll(2n ** 64n - 1n),
    `
    18000000          len 24
    01000000          error FUSE_NOTIFY_POLL
    0000000000000000  unique 0
    ffffffffffffffff  kh`,
  ],
  [
    'INVAL_INODE',
    (notifier) => notifier.invalidateInode(5, -1, 4096),
    `
    28000000          len 40
    02000000          error FUSE_NOTIFY_INVAL_INODE
    0000000000000000  unique 0
    0500000000000000  ino: the nodeid
    ffffffffffffffff  off -1: attributes only
    0010000000000000  len 4096`,
  ],
  [
    'INVAL_ENTRY',
    (notifier) => notifier.invalidateEntry(5, NAME, 1),
    `
    25000000          len 37
    03000000          error FUSE_NOTIFY_INVAL_ENTRY
    0000000000000000  unique 0
    0500000000000000  parent
    04000000          namelen without the NUL
    01000000          flags FUSE_EXPIRE_ONLY
    "name\\0"         name`,
  ],
  [
    'STORE',
    (notifier) => notifier.store(5, 4096, Buffer.from('data')),
    `
    2c000000          len 44
    04000000          error FUSE_NOTIFY_STORE
    0000000000000000  unique 0
    0500000000000000  nodeid
    0010000000000000  offset
    04000000          size
    00000000          padding
    "data"            data`,
  ],
  [
    'RETRIEVE',
    (notifier) => notifier.retrieve(9n, 5, 4096, 8192),
    `
    30000000          len 48
    05000000          error FUSE_NOTIFY_RETRIEVE
    0000000000000000  unique 0
    0900000000000000  notify_unique
    0500000000000000  nodeid
    0010000000000000  offset
    00200000          size
    00000000          padding`,
  ],
  [
    'DELETE',
    (notifier) => notifier.deleteEntry(5, 6, NAME),
    `
    2d000000          len 45
    06000000          error FUSE_NOTIFY_DELETE
    0000000000000000  unique 0
    0500000000000000  parent
    0600000000000000  child
    04000000          namelen without the NUL
    00000000          padding
    "name\\0"         name`,
  ],
  [
    'RESEND',
    (notifier) => notifier.resend(),
    `
    10000000          len 16
    07000000          error FUSE_NOTIFY_RESEND
    0000000000000000  unique 0`,
  ],
  [
    'INC_EPOCH',
    (notifier) => notifier.incrementEpoch(),
    `
    10000000          len 16
    08000000          error FUSE_NOTIFY_INC_EPOCH
    0000000000000000  unique 0`,
  ],
  [
    'PRUNE',
    (notifier) => notifier.prune([5, 6]),
    `
    30000000          len 48
    09000000          error FUSE_NOTIFY_PRUNE
    0000000000000000  unique 0
    02000000          count
    00000000          padding
    0000000000000000  spare
    0500000000000000  nodeid
    0600000000000000  nodeid`,
  ],
]

describe('notify: bytes', () => {
  for (const [name, notify, expected] of ROWS) {
    test(name, () => {
      const transport = new ScriptedTransport()
      const lines: string[] = []
      expect(notify(createNotifier(transport, (line) => lines.push(line)))).toBe(0)
      expect(transport.takeWritten().bytes.toString('hex')).toBe(goldenBytes(expected).toString('hex'))
      expect(lines).toHaveLength(1)
      expect(lines[0]).toContain(`tx notify: FUSE_NOTIFY_${name} (`)
    })
  }
})

test('notify: the errno of the write is returned', () => {
  const transport = new ScriptedTransport()
  transport.writeResults.push(-2)
  expect(createNotifier(transport).invalidateInode(5, 0, 0)).toBe(-2)
})
