/** GETATTR, SETATTR (but for sizes), READLINK, STATFS. */
import type { Answer, AttrReply, Failure, RequestInfo, SetattrArgs, Statfs } from '../../fuse/api.js'
import { FATTR_FLAGS } from '../../fuse/wire/flags.js'
import * as c from '../../linux/constants.js'
import { attrReply, decodeStatfs, hasSetidBits } from '../attributes.js'
import type { Core } from '../core.js'
import type { Inode } from '../inodes/inode-table.js'
import type { Steps } from '../io/calls.js'
import { hasCapability } from '../io/identity.js'
import type { Job } from '../io/jobs.js'

const f = FATTR_FLAGS
const SETTABLE =
  f.FATTR_MODE | f.FATTR_UID | f.FATTR_GID | f.FATTR_SIZE | f.FATTR_ATIME | f.FATTR_MTIME | f.FATTR_CTIME
const MODE_BITS = 0o7777
export const UNCHANGED = 0xffff_ffff
const WORD = 0x1_0000_0000

export class SettingAttributes {
  private readonly core: Core
  private readonly times = Buffer.alloc(32)

  constructor(core: Core) {
    this.core = core
  }

  getattr(request: RequestInfo): Answer<AttrReply> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    const looked = tree.statHere(inode)
    if (looked !== undefined) return this.seen(looked, inode)
    return calls.serve(request, tree, this.lookAt(inode), inode)
  }

  private *lookAt(inode: Inode): Steps<AttrReply | Failure> {
    return this.seen(yield* this.core.tree.statNow(inode), inode)
  }

  private seen(looked: number, inode: Inode): AttrReply | Failure {
    const { stat, options } = this.core
    return looked < 0 ? looked : attrReply(inode, stat, options)
  }

  setattr(request: RequestInfo, args: SetattrArgs): Answer<AttrReply> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.apply(request, inode, args), inode)
  }

  /** The change time is the file system's own business (FATTR_CTIME is for those that keep it in the kernel). */
  *apply(request: RequestInfo, inode: Inode, args: SetattrArgs): Steps<AttrReply | Failure> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    // Nothing to set is a chown(2) to nobody and no group, which moves the change time and clears setuid bits.
    const touches = (args.valid & SETTABLE) === 0 && (yield* this.mayClearSetid(request, fd))
    const job = this.change(request, fd, args, touches)
    if (job !== null) {
      const { result } = calls.here(job) ?? (yield job)
      if (result < 0) return result
      inode.changeCount++
    }
    return yield* this.lookAt(inode)
  }

  /** @returns null if there is nothing to do. */
  private change(request: RequestInfo, fd: number, args: SetattrArgs, touches: boolean): Job | null {
    const { valid } = args
    const owner =
      touches || (valid & (f.FATTR_UID | f.FATTR_GID)) !== 0
        ? {
            uid: (valid & f.FATTR_UID) !== 0 ? args.uid : UNCHANGED,
            gid: (valid & f.FATTR_GID) !== 0 ? args.gid : UNCHANGED,
            giver: { uid: request.uid, gid: request.gid },
          }
        : null
    // The kernel has taken the setgid bit out already if the caller may not set it.
    const mode = (valid & f.FATTR_MODE) !== 0 ? args.mode & MODE_BITS : null
    const times = (valid & (f.FATTR_ATIME | f.FATTR_MTIME)) !== 0 ? this.timesOf(args) : null
    if (owner === null && mode === null && times === null) return null
    return { kind: 'set-attributes', fd, owner, mode, times }
  }

  /**
   * The kernel lets everybody set nothing, and also sends it ahead of a write that is to take setuid bits away. The
   * write does that itself, so of others than the owner nothing is taken here.
   */
  private *mayClearSetid(request: RequestInfo, fd: number): Steps<boolean> {
    const { tree, stat } = this.core
    const looked = yield* tree.statFd(fd)
    if (looked < 0 || !hasSetidBits(stat.mode)) return true
    return request.uid === stat.uid || hasCapability(request, c.CAP_FOWNER)
  }

  private timesOf(args: SetattrArgs): Uint8Array {
    const { valid } = args
    this.putTime(0, valid & f.FATTR_ATIME, valid & f.FATTR_ATIME_NOW, args.atime, args.atimeNsec)
    this.putTime(16, valid & f.FATTR_MTIME, valid & f.FATTR_MTIME_NOW, args.mtime, args.mtimeNsec)
    return new Uint8Array(this.times)
  }

  private putTime(offset: number, isSet: number, isNow: number, seconds: number, nanoseconds: number): void {
    const nsec = isSet === 0 ? c.UTIME_OMIT : isNow !== 0 ? c.UTIME_NOW : nanoseconds
    const high = Math.floor(seconds / WORD)
    this.times.writeUInt32LE(seconds - high * WORD, offset)
    this.times.writeInt32LE(high, offset + 4)
    this.times.writeUInt32LE(nsec, offset + 8)
    this.times.writeUInt32LE(0, offset + 12)
  }

  readlink(request: RequestInfo): Answer<Buffer> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.target(inode), inode)
  }

  private *target(inode: Inode): Steps<Answer<Buffer>> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    const job = { kind: 'readlink', fd } as const
    const { result, data } = calls.here(job) ?? (yield job)
    return data === undefined ? result : Buffer.from(data)
  }

  /** Of the file that was asked about: a directory may have a quota of its own, or be a volume of its own. */
  statfs(request: RequestInfo): Answer<Statfs> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.fileSystemOf(inode), inode)
  }

  private *fileSystemOf(inode: Inode): Steps<Answer<Statfs>> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    const job = { kind: 'statfs', fd } as const
    const { result, data } = calls.here(job) ?? (yield job)
    return data === undefined ? result : decodeStatfs(Buffer.from(data))
  }
}
