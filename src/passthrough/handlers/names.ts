/** LOOKUP, FORGET, and the operations that take names away or move them. */
import { type Answer, type EntryReply, OK, type Ok, type RequestInfo } from '../../fuse/api.js'
import * as c from '../../linux/constants.js'
import * as raw from '../../linux/raw.js'
import { negativeEntry, tellEntry } from '../attributes.js'
import type { Core } from '../core.js'
import type { Inode } from '../inodes/inode-table.js'
import type { Steps } from '../io/calls.js'
import { PATH_FLAGS } from '../io/jobs.js'

const ENOENT = -2
/** Freeing more than this takes long enough to be done in another thread. */
const BIG_BLOCKS = (64 << 20) / 512

/** A name as a string with one character per byte: good for as long as a request waits. */
export function nameString(nameZ: Buffer): string {
  return nameZ.toString('latin1', 0, nameZ.length - 1)
}

export function nameBytes(name: string): Buffer {
  return Buffer.from(`${name}\0`, 'latin1')
}

export class Names {
  private readonly core: Core

  constructor(core: Core) {
    this.core = core
  }

  lookup(request: RequestInfo, nameZ: Buffer): Answer<EntryReply> {
    const { calls, tree } = this.core
    const parent = tree.inode(request.nodeid)
    const fd = tree.fdAtHand(parent)
    const looked = fd === undefined ? undefined : calls.statAtHere(fd, nameZ)
    if (looked !== undefined) return this.found(looked, parent, nameZ)
    return calls.serve(request, tree, this.lookUp(parent, nameString(nameZ)), parent)
  }

  private *lookUp(parent: Inode, name: string): Steps<Answer<EntryReply>> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(parent) ?? (yield* tree.pathFd(parent))
    if (fd < 0) return fd
    const job = { kind: 'stat-at', fd, name } as const
    for (;;) {
      const { nameChangeCount } = parent
      const { result } = calls.here(job) ?? (yield job)
      // The kernel looks up again what it knows while names are being changed. An answer that is older than a
      // change would give a file the name back that it has just lost.
      if (parent.nameChangeCount === nameChangeCount) return this.found(result, parent, nameBytes(name))
    }
  }

  private found(result: number, parent: Inode, nameZ: Buffer): Answer<EntryReply> {
    const { stat, options } = this.core
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
    const { calls, tree } = this.core
    const parent = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.takeAway(parent, nameString(nameZ), flags), parent)
  }

  private *takeAway(parent: Inode, name: string, flags: number): Steps<Answer<Ok>> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(parent) ?? (yield* tree.pathFd(parent))
    if (fd < 0) return fd
    const victim = yield* this.takeHold(fd, name)
    tree.nameChangesUnderWay++
    try {
      const job = { kind: 'remove', fd, name, flags } as const
      const { result } = calls.here(job) ?? (yield job)
      if (result < 0) return result
      parent.nameChangeCount++
      if (victim !== null) this.nameGone(victim.inode, parent, name, victim)
      return OK
    } finally {
      tree.nameChangesUnderWay--
      this.letGo(victim)
    }
  }

  /**
   * Takes a descriptor of a file that is about to lose a name, if the kernel knows the file: it may be open, be
   * somebody's working directory, or be named by another descriptor, and goes on working. It stays until `letGo`.
   */
  private *takeHold(parentFd: number, name: string): Steps<NamedFile | null> {
    const { tree } = this.core
    const job = { kind: 'open', fd: parentFd, name, flags: PATH_FLAGS } as const
    const fd = tree.openingHere(job) ?? (yield* tree.opening(job))
    if (fd < 0) return null
    return this.holdOn(fd, tree.statFdHere(fd) ?? (yield* tree.statFd(fd)))
  }

  /** Keeps a descriptor that was just opened and looked at, or closes it if the file has one or needs none. */
  private holdOn(fd: number, looked: number): NamedFile | null {
    const { tree, stat } = this.core
    const inode = looked === 0 ? tree.inodes.find(stat) : undefined
    if (inode === undefined || inode.fd >= 0) raw.close(fd)
    else tree.adopt(inode, fd)
    if (inode === undefined) return null
    tree.keep(inode)
    return { inode, isLast: stat.nlink <= 1 || inode.isDirectory, isBig: stat.blocks > BIG_BLOCKS }
  }

  private letGo(file: NamedFile | null): void {
    if (file !== null) this.core.tree.unkeep(file.inode)
  }

  /** Forgets a name that was removed through us. */
  private nameGone(inode: Inode, parent: Inode, name: string, { isLast, isBig }: NamedFile): void {
    if (isLast) {
      inode.hasName = false
      inode.isBigAndUnlinked = isBig
      this.core.backingIds.dropIdle(inode)
    } else if (inode.parentSlot === parent.slot && inode.isCalled(nameBytes(name))) {
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
    const { calls, tree } = this.core
    const oldParent = tree.inode(request.nodeid)
    const newParent = newParentId === request.nodeid ? oldParent : tree.inodes.get(newParentId)
    const names = { oldName: nameString(oldNameZ), newName: nameString(newNameZ) }
    const steps = this.move(request, { oldParent, newParent, ...names }, flags)
    return calls.serve(request, tree, steps, oldParent, newParent)
  }

  private *move(
    request: RequestInfo,
    { oldParent, newParent, oldName, newName }: Move,
    flags: number,
  ): Steps<Answer<Ok>> {
    const { calls, tree, stat } = this.core
    const fd = tree.fdAtHand(oldParent) ?? (yield* tree.pathFd(oldParent))
    if (fd < 0) return fd
    const newFd = tree.fdAtHand(newParent) ?? (yield* tree.pathFd(newParent))
    if (newFd < 0) return newFd
    const found = yield* tree.statAt(fd, oldName)
    if (found < 0) return found
    const moved = tree.inodes.find(stat)
    if (moved !== undefined) tree.keep(moved)
    let target: NamedFile | null = null
    let held: NamedFile | null = null
    tree.nameChangesUnderWay++
    try {
      if ((flags & c.RENAME_NOREPLACE) === 0) target = yield* this.takeHold(newFd, newName)
      // A whiteout is made in place of what moves away, and belongs to the caller.
      const maker = (flags & c.RENAME_WHITEOUT) !== 0 ? { uid: request.uid, gid: request.gid } : null
      const job = { kind: 'rename', fd, name: oldName, newFd, newName, flags, maker } as const
      let done = calls.here(job)
      if (done === undefined) {
        // Until we hear of the end, its name may be the old one or the new one: only a descriptor leads to it.
        held = yield* this.takeHold(fd, oldName)
        done = yield job
      }
      if (done.result < 0) return done.result
      oldParent.nameChangeCount++
      newParent.nameChangeCount++
      // Two names of one file: rename(2) does nothing.
      if (moved !== undefined && moved === target?.inode) return OK
      if (target !== null) {
        const { inode } = target
        if ((flags & c.RENAME_EXCHANGE) !== 0) tree.inodes.place(inode, oldParent, nameBytes(oldName))
        else this.nameGone(inode, newParent, newName, target)
      }
      if (moved !== undefined) tree.inodes.place(moved, newParent, nameBytes(newName))
      return OK
    } finally {
      tree.nameChangesUnderWay--
      if (moved !== undefined) tree.unkeep(moved)
      this.letGo(target)
      this.letGo(held)
    }
  }

  link(request: RequestInfo, oldNodeid: number, newNameZ: Buffer): Answer<EntryReply> {
    const { calls, tree } = this.core
    const parent = tree.inode(request.nodeid)
    const inode = tree.inodes.get(oldNodeid)
    return calls.serve(request, tree, this.addName(parent, nameString(newNameZ), inode), parent, inode)
  }

  private *addName(parent: Inode, name: string, inode: Inode): Steps<Answer<EntryReply>> {
    const { calls, tree, stat } = this.core
    const fd = tree.fdAtHand(parent) ?? (yield* tree.pathFd(parent))
    if (fd < 0) return fd
    const fileFd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fileFd < 0) return fileFd
    const job = { kind: 'link', fd, name, fileFd } as const
    tree.nameChangesUnderWay++
    try {
      const { result } = calls.here(job) ?? (yield job)
      if (result < 0) return result
      const looked = yield* tree.statNow(inode)
      return looked < 0 ? looked : tellEntry(this.core, stat, parent, nameBytes(name))
    } finally {
      tree.nameChangesUnderWay--
    }
  }
}

/** A file, as it was seen under a name that it loses. */
interface NamedFile {
  readonly inode: Inode
  readonly isLast: boolean
  readonly isBig: boolean
}

interface Move {
  readonly oldParent: Inode
  readonly oldName: string
  readonly newParent: Inode
  readonly newName: string
}
