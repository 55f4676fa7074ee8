import { writeI32, writeU32 } from './wire/fields.js'
import { outHeader, statxOut } from './wire/structs.js'

/** Where the body of a reply starts. */
export const BODY = outHeader.size
/** No reply has more behind its header than this, apart from data. */
const BODY_SIZE_MAX = statxOut.size

/**
 * One reply under construction; a session has one, because the transport copies what it writes before it
 * returns. Encoders put the body into `bytes` from `BODY` on and say how long it is.
 */
export class ReplyBuffer {
  readonly bytes: Buffer = Buffer.alloc(BODY + BODY_SIZE_MAX)
  bodySize = 0
  /** Bytes that follow the body, as they are. */
  data: Uint8Array | null = null
  /** The beginning of `bytes` by length, made once each. */
  private readonly heads: (readonly [Buffer] | undefined)[] = []

  start(): void {
    this.bodySize = 0
    this.data = null
  }

  /** Writes the header. @param error 0 or a negative errno, within what the kernel takes. */
  finish(uniqueLow: number, uniqueHigh: number, error: number): readonly Uint8Array[] {
    const { bytes, bodySize, data } = this
    const dataSize = data === null ? 0 : data.length
    writeU32(bytes, outHeader.at.len, BODY + bodySize + dataSize)
    writeI32(bytes, outHeader.at.error, error)
    writeU32(bytes, outHeader.at.unique, uniqueLow)
    writeU32(bytes, outHeader.at.unique + 4, uniqueHigh)
    let head = this.heads[bodySize]
    if (head === undefined) {
      head = [bytes.subarray(0, BODY + bodySize)]
      this.heads[bodySize] = head
    }
    return data === null || dataSize === 0 ? head : [head[0], data]
  }
}
