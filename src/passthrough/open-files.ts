/** Open file descriptions: what OPEN, CREATE and TMPFILE made and RELEASE ends. */

import type { OpenReply } from '../fuse/api.js'
import { FOPEN_FLAGS } from '../fuse/wire/flags.js'
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import { STATFS_SIZE } from './attributes.js'
import { type BackingIds, useOf } from './backing-ids.js'
import type { BackingTree } from './backing-tree.js'
import type { Features } from './features.js'
import type { OpenFile } from './gate.js'
import type { Inode } from './inode-table.js'

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

/** f_type of ext4, XFS, btrfs, tmpfs and overlayfs. */
const LOCAL_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630,
])

/** Descriptors of files that are open since they were created, at most. */
const CREATED_FD_COUNT_MAX = 512

export class OpenFiles {
  private readonly handles = new Map<number, Handle>()
  private nextFh = 1
  /** What of FUSE is in use; set by INIT. */
  features: Features = new Set()
  private createdFdCount = 0
  /** Can every file that is found be opened for reading? */
  private readonly readsAlwaysOpen: boolean
  private readonly tree: BackingTree
  private readonly backingIds: BackingIds

  private readonly keepsData: boolean

  constructor(tree: BackingTree, backingIds: BackingIds, keepsData: boolean) {
    this.tree = tree
    this.backingIds = backingIds
    this.keepsData = keepsData
    const statfs = Buffer.alloc(STATFS_SIZE)
    this.readsAlwaysOpen =
      raw.fstatfs(tree.rootFd, statfs) === 0 && LOCAL_FILE_SYSTEMS.has(statfs.readUInt32LE(0))
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
   * @param uid of the caller.
   * @returns a negative errno if it cannot be opened.
   */
  open(inode: Inode, flags: number, pid: number, uid: number): Handle | number {
    if (!this.hasRoom()) return -Errno.EMFILE
    const isForReading = (flags & c.O_ACCMODE) === c.O_RDONLY
    if (isForReading && this.readsAlwaysOpen) return this.openWith(-1, inode, flags, pid, uid, false)
    // Opened for writing in earnest, even where the I/O will go past us: the file may be append-only, immutable,
    // being executed, or read-only by now, and passthrough would not ask, or fail with EIO. So it would where a
    // server decides what can be read.
    const fd = this.openData(inode, flags)
    return fd < 0 ? fd : this.openWith(fd, inode, flags, pid, uid, false)
  }

  /** May one more file be opened? Past the daemon that takes no descriptor of ours. */
  hasRoom(): boolean {
    return this.backingIds.isEnabled || this.tree.hasRoom('file')
  }

  /** Makes a handle for a file that was just created; `fd` belongs to the handle from here on. */
  openCreated(fd: number, inode: Inode, flags: number, pid: number, uid: number): Handle | number {
    return this.openWith(fd, inode, flags, pid, uid, true)
  }

  /** @param fd a descriptor of the file, opened with these flags, or -1. */
  private openWith(
    fd: number,
    inode: Inode,
    flags: number,
    pid: number,
    uid: number,
    isNew: boolean,
  ): Handle | number {
    const forWriting = (flags & c.O_ACCMODE) !== c.O_RDONLY
    const isPassthrough = this.backingIds.acquire(inode, uid, forWriting, isNew ? fd : -1) > 0
    const handle = new Handle(this.nextFh++, inode, flags, pid, isPassthrough)
    if (!isPassthrough) {
      handle.fd = fd
      const dataFd = this.dataFd(handle)
      if (dataFd < 0) return dataFd
      useOf(inode).daemonUsers++
    } else if (fd >= 0) {
      this.keepOrClose(handle, fd, isNew)
    }
    inode.openCount++
    this.handles.set(handle.fh, handle)
    return handle
  }

  /**
   * Whoever creates a file mostly sets its owner, mode or times before closing it: the descriptor is there, and
   * finding the file again would cost more than closing it later.
   */
  private keepOrClose(handle: Handle, fd: number, isNew: boolean): void {
    if (!isNew || this.createdFdCount >= CREATED_FD_COUNT_MAX || !this.tree.hasRoom('file')) {
      raw.close(fd)
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
  dataFd(handle: Handle): number {
    if (handle.fd >= 0) return handle.fd
    if (!this.tree.hasRoom('file')) return -Errno.EMFILE
    handle.fd = this.openData(handle.node, handle.flags)
    return handle.fd
  }

  private openData(inode: Inode, programFlags: number): number {
    const flags = OpenFiles.dataFlags(programFlags)
    const fd = this.tree.openFile(inode, flags)
    // An append-only file (chattr +a) opens for writing with O_APPEND alone; it has one place to write anyway.
    if (fd !== -Errno.EPERM || (programFlags & c.O_APPEND) === 0) return fd
    return this.tree.openFile(inode, flags | c.O_APPEND)
  }

  release(handle: Handle): void {
    const { node } = handle
    this.handles.delete(handle.fh)
    if (handle.fd >= 0 && handle.fd === node.createdFd) {
      node.createdFd = -1
      this.createdFdCount--
    }
    if (handle.fd >= 0) raw.close(handle.fd)
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
