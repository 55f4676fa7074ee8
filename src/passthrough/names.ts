/** LOOKUP, FORGET, and the operations that take names away or move them. */
import { type Answer, type EntryReply, OK, type Ok, type RequestInfo } from '../fuse/api.js'
import * as c from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import { negativeEntry, tellEntry } from './attributes.js'
import type { Core } from './core.js'
import type { Inode } from './inode-table.js'

const PATH_FLAGS = c.O_PATH | c.O_NOFOLLOW | c.O_CLOEXEC
const ENOENT = -2
/** Freeing more than this takes long enough to be done in another thread. */
const BIG_BLOCKS = (64 << 20) / 512
const EMPTY_PATH = Buffer.from('\0')

export class Names {
  private readonly core: Core

  constructor(core: Core) {
    this.core = core
  }

  lookup(request: RequestInfo, nameZ: Buffer): Answer<EntryReply> {
    const { tree, stat, options } = this.core
    const parent = tree.inode(request.nodeid)
    const parentFd = tree.pathFd(parent)
    if (parentFd < 0) return parentFd
    const result = tree.statAt(parentFd, nameZ, stat)
    if (result === ENOENT) return negativeEntry(options)
    return result < 0 ? result : tellEntry(this.core, stat, parent, nameZ)
  }

  forget(nodeid: number, nlookup: number): void {
    this.core.tree.inodes.forget(nodeid, nlookup)
  }

  unlink(request: RequestInfo, nameZ: Buffer): Answer<Ok> {
    return this.remove(request, nameZ, 0)
  }

  rmdir(request: RequestInfo, nameZ: Buffer): Answer<Ok> {
    return this.remove(request, nameZ, c.AT_REMOVEDIR)
  }

  private remove(request: RequestInfo, nameZ: Buffer, flags: number): Answer<Ok> {
    const { tree } = this.core
    const parent = tree.inode(request.nodeid)
    const parentFd = tree.pathFd(parent)
    if (parentFd < 0) return parentFd
    const victim = this.keep(parentFd, nameZ)
    const result = raw.unlinkat(parentFd, nameZ, flags)
    if (result < 0) return result
    if (victim !== null) this.nameGone(victim.inode, parent, nameZ, victim)
    return OK
  }

  /**
   * Takes a descriptor of a file that is about to lose a name, if the kernel knows the file: it may be open, be
   * somebody's working directory, or be named by another descriptor, and goes on working.
   */
  private keep(parentFd: number, nameZ: Buffer): Victim | null {
    const { tree, stat } = this.core
    const fd = tree.openAt(parentFd, nameZ, PATH_FLAGS, 0)
    if (fd < 0) return null
    const inode = tree.statFd(fd, stat) === 0 ? tree.inodes.find(stat) : undefined
    if (inode === undefined || inode.fd >= 0) raw.close(fd)
    else tree.adopt(inode, fd)
    if (inode === undefined) return null
    return { inode, isLast: stat.nlink <= 1 || inode.isDirectory, isBig: stat.blocks > BIG_BLOCKS }
  }

  /** Forgets a name that was removed through us. */
  private nameGone(inode: Inode, parent: Inode, nameZ: Buffer, { isLast, isBig }: Victim): void {
    if (isLast) {
      inode.hasName = false
      inode.isBigAndUnlinked = isBig
      this.core.backingIds.dropIdle(inode)
    } else if (inode.parentSlot === parent.slot && inode.isCalled(nameZ)) {
      inode.hasName = false
    }
  }

  rename(
    request: RequestInfo,
    oldNameZ: Buffer,
    newParentId: number,
    newNameZ: Buffer,
    flags: number,
  ): Answer<Ok> {
    const { tree, stat, identity } = this.core
    const oldParent = tree.inode(request.nodeid)
    const newParent = newParentId === request.nodeid ? oldParent : tree.inodes.get(newParentId)
    const oldParentFd = tree.pathFd(oldParent)
    if (oldParentFd < 0) return oldParentFd
    const newParentFd = tree.pathFd(newParent)
    if (newParentFd < 0) return newParentFd
    const found = tree.statAt(oldParentFd, oldNameZ, stat)
    if (found < 0) return found
    const moved = tree.inodes.find(stat)
    const target = (flags & c.RENAME_NOREPLACE) !== 0 ? null : this.keep(newParentFd, newNameZ)
    // A whiteout is made in place of what moves away, and belongs to the caller.
    if ((flags & c.RENAME_WHITEOUT) !== 0) identity.become(request.uid, request.gid)
    const result = raw.renameat2(oldParentFd, oldNameZ, newParentFd, newNameZ, flags)
    if (result < 0) return result
    // Two names of one file: rename(2) does nothing.
    if (moved !== undefined && moved === target?.inode) return OK
    if (target !== null) {
      const { inode } = target
      if ((flags & c.RENAME_EXCHANGE) !== 0) tree.inodes.place(inode, oldParent, oldNameZ)
      else this.nameGone(inode, newParent, newNameZ, target)
    }
    if (moved !== undefined) tree.inodes.place(moved, newParent, newNameZ)
    return OK
  }

  link(request: RequestInfo, oldNodeid: number, newNameZ: Buffer): Answer<EntryReply> {
    const { tree, stat } = this.core
    const parent = tree.inode(request.nodeid)
    const inode = tree.inodes.get(oldNodeid)
    const parentFd = tree.pathFd(parent)
    if (parentFd < 0) return parentFd
    const fd = tree.pathFd(inode)
    if (fd < 0) return fd
    let result = raw.linkat(fd, EMPTY_PATH, parentFd, newNameZ, c.AT_EMPTY_PATH)
    // Without CAP_DAC_READ_SEARCH the empty path is refused with ENOENT; /proc leads there too.
    if (result === ENOENT) {
      result = raw.linkat(c.AT_FDCWD, tree.procPath(fd), parentFd, newNameZ, c.AT_SYMLINK_FOLLOW)
    }
    if (result < 0) return result
    const looked = tree.statFd(fd, stat)
    if (looked < 0) return looked
    return tellEntry(this.core, stat, parent, newNameZ)
  }
}

/** A file that loses a name. */
interface Victim {
  readonly inode: Inode
  readonly isLast: boolean
  readonly isBig: boolean
}
