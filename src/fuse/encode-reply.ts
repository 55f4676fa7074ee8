/**
 * Replies as bytes, without a session: for a thread that answers a request it took over (`Deferred.taken`), and
 * for tests.
 */
import { Errno } from '../lib/errno.js'
import type { Transport } from './api.js'
import { outHeader } from './wire/structs.js'

/** The kernel refuses other errors with EINVAL and leaves the request unanswered (fuse_dev_do_write). */
const ERRNO_MAX = 511

/** 0 stays 0; what the kernel would not take becomes EIO. */
export function wireErrno(errno: number): number {
  return Number.isInteger(errno) && errno >= 0 && errno <= ERRNO_MAX ? errno : Errno.EIO
}

/**
 * @param unique As it came, bit 63 included: the kernel finds the request by the number that it sent last, and
 *   FUSE_NOTIFY_RESEND sets FUSE_UNIQUE_RESEND in it (fuse_request_find and fuse_resend in fs/fuse/dev.c).
 * @param errno 0 for success, or a positive errno; one outside of 1..511 becomes EIO.
 * @param bodyLength Bytes that follow the header; the kernel refuses an error with a body.
 */
export function replyHeader(unique: bigint, errno: number, bodyLength: number): Buffer {
  return outHeader.encode({
    len: outHeader.size + bodyLength,
    error: errno === 0 ? 0 : -wireErrno(errno),
    unique,
  })
}

/** The parts of one reply, in order. With an errno the body is left out. */
export function encodeReply(unique: bigint, errno: number, body: readonly Uint8Array[] = []): Uint8Array[] {
  if (errno !== 0) return [replyHeader(unique, errno, 0)]
  let bodyLength = 0
  for (const part of body) bodyLength += part.length
  return [replyHeader(unique, 0, bodyLength), ...body]
}

/**
 * Answers a request that a session marked as taken.
 * @returns 0, or a negative errno as `Transport.write`; -ENOENT means that nobody waits any more.
 */
export function writeReply(
  transport: Transport,
  unique: bigint,
  errno: number,
  body: readonly Uint8Array[] = [],
): number {
  return transport.write(encodeReply(unique, errno, body))
}
