/** GETATTR, SETATTR (but for sizes), READLINK, STATFS. */
import type { Answer, AttrReply, Failure, RequestInfo, SetattrArgs, Statfs } from '../fuse/api.js'
import { FATTR_FLAGS } from '../fuse/wire/flags.js'
import * as c from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import { attrReply, decodeStatfs, hasSetidBits, STATFS_SIZE } from './attributes.js'
import type { Core } from './core.js'
import { hasCapability } from './identity.js'
import type { Inode } from './inode-table.js'

const f = FATTR_FLAGS
const SETTABLE =
  f.FATTR_MODE | f.FATTR_UID | f.FATTR_GID | f.FATTR_SIZE | f.FATTR_ATIME | f.FATTR_MTIME | f.FATTR_CTIME
const MODE_BITS = 0o7777
const UNCHANGED = 0xffff_ffff
const EMPTY_PATH = Buffer.from('\0')
const PATH_MAX = 4096
const WORD = 0x1_0000_0000

export class SettingAttributes {
  private readonly core: Core
  private readonly times = Buffer.alloc(32)
  private readonly target = Buffer.alloc(PATH_MAX)
  private readonly statfsBytes = Buffer.alloc(STATFS_SIZE)

  constructor(core: Core) {
    this.core = core
  }

  getattr(request: RequestInfo): Answer<AttrReply> {
    const { tree, stat, options } = this.core
    const inode = tree.inode(request.nodeid)
    const result = tree.stat(inode, stat)
    return result < 0 ? result : attrReply(inode, stat, options)
  }

  /**
   * Owner, then mode, then times: changing the owner takes setuid bits away, and both move the times. The change
   * time is the file system's own business (FATTR_CTIME is for those that keep it in the kernel).
   */
  apply(request: RequestInfo, inode: Inode, args: SetattrArgs): AttrReply | Failure {
    const { tree, stat, options } = this.core
    const fd = tree.pathFd(inode)
    if (fd < 0) return fd
    const { valid } = args
    // Nothing to set is a chown(2) to nobody and no group, which moves the change time and clears setuid bits.
    const touches = (valid & SETTABLE) === 0 && this.mayClearSetid(request, fd)
    let result = 0
    if (touches || (valid & (f.FATTR_UID | f.FATTR_GID)) !== 0) {
      const uid = (valid & f.FATTR_UID) !== 0 ? args.uid : UNCHANGED
      const gid = (valid & f.FATTR_GID) !== 0 ? args.gid : UNCHANGED
      result = raw.fchownat(fd, EMPTY_PATH, uid, gid, c.AT_EMPTY_PATH)
    }
    if (result === 0 && (valid & f.FATTR_MODE) !== 0) result = this.setMode(fd, args.mode & MODE_BITS)
    if (result === 0 && (valid & (f.FATTR_ATIME | f.FATTR_MTIME)) !== 0) result = this.setTimes(fd, args)
    if (result === 0) result = tree.statFd(fd, stat)
    return result < 0 ? result : attrReply(inode, stat, options)
  }

  /**
   * The kernel lets everybody set nothing, and also sends it ahead of a write that is to take setuid bits away. The
   * write does that itself, so of others than the owner nothing is taken here.
   */
  private mayClearSetid(request: RequestInfo, fd: number): boolean {
    const { tree, stat } = this.core
    if (tree.statFd(fd, stat) < 0 || !hasSetidBits(stat.mode)) return true
    return request.uid === stat.uid || hasCapability(request, c.CAP_FOWNER)
  }

  /** The kernel has taken the setgid bit out already if the caller may not set it. */
  private setMode(fd: number, mode: number): number {
    const { tree, identity } = this.core
    if ((mode & c.S_ISGID) === 0) return tree.chmod(fd, mode)
    return identity.keepingSetid(() => tree.chmod(fd, mode))
  }

  private setTimes(fd: number, args: SetattrArgs): number {
    const { valid } = args
    this.putTime(0, valid & f.FATTR_ATIME, valid & f.FATTR_ATIME_NOW, args.atime, args.atimeNsec)
    this.putTime(16, valid & f.FATTR_MTIME, valid & f.FATTR_MTIME_NOW, args.mtime, args.mtimeNsec)
    return raw.utimensat(fd, EMPTY_PATH, this.times, c.AT_EMPTY_PATH)
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
    const { tree } = this.core
    const fd = tree.pathFd(tree.inode(request.nodeid))
    if (fd < 0) return fd
    const length = raw.readlinkat(fd, EMPTY_PATH, this.target, PATH_MAX)
    return length < 0 ? length : this.target.subarray(0, length)
  }

  /** Of the file that was asked about: a directory may have a quota of its own, or be a volume of its own. */
  statfs(request: RequestInfo): Answer<Statfs> {
    const { tree } = this.core
    const fd = tree.pathFd(tree.inode(request.nodeid))
    if (fd < 0) return fd
    const result = raw.fstatfs(fd, this.statfsBytes)
    return result < 0 ? result : decodeStatfs(this.statfsBytes)
  }
}
