/** The only place that makes replies, so every request gets exactly one. */
import { AssertionError } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import { type Deferred, type FuseFileSystem, PENDING, type Transport } from './api.js'
import type { RequestBody } from './body.js'
import { formatReply } from './debug.js'
import { wireErrno } from './encode-reply.js'
import { TransportError } from './errors.js'
import { operationOf } from './operations/index.js'
import type { Context, Operation } from './operations/operation.js'
import { Pending, PendingTable, type Replier } from './pending.js'
import { ReplyBuffer } from './reply-buffer.js'
import type { Deferrer, Request } from './request.js'
import { ProtocolError } from './wire/errors.js'
import { FUSE_UNIQUE_RESEND } from './wire/flags.js'

/** Receives every error that is a bug of ours or of the file system. `request` is null outside of requests. */
export type ReportBug = (error: unknown, request: Request | null) => void

export interface DispatcherOptions {
  readonly fileSystem: FuseFileSystem
  readonly transport: Transport
  readonly reportBug: ReportBug
  readonly debug: ((line: string) => void) | null
}

/** `unique` in halves and the opcode: all that a reply needs to know of its request. */
type Numbered = Pick<Request, 'uniqueLow' | 'uniqueHigh'>

const RESEND_BIT = 0x8000_0000

export class Dispatcher implements Deferrer, Replier {
  readonly pendings = new PendingTable()
  private readonly fileSystem: FuseFileSystem
  private readonly transport: Transport
  private readonly reportBug: ReportBug
  private readonly debug: ((line: string) => void) | null
  private readonly reply = new ReplyBuffer()
  private current: { request: Request; operation: Operation<unknown>; pending: Pending | null } | null = null

  constructor(options: DispatcherOptions) {
    this.fileSystem = options.fileSystem
    this.transport = options.transport
    this.reportBug = options.reportBug
    this.debug = options.debug
  }

  /** Carries out one request that wants a reply, and answers it unless the file system deferred that. */
  dispatch(request: Request, body: RequestBody, context: Context): void {
    if (request.uniqueHigh >= RESEND_BIT && this.isPending(request)) return
    const operation = operationOf(request.opcode)
    if (operation === undefined) {
      this.sendError(request, request.opcode, Errno.ENOSYS)
      return
    }
    const current = { request, operation, pending: null as Pending | null }
    this.current = current
    let result: unknown
    try {
      result = operation.call(this.fileSystem, request, body, context)
    } catch (error) {
      result = -this.errnoOf(error, request)
    } finally {
      this.current = null
    }
    const pending = current.pending
    if (result === PENDING && pending !== null) return
    if (result === PENDING) {
      this.reportBug(new AssertionError('PENDING without a call of defer'), request)
      result = -Errno.EIO
    } else if (pending !== null) {
      if (typeof result !== 'number') {
        this.reportBug(new AssertionError('an answer was returned although it had been deferred'), request)
      }
      if (pending.state !== 'owed') return
      pending.state = 'abandoned'
      this.pendings.remove(pending)
      result = typeof result === 'number' ? result : -Errno.EIO
    }
    if (typeof result === 'number') {
      if (result === 0 || wireErrno(-result) !== -result) {
        this.reportBug(new AssertionError(`${result} was answered, which is no negative errno`), request)
      }
      this.sendError(request, request.opcode, -result)
    } else this.sendValue(request, request, operation, result)
  }

  /** Answers with an errno; 0 or what the kernel would not take becomes EIO. */
  sendError(numbered: Numbered, opcode: number, errno: number): void {
    // Answering number 0 would be read as a notification; the kernel gives it to nothing that wants a reply.
    if (numbered.uniqueLow === 0 && numbered.uniqueHigh === 0) return
    this.reply.start()
    this.send(numbered, opcode, errno === 0 ? Errno.EIO : wireErrno(errno))
  }

  defer(request: Request): Deferred<unknown> {
    const current = this.current
    if (current === null || current.request !== request) {
      // A handler that goes on later may find that it has to wait for something else.
      if (request.deferred !== null) return request.deferred
      throw new AssertionError('defer must be called before the handler returns')
    }
    if (current.pending !== null) throw new AssertionError('defer was called twice')
    const pending = new Pending(request, current.operation, this)
    this.pendings.add(pending)
    current.pending = pending
    request.deferred = pending
    return pending
  }

  settle(pending: Pending, error: number, value: unknown): void {
    this.pendings.remove(pending)
    if (error !== 0) this.sendError(pending, pending.request.opcode, -error)
    else this.sendValue(pending, pending.request, pending.operation, value)
  }

  release(pending: Pending): void {
    this.pendings.remove(pending)
  }

  /** Tells the owner of a waiting request that its caller was interrupted; the kernel wants no reply to this. */
  interrupt(unique: bigint): void {
    const pending = this.pendings.find(unique)
    if (pending === undefined) return
    try {
      pending.interrupt()
    } catch (error) {
      this.reportBug(error, pending.request)
    }
  }

  /** Answers all waiting requests; answers of their owners are dropped from now on. */
  failAllPending(errno: Errno): void {
    for (const pending of this.pendings.all()) {
      pending.state = 'abandoned'
      this.pendings.remove(pending)
      this.sendError(pending, pending.request.opcode, errno)
    }
  }

  /**
   * A request that is sent again while its first copy waits here is answered by that copy, with the number that
   * the kernel knows now.
   */
  private isPending(request: Request): boolean {
    const unique = request.unique
    const pending = this.pendings.find(unique) ?? this.pendings.find(unique & ~FUSE_UNIQUE_RESEND)
    if (pending === undefined) return false
    this.pendings.renumber(pending, request)
    return true
  }

  /** Wrong bytes are the kernel's; anything else that is thrown is a bug, because failures are values. */
  private errnoOf(error: unknown, request: Request): Errno {
    if (error instanceof ProtocolError) return error.errno
    this.reportBug(error, request)
    return Errno.EIO
  }

  private sendValue(
    numbered: Numbered,
    request: Request,
    operation: Operation<unknown>,
    value: unknown,
  ): void {
    this.reply.start()
    try {
      operation.encode(this.reply, value, request)
    } catch (error) {
      this.sendError(numbered, request.opcode, this.errnoOf(error, request))
      this.reportLost(request, operation, value)
      return
    }
    const accepted = this.send(numbered, request.opcode, 0)
    if (!accepted) this.reportLost(request, operation, value)
  }

  /** Writes what is in the reply buffer. @returns false if the kernel did not take it. */
  private send(numbered: Numbered, opcode: number, errno: number): boolean {
    const parts = this.reply.finish(numbered.uniqueLow, numbered.uniqueHigh, -errno)
    this.debug?.(formatReply(opcode, parts))
    const result = this.transport.write(parts)
    if (result >= 0) return true
    // ENOENT: the caller is gone. ENODEV, ECONNABORTED: so is the mount. None of them is a mistake.
    if (result === -Errno.ENOENT || result === -Errno.ENODEV || result === -Errno.ECONNABORTED) return false
    this.reportBug(new TransportError('write', -result), null)
    // The kernel refused the bytes and may still be waiting: it gets the shortest answer there is.
    if (errno !== Errno.EIO) this.sendError(numbered, opcode, Errno.EIO)
    return false
  }

  private reportLost(request: Request, operation: Operation<unknown>, value: unknown): void {
    if (operation.created === undefined || this.fileSystem.replyLost === undefined) return
    try {
      const lost = operation.created(value, request)
      if (lost.nodeids.length > 0 || lost.fh !== null) this.fileSystem.replyLost(request.opcode, lost)
    } catch (error) {
      this.reportBug(error, request)
    }
  }
}
