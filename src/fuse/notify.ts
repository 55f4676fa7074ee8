/**
 * Notifications to the kernel. None may be sent while a request on the same inode is unanswered, nor by a thread
 * that must answer such a request first: INVAL_INODE, INVAL_ENTRY and DELETE take locks of the inode, and wait.
 */
import type { Notifier, Transport } from './api.js'
import { formatReply } from './debug.js'
import { NOTIFY_CODES } from './wire/flags.js'
import * as s from './wire/structs.js'

/**
 * The notifier of a connection. Every function returns 0 or the negative errno of the write: -ENOENT when the
 * kernel does not know the inode or name (nothing to do), -EINVAL when it is too old for the notification.
 */
export interface FullNotifier extends Notifier {
  poll(kh: bigint): number
  /** @param offset Negative: attributes only. @param length 0 or less: to the end of the file. */
  invalidateInode(nodeid: number, offset: number, length: number): number
  /** @param flags FUSE_EXPIRE_ONLY, with FUSE_HAS_EXPIRE_ONLY: look the name up again instead of forgetting it. */
  invalidateEntry(parent: number, name: Uint8Array, flags?: number): number
  deleteEntry(parent: number, child: number, name: Uint8Array): number
  /** Asks for all unanswered requests again, with FUSE_UNIQUE_RESEND in their number (FUSE_HAS_RESEND). */
  resend(): number
  /** Puts data into the page cache. */
  store(nodeid: number, offset: number, data: Uint8Array): number
  /** Asks for cached data; it comes through `FuseFileSystem.retrieved`. */
  retrieve(notifyUnique: bigint, nodeid: number, offset: number, size: number): number
  /** Makes every cached name be looked up again (7.44). */
  incrementEpoch(): number
  /** Asks the kernel to forget inodes that it does not use (7.45). */
  prune(nodeids: readonly number[]): number
}

const NUL = Uint8Array.of(0)

/** @param debug Gets one line for each notification. */
export function createNotifier(transport: Transport, debug?: (line: string) => void): FullNotifier {
  function send(code: number, ...body: readonly Uint8Array[]): number {
    let len: number = s.outHeader.size
    for (const part of body) len += part.length
    const parts = [s.outHeader.encode({ len, error: code, unique: 0n }), ...body]
    debug?.(formatReply(0, parts))
    return transport.write(parts)
  }
  return {
    poll: (kh) => send(NOTIFY_CODES.FUSE_NOTIFY_POLL, s.notifyPollWakeupOut.encode({ kh })),
    invalidateInode: (nodeid, offset, length) =>
      send(
        NOTIFY_CODES.FUSE_NOTIFY_INVAL_INODE,
        s.notifyInvalInodeOut.encode({ ino: nodeid, off: offset, len: length }),
      ),
    invalidateEntry: (parent, name, flags = 0) =>
      send(
        NOTIFY_CODES.FUSE_NOTIFY_INVAL_ENTRY,
        s.notifyInvalEntryOut.encode({ parent, namelen: name.length, flags }),
        name,
        NUL,
      ),
    deleteEntry: (parent, child, name) =>
      send(
        NOTIFY_CODES.FUSE_NOTIFY_DELETE,
        s.notifyDeleteOut.encode({ parent, child, namelen: name.length }),
        name,
        NUL,
      ),
    resend: () => send(NOTIFY_CODES.FUSE_NOTIFY_RESEND),
    store: (nodeid, offset, data) =>
      send(
        NOTIFY_CODES.FUSE_NOTIFY_STORE,
        s.notifyStoreOut.encode({ nodeid, offset, size: data.length }),
        data,
      ),
    retrieve: (notifyUnique, nodeid, offset, size) =>
      send(
        NOTIFY_CODES.FUSE_NOTIFY_RETRIEVE,
        s.notifyRetrieveOut.encode({ notify_unique: notifyUnique, nodeid, offset, size }),
      ),
    incrementEpoch: () => send(NOTIFY_CODES.FUSE_NOTIFY_INC_EPOCH),
    prune(nodeids) {
      const list = Buffer.alloc(nodeids.length * 8)
      for (const [index, nodeid] of nodeids.entries()) list.writeBigUInt64LE(BigInt(nodeid), index * 8)
      return send(NOTIFY_CODES.FUSE_NOTIFY_PRUNE, s.notifyPruneOut.encode({ count: nodeids.length }), list)
    },
  }
}
