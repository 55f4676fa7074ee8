import { expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import { putAttrReply } from './encode-body.js'
import { encodeReply, replyHeader, wireErrno, writeReply } from './encode-reply.js'
import { ATTR } from './golden/rows.js'
import { ScriptedTransport } from './testing.js'
import { FUSE_UNIQUE_RESEND } from './wire/flags.js'
import { attrOut } from './wire/structs.js'

test('reply: header of a success, with the number as it came', () => {
  const header = replyHeader(FUSE_UNIQUE_RESEND | 5n, 0, 8)
  expect(header.toString('hex')).toBe('18000000' + '00000000' + '0500000000000080')
})

test('reply: an error has a negative errno and no body', () => {
  const parts = encodeReply(5n, Errno.ENOENT, [Buffer.from('ignored')])
  expect(Buffer.concat(parts).toString('hex')).toBe('10000000' + 'feffffff' + '0500000000000000')
})

test('reply: errnos that the kernel refuses become EIO', () => {
  for (const errno of [-1, 512, 1.5, Number.NaN]) expect(wireErrno(errno)).toBe(Errno.EIO)
  for (const errno of [0, 1, 511]) expect(wireErrno(errno)).toBe(errno)
})

test('reply: writeReply hands the parts to the transport and returns what it says', () => {
  const transport = new ScriptedTransport()
  expect(writeReply(transport, 5n, 0, [Buffer.from('ab'), Buffer.from('c')])).toBe(0)
  expect(transport.takeWritten()).toMatchObject({ unique: 5n, error: 0 })
  transport.writeResults.push(-Errno.ENOENT)
  expect(writeReply(transport, 5n, 0)).toBe(-Errno.ENOENT)
})

test('reply: validity is whole seconds and nanoseconds, and for ever is 2^31 seconds', () => {
  const validity = (attrValidMs: number) => {
    const buffer = Buffer.alloc(attrOut.size)
    putAttrReply(buffer, 0, { attr: ATTR, attrValidMs })
    const { attr_valid, attr_valid_nsec } = attrOut.decode(buffer)
    return [attr_valid, attr_valid_nsec]
  }
  expect(validity(0)).toEqual([0, 0])
  expect(validity(0.5)).toEqual([0, 500_000])
  expect(validity(1999)).toEqual([1, 999_000_000])
  expect(validity(Number.POSITIVE_INFINITY)).toEqual([2 ** 31, 0])
})
