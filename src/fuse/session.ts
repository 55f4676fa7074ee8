import { Errno } from '../lib/errno.js'
import type { Answer, FuseFileSystem, Negotiated, Transport } from './api.js'
import { RequestBody } from './body.js'
import { formatRequest } from './debug.js'
import { DirectoryBuffer } from './directory.js'
import { Dispatcher, type ReportBug } from './dispatch.js'
import { type KernelLacksError, type KernelTooOldError, TransportError } from './errors.js'
import { checkWantedFlags, DEFAULT_MAX_WRITE, type NegotiationOptions, negotiate } from './negotiate.js'
import { isUnawaited, oneWayOf } from './one-way.js'
import type { Context, InitReply } from './operations/operation.js'
import { Request } from './request.js'
import { ProtocolError } from './wire/errors.js'
import { readU32 } from './wire/fields.js'
import { INIT_FLAGS, SIZES } from './wire/flags.js'
import { OPCODES } from './wire/opcodes.js'
import { inHeader, initIn, setxattrIn } from './wire/structs.js'

export interface SessionOptions extends NegotiationOptions {
  readonly transport: Transport
  readonly fileSystem: FuseFileSystem
  /** Told of every bug of ours or of the file system's; the request concerned was answered with EIO. */
  readonly reportBug: ReportBug
  /** Gets one line for each message. Default: none, which costs nothing. */
  readonly debug?: (line: string) => void
  /** What an earlier session on the same connection agreed on; the kernel sends INIT only once. */
  readonly resumed?: Negotiated
}

/** Room for a header, the largest struct and names, beyond the data (libfuse: FUSE_BUFFER_HEADER_SIZE). */
const HEADER_ROOM = 4096
/** SETXATTR carries 64 KiB, BATCH_FORGET whatever fits. */
const BUFFER_DATA_MIN = 0x2_0000
const LISTING_SIZE_MAX = 0x10_0000
/** The bytes of fuse_init_in before 7.36. */
const OLD_INIT_IN_SIZE = initIn.at.flags2

/**
 * One mount: reads requests, hands them to the file system and writes the answers. The root may be a directory
 * or a regular file; both are nodeid 1, and which it is was said by `rootmode` at mount(2), not here.
 *
 * Nothing waits: `receive` is to be called when the device is readable. Not reentrant: a handler must not call
 * `receive` or `handle`.
 */
export class FuseSession {
  /** What INIT agreed on; null before. */
  negotiated: Negotiated | null
  /** Why INIT was refused. The mount then answers nothing but errors. */
  initError: KernelTooOldError | KernelLacksError | null = null
  private readonly options: SessionOptions
  private readonly dispatcher: Dispatcher
  private readonly buffer: Buffer
  private readonly body = new RequestBody()
  private readonly context: Context
  private readonly interrupt: (unique: bigint) => void
  private setxattrInSize: number = setxattrIn.size
  private freeDirectory: DirectoryBuffer | null = new DirectoryBuffer()

  constructor(options: SessionOptions) {
    checkWantedFlags(options.wantedFlags)
    this.options = options
    const maxWrite = Math.max(options.maxWrite ?? DEFAULT_MAX_WRITE, options.resumed?.maxWrite ?? 0)
    this.buffer = Buffer.alloc(Math.max(maxWrite, BUFFER_DATA_MIN) + HEADER_ROOM)
    this.dispatcher = new Dispatcher({ ...options, debug: options.debug ?? null })
    this.negotiated = null
    if (options.resumed !== undefined) this.agree(options.resumed)
    this.interrupt = (unique) => this.dispatcher.interrupt(unique)
    this.context = {
      setxattrInSize: () => this.setxattrInSize,
      initialize: (body) => this.initialize(body),
      takeDirectory: (sizeMax, plus) => this.takeDirectory(sizeMax, plus),
    }
  }

  /** How many requests wait for their answer here, without those that were taken. */
  get pendingCount(): number {
    return this.dispatcher.pendings.size
  }

  /** Answers every waiting request with `errno`. What their owners answer later is dropped. */
  failAllPending(errno: Errno): void {
    this.dispatcher.failAllPending(errno)
  }

  /** Does a program wait for what was received last? Only right after `receive`. */
  get isLastAwaited(): boolean {
    return !isUnawaited(readU32(this.buffer, inHeader.at.opcode))
  }

  /**
   * Reads one request, if there is one, and carries it out.
   * @returns `idle` if there was none; `unmounted` once the connection is gone, when nothing can be answered.
   * @throws TransportError if the device cannot be read for another reason.
   */
  receive(): 'handled' | 'idle' | 'unmounted' {
    const length = this.options.transport.read(this.buffer)
    if (length > 0) {
      this.handle(this.buffer, length)
      return 'handled'
    }
    switch (-length) {
      case 0:
      case Errno.EAGAIN:
      case Errno.EINTR:
      // The request was interrupted while it was being read: there will be another (fuse_dev_do_read).
      case Errno.ENOENT:
        return 'idle'
      case Errno.ENODEV:
      // Aborted through fusectl, with FUSE_ABORT_ERROR.
      case Errno.ECONNABORTED:
        return 'unmounted'
      default:
        throw new TransportError('read', -length)
    }
  }

  /**
   * Carries out the request in the first `length` bytes of `buffer`. Never throws for what is in them, nor for
   * what the file system does. The bytes may be overwritten afterwards.
   */
  handle(buffer: Buffer, length: number): void {
    const { debug, reportBug } = this.options
    debug?.(formatRequest(buffer, length, this.setxattrInSize))
    if (length < inHeader.size) {
      this.refuseHeader(buffer, length, 'shorter than a header')
      return
    }
    let request: Request
    try {
      request = new Request(buffer, length, this.dispatcher)
    } catch (error) {
      this.refuseHeader(buffer, length, error instanceof ProtocolError ? error.message : 'unreadable')
      return
    }
    this.body.start(buffer, inHeader.size, request.bodyEnd)
    const oneWay = oneWayOf(request.opcode)
    if (oneWay !== undefined) {
      try {
        oneWay(this.options.fileSystem, request, this.body, this.interrupt)
      } catch (error) {
        reportBug(error, request)
      }
      return
    }
    if (this.negotiated === null && request.opcode !== OPCODES.INIT.code) {
      this.dispatcher.sendError(request, request.opcode, Errno.EIO)
      return
    }
    this.dispatcher.dispatch(request, this.body, this.context)
    // A request that waits keeps the listing it was given; the next one gets another.
    if (this.freeDirectory === null && this.dispatcher.pendings.find(request.unique) === undefined) {
      this.freeDirectory = request.directory
    }
  }

  /** Answers what cannot even be decoded, as long as the bytes have a number to answer. */
  private refuseHeader(buffer: Buffer, length: number, reason: string): void {
    this.options.reportBug(new ProtocolError(`a request of ${length} bytes is ${reason}`, Errno.EIO), null)
    const uniqueEnd = inHeader.at.unique + 8
    if (length < uniqueEnd) return
    const opcode = buffer.readUInt32LE(inHeader.at.opcode)
    if (oneWayOf(opcode) !== undefined) return
    const uniqueLow = buffer.readUInt32LE(inHeader.at.unique)
    const uniqueHigh = buffer.readUInt32LE(inHeader.at.unique + 4)
    this.dispatcher.sendError({ uniqueLow, uniqueHigh }, opcode, Errno.EIO)
  }

  private initialize(body: RequestBody): Answer<InitReply> {
    // The kernel never asks twice, and agreeing on something else under a running file system is not possible.
    if (this.negotiated !== null || this.initError !== null) return -Errno.EIO
    const isOld = body.remaining() < initIn.size
    const kernel = body.decodePrefix(initIn, isOld ? OLD_INIT_IN_SIZE : initIn.size)
    const negotiation = negotiate(kernel, this.options)
    switch (negotiation.kind) {
      case 'again':
        return { bytes: negotiation.reply }
      case 'refused':
        this.initError = negotiation.error
        return -Errno.EPROTO
      case 'agreed':
        this.options.fileSystem.init?.(negotiation.negotiated)
        this.agree(negotiation.negotiated)
        return { bytes: negotiation.reply }
    }
  }

  private agree(negotiated: Negotiated): void {
    this.negotiated = negotiated
    const isExtended = (negotiated.flags & INIT_FLAGS.FUSE_SETXATTR_EXT) !== 0n
    this.setxattrInSize = isExtended ? setxattrIn.size : SIZES.FUSE_COMPAT_SETXATTR_IN_SIZE
  }

  private takeDirectory(sizeMax: number, plus: boolean): DirectoryBuffer {
    const directory = this.freeDirectory ?? new DirectoryBuffer()
    this.freeDirectory = null
    // Fewer entries than there is room for are always a lawful answer; 4 GiB of memory would not be.
    directory.start(Math.min(sizeMax, LISTING_SIZE_MAX), plus)
    return directory
  }
}
