import { ProtocolError } from './wire/errors.js'
import type { Struct } from './wire/struct.js'

/** PATH_MAX: no name or link target in a request is longer, its NUL included. */
const NAME_SIZE_MAX = 4096
/** Views of names that begin and end before this are kept. */
const KEPT_VIEW_END = 512

/**
 * Reads the body of one request from front to back. One object serves all requests of a session.
 * Every method throws ProtocolError when the bytes are not what the operation needs.
 */
export class RequestBody {
  private buffer: Buffer = Buffer.alloc(0)
  private at = 0
  private end = 0
  /**
   * Views of `buffer` by where they begin and how long they are. Names come at the same few places, and making a view
   * of one costs as much as decoding the rest of its request.
   */
  private views: (Buffer | undefined)[][] = []

  /** @param end The first byte after the body; what the buffer holds beyond is an earlier request. */
  start(buffer: Buffer, at: number, end: number): void {
    if (buffer !== this.buffer) this.views = []
    this.buffer = buffer
    this.at = at
    this.end = end
  }

  private view(start: number, end: number): Buffer {
    if (end > KEPT_VIEW_END) return this.buffer.subarray(start, end)
    this.views[start] ??= []
    const sameStart = this.views[start]
    sameStart[end] ??= this.buffer.subarray(start, end)
    return sameStart[end]
  }

  decode<T>(struct: Pick<Struct, 'size'> & { decode(buffer: Buffer, at: number, end: number): T }): T {
    const value = struct.decode(this.buffer, this.at, this.end)
    this.at += struct.size
    return value
  }

  /** A struct of which an older kernel sends only the first `size` bytes: the others count as zero. */
  decodePrefix<T>(struct: Pick<Struct, 'size'> & { decode(buffer: Buffer): T }, size: number): T {
    if (this.at + size > this.end) throw new ProtocolError(`${size} bytes needed, ${this.end - this.at} left`)
    const whole = Buffer.alloc(struct.size)
    this.buffer.copy(whole, 0, this.at, this.at + size)
    this.at += size
    return struct.decode(whole)
  }

  remaining(): number {
    return this.end - this.at
  }

  /** The next name with its NUL, as a view. */
  nameZ(): Buffer {
    const { buffer, at } = this
    const limit = Math.min(this.end, at + NAME_SIZE_MAX)
    let nul = at
    while (nul < limit && buffer[nul] !== 0) nul++
    if (nul === limit) throw new ProtocolError('a name has no NUL or is too long')
    if (nul === at) throw new ProtocolError('a name is empty')
    this.at = nul + 1
    return this.view(at, nul + 1)
  }

  /** The last name of the message. */
  lastNameZ(): Buffer {
    const name = this.nameZ()
    if (this.at !== this.end) throw new ProtocolError(`${this.end - this.at} bytes after the last name`)
    return name
  }

  /** The rest of the message, which must be `size` bytes, as a view. */
  data(size: number): Buffer {
    if (this.end - this.at !== size)
      throw new ProtocolError(`${size} bytes announced, ${this.end - this.at} sent`)
    const data = this.buffer.subarray(this.at, this.end)
    this.at = this.end
    return data
  }
}
