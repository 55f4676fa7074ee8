/**
 * Extended attributes. /proc/self/fd/N leads to what an O_PATH descriptor stands for, a symlink itself included,
 * and the calls that follow symlinks do not follow this one any further.
 */
import { type Answer, OK, type Ok, type RequestInfo } from '../fuse/api.js'
import { SETXATTR_FLAGS } from '../fuse/wire/flags.js'
import { Errno } from '../lib/errno.js'
import { CAP_FSETID, CAP_SYS_ADMIN, S_ISGID } from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import type { Core } from './core.js'
import { hasCapability, isInGroup } from './identity.js'
import type { Inode } from './inode-table.js'

const XATTR_BYTES_MAX = 64 << 10
const TRUSTED = 'trusted.'
/** What programs and the kernel ask of every file; listed like any other where a file has it. */
const OFTEN_ASKED = new Set(['security.selinux\0', 'system.posix_acl_access\0', 'system.posix_acl_default\0'])

export class Xattrs {
  private readonly core: Core
  private readonly buffer = Buffer.alloc(XATTR_BYTES_MAX)

  constructor(core: Core) {
    this.core = core
  }

  /** What files without attributes answer for such a name: it is the same for all of a file system. */
  private readonly errnoOfMissing = new Map<string, number>()

  private path(request: RequestInfo): Buffer | number {
    const { tree } = this.core
    const fd = tree.pathFd(tree.inode(request.nodeid))
    return fd < 0 ? fd : tree.procPath(fd)
  }

  get(request: RequestInfo, nameZ: Buffer, size: number): Answer<Buffer | { size: number }> {
    const { tree, options } = this.core
    const inode = tree.inode(request.nodeid)
    // ls(1) and the kernel's ACL checks ask for one attribute after the other, and most files have none at all.
    const errno = this.errnoOfMissing.get(nameZ.toString('latin1'))
    if (errno !== undefined && (options.nowMs() < inode.bareUntilMs || this.isBareByName(inode))) return errno
    const fd = tree.pathFd(inode)
    if (fd < 0) return fd
    const path = tree.procPath(fd)
    if (size === 0) {
      const result = raw.getxattr(path, nameZ, null, 0)
      return result < 0 ? this.missing(inode, path, nameZ, result) : { size: result }
    }
    const result = raw.getxattr(path, nameZ, this.buffer, Math.min(size, XATTR_BYTES_MAX))
    return result < 0 ? this.missing(inode, path, nameZ, result) : this.buffer.subarray(0, result)
  }

  /**
   * Has a file that we have no descriptor of no attributes at all? Asked by its name, which costs a fifth of
   * opening it. A name that leads elsewhere by now is noticed where it matters: this answers only "none".
   */
  private isBareByName(inode: Inode): boolean {
    const { tree, options } = this.core
    const { parent } = inode
    if (inode.fd >= 0 || !inode.hasName || parent === null) return false
    const parentFd = tree.pathFd(parent)
    if (parentFd < 0) return false
    const path = Buffer.from(`/proc/self/fd/${parentFd}/${inode.name}\0`, 'latin1')
    if (raw.llistxattr(path, null, 0) !== 0) return false
    inode.bareUntilMs = options.nowMs() + options.attrValidMs
    return true
  }

  /** Notes what a file without any attributes answers for this name, and that this is such a file. */
  private missing(inode: Inode, path: Buffer, nameZ: Buffer, errno: number): number {
    if (errno !== -Errno.ENODATA && errno !== -Errno.EOPNOTSUPP) return errno
    const name = nameZ.toString('latin1')
    if (!OFTEN_ASKED.has(name) || raw.listxattr(path, null, 0) !== 0) return errno
    const { options } = this.core
    inode.bareUntilMs = options.nowMs() + options.attrValidMs
    this.errnoOfMissing.set(name, errno)
    return errno
  }

  list(request: RequestInfo, size: number): Answer<Buffer | { size: number }> {
    const path = this.path(request)
    if (typeof path === 'number') return path
    const call = () => raw.listxattr(path, this.buffer, XATTR_BYTES_MAX)
    let result = call()
    // Most file systems list trusted attributes to those with CAP_SYS_ADMIN alone, which we have: asked again
    // without for callers that have not, the file system does as it does.
    if (result > 0 && this.buffer.subarray(0, result).includes(TRUSTED)) {
      if (!hasCapability(request, CAP_SYS_ADMIN)) result = this.core.identity.asNoAdministrator(call)
    }
    if (result < 0) return result
    if (size === 0) return { size: result }
    return result > size ? -Errno.ERANGE : this.buffer.subarray(0, result)
  }

  set(request: RequestInfo, nameZ: Buffer, value: Buffer, flags: number, setxattrFlags: number): Answer<Ok> {
    const path = this.path(request)
    if (typeof path === 'number') return path
    this.core.tree.inodes.get(request.nodeid).bareUntilMs = 0
    const call = () => raw.setxattr(path, nameZ, value, value.length, flags)
    if (!isAcl(nameZ)) return done(call())
    // The kernel says whether an ACL costs the setgid bit when this caller sets it, if it can.
    const keepSetid = this.core.features.has('setxattr-ext')
      ? (setxattrFlags & SETXATTR_FLAGS.FUSE_SETXATTR_ACL_KILL_SGID) === 0
      : this.keepsSetgid(request)
    return done(this.changeAcl(request, keepSetid, call))
  }

  remove(request: RequestInfo, nameZ: Buffer): Answer<Ok> {
    const path = this.path(request)
    if (typeof path === 'number') return path
    const call = () => raw.removexattr(path, nameZ)
    return done(isAcl(nameZ) ? this.changeAcl(request, this.keepsSetgid(request), call) : call())
  }

  /** Does the caller keep the setgid bit of the file? The kernel says it at most for ACLs that are set. */
  private keepsSetgid(request: RequestInfo): boolean {
    const { tree, stat } = this.core
    if (tree.stat(tree.inodes.get(request.nodeid), stat) < 0 || (stat.mode & S_ISGID) === 0) return false
    const { gid } = stat
    return request.gid === gid || isInGroup(request.pid, gid) || hasCapability(request, CAP_FSETID)
  }

  /** An ACL changes the mode, and may take the setgid bit along. */
  private changeAcl(request: RequestInfo, keepSetid: boolean, call: () => number): number {
    const { identity } = this.core
    if (keepSetid) return identity.keepingSetid(call)
    // Who sets it is not in the file's group: neither may we be, who are in group 0 otherwise.
    identity.become(request.uid, request.gid)
    identity.setGroup(null)
    return call()
  }
}

function done(result: number): Answer<Ok> {
  return result < 0 ? result : OK
}

function isAcl(nameZ: Buffer): boolean {
  return nameZ.toString('latin1', 0, 17) === 'system.posix_acl_'
}
