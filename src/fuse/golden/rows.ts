/**
 * Golden messages: bytes written out by hand, field by field, so that the declarations are tested against
 * something other than themselves. A line is `hex or "text"  field and meaning`; text may hold \0.
 */
import type { FuseFileSystem } from '../api.js'
import type { OpcodeName } from '../wire/opcodes.js'

export interface GoldenRow {
  readonly operation: OpcodeName
  /** Distinguishes several rows of one operation. */
  readonly case?: string
  /** What follows the request header. */
  readonly request: string
  /** Makes the handlers; `call` records the arguments and returns its second argument. */
  readonly fileSystem: (call: Recorder) => FuseFileSystem
  /** The arguments that the handler must be given, without the request; buffers as text. */
  readonly expected: readonly unknown[]
  /** What follows the reply header. Null: the kernel takes no reply. */
  readonly reply: string | null
  /** A request of one byte less is lawful: its end is data or text without a length. */
  readonly shorterIsLawful?: string
}

export type Recorder = <T>(args: readonly unknown[], answer: T) => T

/** The bytes of an annotated text. @throws Error for a line that is neither hex nor a quoted text. */
export function goldenBytes(text: string): Buffer {
  const parts: Buffer[] = []
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    if (trimmed === '') continue
    const quoted = /^"((?:[^"\\]|\\0)*)"/.exec(trimmed)
    const hex = /^(?:[0-9a-f]{2})+(?= |$)/.exec(trimmed)
    if (quoted !== null) parts.push(Buffer.from((quoted[1] ?? '').replaceAll('\\0', '\0'), 'latin1'))
    else if (hex !== null) parts.push(Buffer.from(hex[0], 'hex'))
    else throw new Error(`neither hex nor text: ${trimmed}`)
  }
  return Buffer.concat(parts)
}

/** A request header, written without the declarations. nodeid 5, uid 1000, gid 100, pid 77. */
export function goldenRequest(code: number, body: Buffer, unique = 12n): Buffer {
  const head = Buffer.alloc(40)
  head.writeUInt32LE(40 + body.length, 0)
  head.writeUInt32LE(code, 4)
  head.writeBigUInt64LE(unique, 8)
  head.writeBigUInt64LE(5n, 16)
  head.writeUInt32LE(1000, 24)
  head.writeUInt32LE(100, 28)
  head.writeUInt32LE(77, 32)
  return Buffer.concat([head, body])
}

/** Buffers become text, so that rows can say what they hold. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]))
  }
  return value
}

export const ATTR = {
  ino: 0x1122_3344_5566_7788n,
  size: 4097,
  blocks: 16,
  atime: -1,
  mtime: 2,
  ctime: 3,
  atimeNsec: 4,
  mtimeNsec: 5,
  ctimeNsec: 6,
  mode: 0o100644,
  nlink: 7,
  uid: 1000,
  gid: 100,
  rdev: 8,
  blksize: 4096,
  flags: 0,
}
export const ATTR_BYTES = `
  8877665544332211  attr.ino
  0110000000000000  attr.size 4097
  1000000000000000  attr.blocks 16
  ffffffffffffffff  attr.atime -1
  0200000000000000  attr.mtime
  0300000000000000  attr.ctime
  04000000          attr.atimensec
  05000000          attr.mtimensec
  06000000          attr.ctimensec
  a4810000          attr.mode 0100644
  07000000          attr.nlink
  e8030000          attr.uid 1000
  64000000          attr.gid 100
  08000000          attr.rdev
  00100000          attr.blksize 4096
  00000000          attr.flags`
export const ATTR_REPLY = { attr: ATTR, attrValidMs: 2250 }
export const ATTR_REPLY_BYTES = `
  0200000000000000  attr_valid 2 s
  80b2e60e          attr_valid_nsec 250,000,000
  00000000          dummy
  ${ATTR_BYTES}`
export const ENTRY = { nodeid: 6, generation: 1, entryValidMs: 1500, attrValidMs: 60_000, attr: ATTR }
export const ENTRY_BYTES = `
  0600000000000000  nodeid
  0100000000000000  generation
  0100000000000000  entry_valid 1 s
  3c00000000000000  attr_valid 60 s
  0065cd1d          entry_valid_nsec 500,000,000
  00000000          attr_valid_nsec
  ${ATTR_BYTES}`
export const OPEN = { fh: 2 ** 33, openFlags: 128, backingId: 3 }
export const OPEN_BYTES = `
  0000000002000000  fh 2^33
  80000000          open_flags FOPEN_PASSTHROUGH
  03000000          backing_id`
