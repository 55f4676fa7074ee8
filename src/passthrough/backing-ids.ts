/**
 * Backing ids: what FUSE_PASSTHROUGH calls the files whose I/O goes past us. An inode has one at a time, and all
 * its opens share it; the kernel refuses a second one.
 *
 * Ids of files that nobody has open are kept for a while, so that opening a file again costs no system call.
 * An id made from an O_PATH descriptor keeps no file open (no ETXTBSY, no conflict with leases or remounting),
 * only the inode; therefore it goes when the last name of the file goes.
 */
import { DEVICE_IOCTLS } from '../fuse/wire/flags.js'
import { Errno } from '../lib/errno.js'
import { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import type { BackingTree } from './inodes/backing-tree.js'
import type { Inode, InodeUse } from './inodes/inode-table.js'
import type { Calls } from './io/calls.js'
import type { Caller, Identity } from './io/identity.js'

export function useOf(inode: Inode): InodeUse {
  inode.use ??= {
    backingId: 0,
    backingUsers: 0,
    backingUid: 0,
    backingGid: 0,
    keepsFileOpen: false,
    daemonUsers: 0,
  }
  return inode.use
}

/** Where an id keeps the file open for reading, few are kept: others might want a lease (F_SETLEASE) on it. */
const IDLE_OPEN_FILES_MAX = 64

export class BackingIds {
  private readonly fuseFd: number
  private readonly calls: Calls
  private readonly tree: BackingTree
  private readonly identity: Identity
  private readonly idleCountMax: number
  /** Inodes with an id and no user, the one that has been idle longest first. */
  private readonly idle = new Set<Inode>()
  /** `struct fuse_backing_map`: the descriptor comes first. */
  private readonly openArgs = new Int32Array(4)
  private readonly openBytes = new Uint8Array(this.openArgs.buffer)
  private readonly closeArgs = new Int32Array(1)
  private readonly closeBytes = new Uint8Array(this.closeArgs.buffer)
  /** Kernels before 6.17 want a descriptor that is open for reading. */
  private takesPathFd = true
  /** Has the kernel agreed to FUSE_PASSTHROUGH, and not refused to do it since? */
  isEnabled = false

  constructor(
    fuseFd: number,
    calls: Calls,
    tree: BackingTree,
    identity: Identity,
    idleBackingCountMax: number,
  ) {
    this.fuseFd = fuseFd
    this.calls = calls
    this.tree = tree
    this.identity = identity
    this.idleCountMax = idleBackingCountMax
  }

  /** Will the next open need a descriptor to make an id from? */
  isToBeMade(inode: Inode): boolean {
    return (
      this.isEnabled && (inode.use === null || (inode.use.backingId === 0 && inode.use.daemonUsers === 0))
    )
  }

  /**
   * Counts one more open of the inode through passthrough.
   * @param opener whose identity the I/O runs with if the id has to be made. It decides who pays for blocks, who
   *   may use root's reserve, and in whose group a setgid bit may stay. Opens that come while the file is in use share
   *   the first one's.
   * @param fd a descriptor of the file to make the id from; -1 for an O_PATH one.
   * @returns the backing id, or 0 if this open's I/O has to come through the daemon.
   */
  acquire(inode: Inode, opener: Caller, forWriting: boolean, fd: number): number {
    const use = useOf(inode)
    if (!this.isEnabled || use.daemonUsers > 0) return 0
    if (use.backingUsers === 0 && use.backingId !== 0) {
      this.idle.delete(inode)
      const isOpeners = use.backingUid === opener.uid && use.backingGid === opener.gid
      if (forWriting && !isOpeners) this.unregister(use)
    }
    if (use.backingId === 0) {
      const id = this.register(inode, opener, fd)
      if (id <= 0) return 0
      use.backingId = id
      use.backingUid = opener.uid
      use.backingGid = opener.gid
      use.keepsFileOpen = fd >= 0 || !this.takesPathFd
    }
    use.backingUsers++
    return use.backingId
  }

  release(inode: Inode): void {
    const { use } = inode
    if (use === null) return
    use.backingUsers--
    if (use.backingUsers > 0) return
    // Made while the file was created, from the descriptor that was there: not worth keeping the file open for.
    if (!inode.hasName || (use.keepsFileOpen && this.takesPathFd)) {
      this.unregister(use)
      return
    }
    this.idle.add(inode)
    const countMax = this.takesPathFd ? this.idleCountMax : Math.min(this.idleCountMax, IDLE_OPEN_FILES_MAX)
    if (this.idle.size <= countMax) return
    for (const oldest of this.idle) {
      this.dropIdle(oldest)
      break
    }
  }

  /** The file must not be kept by us: its last name is gone, or the kernel has forgotten it. */
  dropIdle(inode: Inode): void {
    if (!this.idle.delete(inode) || inode.use === null) return
    this.unregister(inode.use)
  }

  dropAllIdle(): void {
    for (const inode of this.idle) this.dropIdle(inode)
  }

  private register(inode: Inode, opener: Caller, openFd: number): number {
    const fd = openFd >= 0 ? openFd : this.fdToRegister(inode)
    if (fd < 0) return fd
    // The kernel does the file's I/O with what this thread is at this moment.
    this.identity.become(opener)
    const result = this.backingOpen(fd)
    if (openFd < 0 && !this.takesPathFd) raw.close(fd)
    if (result === -Errno.EBADF && this.takesPathFd) {
      this.takesPathFd = false
      return this.register(inode, opener, -1)
    }
    // Refused for good: not privileged, or not negotiated. ELOOP: stacked too deep. Others may be momentary.
    if (result === -Errno.EPERM || result === -Errno.ELOOP || result === -Errno.EOPNOTSUPP)
      this.isEnabled = false
    return result
  }

  private fdToRegister(inode: Inode): number {
    const { tree } = this
    // Mostly a descriptor that is there.
    return this.calls.runNow(
      this.takesPathFd ? tree.pathFd(inode) : tree.openFile(inode, O_RDONLY | O_NONBLOCK | O_NOFOLLOW),
    )
  }

  private backingOpen(fd: number): number {
    this.openArgs[0] = fd
    return raw.ioctl(this.fuseFd, DEVICE_IOCTLS.FUSE_DEV_IOC_BACKING_OPEN, this.openBytes)
  }

  private unregister(use: InodeUse): void {
    this.closeArgs[0] = use.backingId
    raw.ioctl(this.fuseFd, DEVICE_IOCTLS.FUSE_DEV_IOC_BACKING_CLOSE, this.closeBytes)
    use.backingId = 0
  }
}
