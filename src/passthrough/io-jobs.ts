/**
 * System calls that may take long, as plain objects: they can be sent to another thread, and they run the same
 * way wherever `runJob` is called. Results are the kernel's: a value, or a negative errno.
 */
import { Errno } from '../lib/errno.js'
import { POSIX_FADV_WILLNEED, RWF_APPEND, RWF_NOWAIT } from '../linux/constants.js'
import { addressOf } from '../linux/libc.js'
import * as raw from '../linux/raw.js'
import { type Identity, threadIdentity } from './identity.js'

export type Job =
  | { readonly kind: 'fsync'; readonly fd: number; readonly dataOnly: boolean; readonly closeAfter?: true }
  | { readonly kind: 'syncfs'; readonly fd: number; readonly closeAfter?: true }
  | { readonly kind: 'close'; readonly fd: number }
  | {
      readonly kind: 'fallocate'
      readonly fd: number
      readonly mode: number
      readonly offset: number
      readonly length: number
      readonly writer: Writer
    }
  | {
      readonly kind: 'truncate'
      readonly fd: number
      readonly size: number
      readonly writer: Writer
      readonly closeAfter?: true
    }
  | {
      readonly kind: 'copy'
      readonly fdIn: number
      readonly offIn: number
      readonly fdOut: number
      readonly offOut: number
      readonly length: number
      readonly writer: Writer
    }
  | {
      readonly kind: 'read'
      readonly fd: number
      readonly offset: number
      readonly size: number
      /** How many bytes behind it will be asked for next, by all that is known. */
      readonly aheadSize: number
    }
  | {
      readonly kind: 'write'
      readonly fd: number
      /** Or AT_END. */
      readonly offset: number
      readonly data: Uint8Array
      readonly writer: Writer
    }

/** Whose blocks are taken, and whether setuid bits survive the change. */
export interface Writer {
  readonly uid: number
  readonly keepSetid: boolean
}

export interface JobResult {
  readonly result: number
  /** What a read has read. */
  readonly data?: Uint8Array
}

/**
 * Runs jobs. `done` is called once, in the thread that serves the file system: at once, or later. Descriptors
 * in a job stay open until then.
 */
export interface IoThreads {
  submit(job: Job, done: (result: JobResult) => void): void
}

function offsetBytes(offset: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(offset))
  return bytes
}

/** Does something to a file as this writer. */
export function asWriter(identity: Identity, writer: Writer, action: () => number): number {
  identity.becomeUser(writer.uid)
  return writer.keepSetid ? identity.keepingSetid(action) : action()
}

const iovec = new BigUint64Array(2)

/** Instead of an offset: behind what is there at that moment, whoever has written it. */
export const AT_END = -1

/** pwrite(2), or what write(2) does with O_APPEND. */
export function writeAt(fd: number, data: Uint8Array, offset: number): number {
  if (offset !== AT_END) return raw.pwrite(fd, data, data.length, offset)
  iovec[0] = addressOf(data)
  iovec[1] = BigInt(data.length)
  return raw.pwritev2(fd, iovec, 1, 0, RWF_APPEND)
}

/** Writes all of `data`, unless the file system has no room for the rest. */
function writeFully(fd: number, data: Uint8Array, offset: number): number {
  let written = 0
  while (written < data.length) {
    const rest = written === 0 ? data : data.subarray(written)
    const result = writeAt(fd, rest, offset === AT_END ? AT_END : offset + written)
    if (result === -Errno.EINTR) continue
    if (result <= 0) return written > 0 ? written : result
    written += result
  }
  return written
}

/** Reads up to the end of the file or of the buffer. */
export function readFully(fd: number, buffer: Uint8Array, offset: number): number {
  let done = 0
  while (done < buffer.length) {
    const rest = done === 0 ? buffer : buffer.subarray(done)
    const result = raw.pread(fd, rest, rest.length, offset + done)
    if (result === -Errno.EINTR) continue
    if (result < 0) return done > 0 ? done : result
    if (result === 0) break
    done += result
  }
  return done
}

/** Reads what is in the page cache. @returns -EAGAIN where that is nothing, -EOPNOTSUPP where nobody knows. */
export function readCached(fd: number, buffer: Uint8Array, offset: number): number {
  iovec[0] = addressOf(buffer)
  iovec[1] = BigInt(buffer.length)
  return raw.preadv2(fd, iovec, 1, offset, RWF_NOWAIT)
}

/** Carries out one job in the calling thread. */
export function runJob(job: Job, identity: Identity): JobResult {
  const result = carryOut(job, identity)
  if ('closeAfter' in job) raw.close(job.fd)
  return result
}

function carryOut(job: Job, identity: Identity): JobResult {
  switch (job.kind) {
    case 'fsync':
      return { result: job.dataOnly ? raw.fdatasync(job.fd) : raw.fsync(job.fd) }
    case 'syncfs':
      return { result: raw.syncfs(job.fd) }
    case 'close':
      return { result: raw.close(job.fd) }
    case 'fallocate':
      return {
        result: asWriter(identity, job.writer, () => raw.fallocate(job.fd, job.mode, job.offset, job.length)),
      }
    case 'truncate':
      return { result: asWriter(identity, job.writer, () => raw.ftruncate(job.fd, job.size)) }
    case 'copy': {
      const offIn = offsetBytes(job.offIn)
      const offOut = offsetBytes(job.offOut)
      return {
        result: asWriter(identity, job.writer, () =>
          raw.copyFileRange(job.fdIn, offIn, job.fdOut, offOut, job.length, 0),
        ),
      }
    }
    case 'read': {
      if (job.aheadSize > 0)
        raw.posixFadvise(job.fd, job.offset, job.size + job.aheadSize, POSIX_FADV_WILLNEED)
      // Of its own memory, so that it can be given to another thread; not cleared, since it is filled.
      const data = Buffer.allocUnsafeSlow(job.size)
      const result = readFully(job.fd, data, job.offset)
      return result < 0 ? { result } : { result, data: data.subarray(0, result) }
    }
    case 'write':
      return { result: asWriter(identity, job.writer, () => writeFully(job.fd, job.data, job.offset)) }
  }
}

/** Runs every job at once in the calling thread: for tests, and where nothing else is served meanwhile. */
export class InlineIo implements IoThreads {
  private readonly identity: Identity

  constructor() {
    this.identity = threadIdentity()
  }

  submit(job: Job, done: (result: JobResult) => void): void {
    done(runJob(job, this.identity))
  }
}
