/** Open file descriptions: what OPEN, CREATE and TMPFILE made and RELEASE ends. */

import type { OpenReply, RequestInfo } from '../fuse/api.js'
import { FOPEN_FLAGS } from '../fuse/wire/flags.js'
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { type BackingIds, useOf } from './backing-ids.js'
import type { Features } from './features.js'
import type { OpenFile } from './gate.js'
import type { BackingTree } from './inodes/backing-tree.js'
import type { Inode } from './inodes/inode-table.js'
import type { Calls, Steps } from './io/calls.js'

type Opener = Pick<RequestInfo, 'pid' | 'uid' | 'gid'>

/** One open of a regular file. */
export class Handle implements OpenFile {
  readonly fh: number
  readonly node: Inode
  readonly flags: number
  readonly openedBy: number
  readonly isPassthrough: boolean
  /** Our own descriptor of the file, opened when an operation needs one. */
  fd = -1
  /** Where the last read through the daemon ended. */
  readEnd = 0
  /** How far the file system below was told to read ahead. */
  aheadEnd = 0

  constructor(fh: number, node: Inode, flags: number, openedBy: number, isPassthrough: boolean) {
    this.fh = fh
    this.node = node
    this.flags = flags
    this.openedBy = openedBy
    this.isPassthrough = isPassthrough
  }

  get isNonBlocking(): boolean {
    return (this.flags & c.O_NONBLOCK) !== 0
  }

  get isForWriting(): boolean {
    return (this.flags & c.O_ACCMODE) !== c.O_RDONLY
  }

  /** Every write must be on disk when it returns. */
  get isSynchronous(): boolean {
    return (this.flags & c.O_DSYNC) !== 0
  }
}

/**
 * What our own descriptor is opened with. O_APPEND goes, because pwrite(2) would then ignore the offset of a page that is
 * written back (what is appended has no offset, see AT_END); O_DIRECT, because our buffers are not aligned for it and the program's alignment
 * was checked by the kernel; O_NOATIME stays, so that reads leave the time alone as they should.
 */
const KEPT_FLAGS = c.O_ACCMODE | c.O_SYNC | c.O_DSYNC | c.O_NOATIME

/** Descriptors of files that are open since they were created, at most. */
const CREATED_FD_COUNT_MAX = 512

export class OpenFiles {
  private readonly handles = new Map<number, Handle>()
  private nextFh = 1
  /** What of FUSE is in use; set by INIT. */
  features: Features = new Set()
  private createdFdCount = 0
  private readonly calls: Calls
  private readonly tree: BackingTree
  private readonly backingIds: BackingIds

  private readonly keepsData: boolean

  constructor(calls: Calls, tree: BackingTree, backingIds: BackingIds, keepsData: boolean) {
    this.calls = calls
    this.tree = tree
    this.backingIds = backingIds
    this.keepsData = keepsData
  }

  get(fh: number): Handle {
    const handle = this.handles.get(fh)
    assert(handle !== undefined, `fh ${fh} is not open`)
    return handle
  }

  tryGet(fh: number): Handle | undefined {
    return this.handles.get(fh)
  }

  values(): Iterable<Handle> {
    return this.handles.values()
  }

  get size(): number {
    return this.handles.size
  }

  /** A number for an open of whatever kind; never used twice. */
  takeFh(): number {
    return this.nextFh++
  }

  /**
   * Opens a file that exists, without truncating it.
   * @returns a negative errno if it cannot be opened.
   */
  *open(inode: Inode, flags: number, opener: Opener): Steps<Handle | number> {
    if (!this.hasRoom()) return -Errno.EMFILE
    // Opened for writing in earnest, even where the I/O will go past us: the file may be append-only, immutable,
    // being executed, or read-only by now, and passthrough would not ask, or fail with EIO. So it would where a
    // server decides what can be read.
    const isInEarnest = this.calls.isRemote || (flags & c.O_ACCMODE) !== c.O_RDONLY
    const fd = isInEarnest ? yield* this.openData(inode, flags) : -1
    if (isInEarnest && fd < 0) return fd
    const toRegister = this.backingIds.isToBeMade(inode) ? yield* this.tree.pathFd(inode) : 0
    if (toRegister < 0) {
      if (fd >= 0) this.calls.close(fd)
      return toRegister
    }
    const handle = this.begin(fd, inode, flags, opener, false)
    if (handle.fd < 0 && !handle.isPassthrough) {
      const dataFd = yield* this.dataFd(handle)
      if (dataFd < 0) {
        useOf(inode).daemonUsers--
        return dataFd
      }
    }
    return this.add(handle)
  }

  /** May one more file be opened? Past the daemon that takes no descriptor of ours. */
  hasRoom(): boolean {
    return this.backingIds.isEnabled || this.tree.hasRoom('file')
  }

  /** Makes a handle for a file that was just created; `fd` belongs to the handle from here on. */
  openCreated(fd: number, inode: Inode, flags: number, opener: Opener): Handle {
    return this.add(this.begin(fd, inode, flags, opener, true))
  }

  /** @param fd a descriptor of the file, opened with these flags, or -1. */
  private begin(fd: number, inode: Inode, flags: number, opener: Opener, isNew: boolean): Handle {
    const forWriting = (flags & c.O_ACCMODE) !== c.O_RDONLY
    const isPassthrough = this.backingIds.acquire(inode, opener, forWriting, isNew ? fd : -1) > 0
    const handle = new Handle(this.nextFh++, inode, flags, opener.pid, isPassthrough)
    if (!isPassthrough) {
      handle.fd = fd
      // Counted before it is open: nobody else may open it past the daemon meanwhile.
      useOf(inode).daemonUsers++
    } else if (fd >= 0) {
      this.keepOrClose(handle, fd, isNew)
    }
    return handle
  }

  private add(handle: Handle): Handle {
    handle.node.openCount++
    this.handles.set(handle.fh, handle)
    return handle
  }

  /**
   * Whoever creates a file mostly sets its owner, mode or times before closing it: the descriptor is there, and
   * finding the file again would cost more than closing it later.
   */
  private keepOrClose(handle: Handle, fd: number, isNew: boolean): void {
    if (!isNew || this.createdFdCount >= CREATED_FD_COUNT_MAX || !this.tree.hasRoom('file')) {
      this.calls.close(fd)
      return
    }
    this.createdFdCount++
    handle.fd = fd
    handle.node.createdFd = fd
  }

  /** What to open a file with that a program opens with these flags. */
  static dataFlags(flags: number): number {
    return (flags & KEPT_FLAGS) | c.O_NONBLOCK | c.O_LARGEFILE
  }

  /** The file of a handle as a descriptor of ours; its own until it is released. */
  *dataFd(handle: Handle): Steps<number> {
    if (handle.fd >= 0) return handle.fd
    if (!this.tree.hasRoom('file')) return -Errno.EMFILE
    const fd = yield* this.openData(handle.node, handle.flags)
    // Another request of the same open file may have been quicker.
    if (fd >= 0 && handle.fd >= 0) this.calls.close(fd)
    else if (fd < 0) return fd
    else handle.fd = fd
    return handle.fd
  }

  private *openData(inode: Inode, programFlags: number): Steps<number> {
    const flags = OpenFiles.dataFlags(programFlags)
    const fd = yield* this.tree.openFile(inode, flags)
    // An append-only file (chattr +a) opens for writing with O_APPEND alone; it has one place to write anyway.
    if (fd !== -Errno.EPERM || (programFlags & c.O_APPEND) === 0) return fd
    return yield* this.tree.openFile(inode, flags | c.O_APPEND)
  }

  release(handle: Handle): void {
    const { node } = handle
    this.handles.delete(handle.fh)
    if (handle.fd >= 0 && handle.fd === node.createdFd) {
      node.createdFd = -1
      this.createdFdCount--
    }
    if (handle.fd >= 0) this.tree.closeUnused(node, handle.fd)
    handle.fd = -1
    if (handle.isPassthrough) this.backingIds.release(node)
    else useOf(node).daemonUsers--
    node.openCount--
    this.tree.inodes.settle(node)
  }

  reply(handle: Handle): OpenReply {
    const { features } = this
    const noFlush = features.has('noflush') ? FOPEN_FLAGS.FOPEN_NOFLUSH : 0
    if (handle.isPassthrough) {
      const openFlags = FOPEN_FLAGS.FOPEN_PASSTHROUGH | noFlush
      return { fh: handle.fh, openFlags, backingId: handle.node.use?.backingId ?? 0 }
    }
    // Each write comes to us at once in any case. What is read back would be found in the page cache, but who can
    // only write does not read, and leaving out that copy makes large writes half as fast again. Only where the kernel
    // keeps mappings of the same file coherent with that.
    const isRead = (handle.flags & c.O_ACCMODE) !== c.O_WRONLY
    const isDirect = features.has('direct-io-allow-mmap') && !(isRead && this.keepsData)
    const directly = isDirect ? FOPEN_FLAGS.FOPEN_DIRECT_IO | FOPEN_FLAGS.FOPEN_PARALLEL_DIRECT_WRITES : 0
    // What is cached can only be kept where the kernel notices that the file was changed behind its back.
    const isKept = this.keepsData && features.has('auto-inval-data')
    const openFlags = (isKept ? FOPEN_FLAGS.FOPEN_KEEP_CACHE : 0) | noFlush | directly
    return { fh: handle.fh, openFlags, backingId: 0 }
  }
}
