import type { Deferred, RequestInfo, SecurityContext } from './api.js'
import type { DirectoryBuffer } from './directory.js'
import { decodeExtensions, NO_EXTENSIONS } from './extensions.js'
import { ProtocolError } from './wire/errors.js'
import { readU16, readU32, readU64 } from './wire/fields.js'
import { inHeader } from './wire/structs.js'

/** Makes the Deferred of a request: the session's business. */
export interface Deferrer {
  defer(request: Request): Deferred<unknown>
}

const UNIQUE = inHeader.at.unique
const EXTENSION_UNIT = 8

/**
 * The header of one request. It holds no view of the buffer but the security contexts, so it may be kept for as
 * long as the request waits.
 */
export class Request implements RequestInfo {
  readonly opcode: number
  readonly nodeid: number
  readonly uid: number
  readonly gid: number
  readonly pid: number
  readonly supplementaryGroup: number | null
  readonly securityContexts: readonly SecurityContext[]
  /** `unique` in halves, since replies need no bigint. */
  readonly uniqueLow: number
  readonly uniqueHigh: number
  /** Where the body ends and the extensions begin. */
  readonly bodyEnd: number
  /** The most bytes that the caller has room for behind the reply's struct; set by the operation. */
  sizeMax = Number.POSITIVE_INFINITY
  /** The listing being built, for READDIR and READDIRPLUS. */
  directory: DirectoryBuffer | null = null
  /** Its answer, if it is owed; the dispatcher's. */
  deferred: Deferred<unknown> | null = null
  private readonly deferrer: Deferrer

  /**
   * @param length Bytes of the message, at least those of the header.
   * @throws ProtocolError if the length or the extensions do not match the header.
   */
  constructor(buffer: Buffer, length: number, deferrer: Deferrer) {
    this.deferrer = deferrer
    this.opcode = readU32(buffer, inHeader.at.opcode)
    this.uniqueLow = readU32(buffer, UNIQUE)
    this.uniqueHigh = readU32(buffer, UNIQUE + 4)
    this.nodeid = readU64(buffer, inHeader.at.nodeid)
    this.uid = readU32(buffer, inHeader.at.uid)
    this.gid = readU32(buffer, inHeader.at.gid)
    this.pid = readU32(buffer, inHeader.at.pid)
    const announced = readU32(buffer, inHeader.at.len)
    if (announced !== length) throw new ProtocolError(`${announced} bytes announced, ${length} read`)
    const extensionSize = readU16(buffer, inHeader.at.total_extlen) * EXTENSION_UNIT
    this.bodyEnd = length - extensionSize
    if (this.bodyEnd < inHeader.size) throw new ProtocolError('extensions reach into the header')
    const extensions = extensionSize === 0 ? NO_EXTENSIONS : decodeExtensions(buffer, this.bodyEnd, length)
    this.supplementaryGroup = extensions.supplementaryGroup
    this.securityContexts = extensions.securityContexts
  }

  get unique(): bigint {
    return (BigInt(this.uniqueHigh) << 32n) | BigInt(this.uniqueLow)
  }

  defer<T>(): Deferred<T> {
    return this.deferrer.defer(this)
  }
}
