/** A device without a kernel, for tests of sessions and of file systems. */
import type { Transport } from './api.js'
import { FUSE_KERNEL_MINOR_VERSION, FUSE_KERNEL_VERSION, FUSE_ROOT_ID, INIT_FLAGS } from './wire/flags.js'
import { OPCODES, type OpcodeName } from './wire/opcodes.js'
import type { Struct } from './wire/struct.js'
import { inHeader, initIn, outHeader } from './wire/structs.js'

/** One message that was written: a reply, or a notification if `unique` is 0 (then `error` is its code). */
export interface WrittenMessage {
  readonly unique: bigint
  /** 0 or a negative errno. */
  readonly error: number
  readonly body: Buffer
  /** Header and body. */
  readonly bytes: Buffer
}

/** Plays queued reads back and keeps a copy of everything that is written. */
export class ScriptedTransport implements Transport {
  /** What `read` gives next, in order: a request, or a negative errno. Then 0: nothing there. */
  readonly reads: (Buffer | number)[] = []
  readonly written: WrittenMessage[] = []
  /** What the next calls of `write` return, in order; then 0. A refused message is kept in `refused`. */
  readonly writeResults: number[] = []
  readonly refused: WrittenMessage[] = []

  read(buffer: Buffer): number {
    const next = this.reads.shift()
    if (next === undefined) return 0
    if (typeof next === 'number') return next
    return next.copy(buffer)
  }

  write(parts: readonly Uint8Array[]): number {
    const bytes = Buffer.concat(parts)
    const { error, unique } = outHeader.decode(bytes)
    const message = { unique, error, body: bytes.subarray(outHeader.size), bytes }
    const result = this.writeResults.shift() ?? 0
    if (result < 0) this.refused.push(message)
    else this.written.push(message)
    return result
  }

  /** The oldest message not taken yet. @throws Error if there is none. */
  takeWritten(): WrittenMessage {
    const message = this.written.shift()
    if (message === undefined) throw new Error('nothing was written')
    return message
  }
}

export interface RequestHeader {
  /** Default 2: ordinary requests have even numbers. */
  readonly unique?: bigint
  /** Default: the root. */
  readonly nodeid?: bigint
  readonly uid?: number
  readonly gid?: number
  readonly pid?: number
  /** Bytes that follow the body, a multiple of 8. */
  readonly extensions?: Uint8Array
}

/** A request as the kernel would write it. @param body Parts in order; text is given with its NUL. */
export function encodeRequest(
  operation: OpcodeName | number,
  header: RequestHeader = {},
  ...body: readonly (Uint8Array | string)[]
): Buffer {
  const extensions = header.extensions ?? new Uint8Array(0)
  const parts = [
    ...body.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
    extensions,
  ]
  let len: number = inHeader.size
  for (const part of parts) len += part.length
  const head = inHeader.encode({
    len,
    opcode: typeof operation === 'number' ? operation : OPCODES[operation].code,
    unique: header.unique ?? 2n,
    nodeid: 0,
    uid: header.uid ?? 0,
    gid: header.gid ?? 0,
    pid: header.pid ?? 0,
    total_extlen: extensions.length / 8,
  })
  head.writeBigUInt64LE(header.nodeid ?? BigInt(FUSE_ROOT_ID), inHeader.at.nodeid)
  return Buffer.concat([head, ...parts])
}

/** A struct of which everything that is not given is zero. */
export function encodeFields(
  struct: Pick<Struct, 'name' | 'size' | 'layout'>,
  values: Readonly<Record<string, number | bigint>>,
): Buffer {
  const bytes = Buffer.alloc(struct.size)
  for (const [name, value] of Object.entries(values)) {
    const row = struct.layout.find((field) => field.name === name)
    if (row === undefined || row.field === null) throw new Error(`${struct.name} has no field ${name}`)
    row.field.write(bytes, row.offset, value)
  }
  return bytes
}

/** The INIT of a kernel. @param flags What it offers, `flags | flags2 << 32`. Default: everything. */
export function encodeInitRequest(
  minor: number = FUSE_KERNEL_MINOR_VERSION,
  flags: bigint = allInitFlags(),
  major: number = FUSE_KERNEL_VERSION,
): Buffer {
  const body = initIn.encode({
    major,
    minor,
    max_readahead: 0x2_0000,
    flags: Number(BigInt.asUintN(32, flags)),
    flags2: Number(flags >> 32n),
  })
  // 7.36 extended the struct and brought FUSE_INIT_EXT.
  return encodeRequest('INIT', {}, minor < 36 ? body.subarray(0, initIn.at.flags2) : body)
}

function allInitFlags(): bigint {
  let all = 0n
  for (const flag of Object.values(INIT_FLAGS)) if (flag !== INIT_FLAGS.FUSE_INIT_RESERVED) all |= flag
  return all
}
