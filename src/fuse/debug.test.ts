import { constants } from 'node:fs'
import { expect, test } from 'vitest'
import { formatName, formatReply, formatRequest } from './debug.js'
import { formatFlags, formatOpenFlags } from './debug-fields.js'
import { putEntry, putOpen } from './encode-body.js'
import { encodeReply } from './encode-reply.js'
import { ATTR, ENTRY, OPEN } from './golden/rows.js'
import { encodeInitRequest, encodeRequest } from './testing.js'
import { FOPEN_FLAGS, FUSE_UNIQUE_RESEND } from './wire/flags.js'
import { OPCODES } from './wire/opcodes.js'
import { openIn, setattrIn } from './wire/structs.js'

function line(request: Buffer): string {
  return formatRequest(request, request.length)
}

test('debug: a request shows its node, its names and who asks', () => {
  const request = encodeRequest('LOOKUP', { unique: 12n, pid: 77 }, 'name\0')
  expect(line(request)).toBe('rx 12: LOOKUP n1 "name" uid=0 gid=0 pid=77 (5b)')
})

test('debug: two names', () => {
  const request = encodeRequest(
    'RENAME',
    { nodeid: 5n },
    Buffer.from('0900000000000000', 'hex'),
    'a\0',
    'b\0',
  )
  expect(line(request)).toBe('rx 2: RENAME n5 {newdir=n9} "a" "b" uid=0 gid=0 pid=0 (12b)')
})

test('debug: open flags have names', () => {
  const flags = constants.O_RDWR | constants.O_TRUNC | constants.O_DIRECTORY
  const request = encodeRequest('OPEN', { nodeid: 5n }, openIn.encode({ flags, open_flags: 1 }))
  expect(line(request)).toBe(
    'rx 2: OPEN n5 {flags=O_RDWR|O_TRUNC|O_DIRECTORY open_flags=FUSE_OPEN_KILL_SUIDGID} uid=0 gid=0 pid=0 (8b)',
  )
  expect(formatOpenFlags(0)).toBe('O_RDONLY')
})

test('debug: a truncate to 0 shows the 0, and times before 1970 their sign', () => {
  const body = Buffer.alloc(setattrIn.size)
  body.writeUInt32LE(8 | 16, 0)
  body.writeBigInt64LE(-1n, setattrIn.at.atime)
  expect(line(encodeRequest('SETATTR', {}, body))).toBe(
    'rx 2: SETATTR n1 {valid=FATTR_SIZE|FATTR_ATIME size=0 atime=-1} uid=0 gid=0 pid=0 (88b)',
  )
})

test('debug: every open flag has the number that this processor gives it', () => {
  const names = [
    'O_CREAT',
    'O_EXCL',
    'O_NOCTTY',
    'O_TRUNC',
    'O_APPEND',
    'O_NONBLOCK',
    'O_SYNC',
    'O_DSYNC',
  ] as const
  const others = ['O_DIRECT', 'O_DIRECTORY', 'O_NOFOLLOW', 'O_NOATIME'] as const
  for (const name of [...names, ...others]) {
    expect(formatOpenFlags(constants[name])).toBe(`O_RDONLY|${name}`)
  }
})

test('debug: bits without a name are shown as a number', () => {
  expect(formatFlags(0x180n, FOPEN_FLAGS)).toBe('FOPEN_PASSTHROUGH|0x100')
})

test('debug: a request that is sent again says so', () => {
  expect(line(encodeRequest('STATFS', { unique: FUSE_UNIQUE_RESEND | 6n }))).toContain(
    'rx 6 (resent): STATFS',
  )
})

test('debug: a reply shows the structs that its operation has', () => {
  const body = Buffer.alloc(144)
  putEntry(body, 0, { ...ENTRY, attr: { ...ATTR, ino: 9n } })
  putOpen(body, 128, OPEN)
  expect(formatReply(OPCODES.CREATE.code, encodeReply(12n, 0, [body]))).toBe(
    'tx 12: OK {nodeid=n6 generation=1 entry_valid=1 attr_valid=60 entry_valid_nsec=500000000 ino=9 size=4097 ' +
      'blocks=16 atime=-1 mtime=2 ctime=3 atimensec=4 mtimensec=5 ctimensec=6 mode=0100644 nlink=7 uid=1000 ' +
      'gid=100 rdev=8 blksize=4096} {fh=8589934592 open_flags=FOPEN_PASSTHROUGH backing_id=3} (144b)',
  )
})

test('debug: an error has its number and name', () => {
  expect(formatReply(1, encodeReply(12n, 2))).toBe('tx 12: -2=ENOENT')
})

test('debug: names that are not printable are escaped', () => {
  expect(formatName(Buffer.from('a"\\\n\xff', 'latin1'))).toBe('"a\\"\\\\\\x0a\\xff"')
})

test('debug: what does not decode is called malformed', () => {
  expect(line(encodeRequest('OPEN', {}, Buffer.alloc(7)))).toContain('OPEN n1 malformed uid=0')
  expect(line(encodeRequest('LOOKUP', {}, 'name'))).toContain('LOOKUP n1 malformed uid=0')
  expect(formatRequest(Buffer.alloc(40), 12)).toBe('rx ?: 12 bytes, shorter than a header')
  expect(line(encodeRequest(99))).toContain('rx 2: opcode 99 n1 uid=0')
})

test('debug: the INIT of an older kernel shows the fields it has', () => {
  expect(line(encodeInitRequest(31, 1n))).toBe(
    'rx 2: INIT n1 {major=7 minor=31 max_readahead=131072 flags=FUSE_ASYNC_READ} uid=0 gid=0 pid=0 (16b)',
  )
})
