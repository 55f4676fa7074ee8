/** Extended attributes. */
import { type Answer, OK, type Ok, type RequestInfo } from '../../fuse/api.js'
import { SETXATTR_FLAGS } from '../../fuse/wire/flags.js'
import { Errno } from '../../lib/errno.js'
import { CAP_FSETID, CAP_SYS_ADMIN, S_ISGID } from '../../linux/constants.js'
import type { Core } from '../core.js'
import type { Inode } from '../inodes/inode-table.js'
import type { Steps } from '../io/calls.js'
import { hasCapability, isInGroup } from '../io/identity.js'
import type { Job, Setter } from '../io/jobs.js'
import { nameString } from './names.js'

const XATTR_BYTES_MAX = 64 << 10
const TRUSTED = 'trusted.'
/** What programs and the kernel ask of every file; listed like any other where a file has it. */
const OFTEN_ASKED = new Set(['security.selinux', 'system.posix_acl_access', 'system.posix_acl_default'])
const ACL = 'system.posix_acl_'

export class Xattrs {
  private readonly core: Core
  constructor(core: Core) {
    this.core = core
  }

  /** What files without attributes answer for such a name: it is the same for all of a file system. */
  private readonly errnoOfMissing = new Map<string, number>()

  get(request: RequestInfo, nameZ: Buffer, size: number): Answer<Buffer | { size: number }> {
    const { calls, tree, options } = this.core
    const inode = tree.inode(request.nodeid)
    const name = nameString(nameZ)
    // ls(1) and the kernel's ACL checks ask for one attribute after the other, and most files have none at all.
    const errno = this.errnoOfMissing.get(name)
    if (errno !== undefined && options.nowMs() < inode.bareUntilMs) return errno
    return calls.serve(request, tree, this.getFrom(inode, name, size, errno), inode)
  }

  private *getFrom(
    inode: Inode,
    name: string,
    size: number,
    errno: number | undefined,
  ): Steps<Answer<Buffer | { size: number }>> {
    const { calls, tree } = this.core
    if (errno !== undefined && (yield* this.isBareByName(inode))) return errno
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    const changes = inode.xattrChangeCount
    const job = { kind: 'get-xattr', fd, name, size: Math.min(size, XATTR_BYTES_MAX) } as const
    const { result, data } = calls.here(job) ?? (yield job)
    if (result < 0) return yield* this.missing(inode, fd, name, result, changes)
    return data === undefined ? { size: result } : Buffer.from(data)
  }

  /**
   * Has a file that we have no descriptor of no attributes at all? Asked by its name, which costs a fifth of
   * opening it. A name that leads elsewhere by now is noticed where it matters: this answers only "none".
   */
  private *isBareByName(inode: Inode): Steps<boolean> {
    const { calls, tree } = this.core
    const { parent } = inode
    if (inode.fd >= 0 || !inode.hasName || parent === null) return false
    const { name, xattrChangeCount: changes } = inode
    tree.keep(parent)
    try {
      const fd = tree.fdAtHand(parent) ?? (yield* tree.pathFd(parent))
      if (fd < 0) return false
      const job = { kind: 'count-xattr', fd, name } as const
      const { result } = calls.here(job) ?? (yield job)
      // It may have moved while we waited, and this was another file.
      if (result !== 0 || !inode.isAt(parent, name)) return false
    } finally {
      tree.unkeep(parent)
    }
    this.noteBare(inode, changes)
    return true
  }

  /** Notes that a file has no attributes, unless it may have been given one since it was looked at. */
  private noteBare(inode: Inode, changes: number): void {
    const { options } = this.core
    if (inode.xattrChangeCount === changes) inode.bareUntilMs = options.nowMs() + options.attrValidMs
  }

  /** Notes what a file without any attributes answers for this name, and that this is such a file. */
  private *missing(inode: Inode, fd: number, name: string, errno: number, changes: number): Steps<number> {
    if (errno !== -Errno.ENODATA && errno !== -Errno.EOPNOTSUPP) return errno
    if (!OFTEN_ASKED.has(name)) return errno
    const { calls } = this.core
    const job = { kind: 'list-xattr', fd, size: 0, asNoAdministrator: false } as const
    const { result } = calls.here(job) ?? (yield job)
    if (result !== 0) return errno
    this.noteBare(inode, changes)
    this.errnoOfMissing.set(name, errno)
    return errno
  }

  list(request: RequestInfo, size: number): Answer<Buffer | { size: number }> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.listOf(request, inode, size), inode)
  }

  private *listOf(
    request: RequestInfo,
    inode: Inode,
    size: number,
  ): Steps<Answer<Buffer | { size: number }>> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    const job = { kind: 'list-xattr', fd, size: XATTR_BYTES_MAX, asNoAdministrator: false } as const
    let { result, data } = calls.here(job) ?? (yield job)
    // Most file systems list trusted attributes to those with CAP_SYS_ADMIN alone, which we have: asked again
    // without for callers that have not, the file system does as it does.
    if (data !== undefined && Buffer.from(data).includes(TRUSTED) && !hasCapability(request, CAP_SYS_ADMIN)) {
      const again = { ...job, asNoAdministrator: true } as const
      ;({ result, data } = calls.here(again) ?? (yield again))
    }
    if (result < 0 || data === undefined) return result
    if (size === 0) return { size: result }
    return result > size ? -Errno.ERANGE : Buffer.from(data)
  }

  set(request: RequestInfo, nameZ: Buffer, value: Buffer, flags: number, setxattrFlags: number): Answer<Ok> {
    // The kernel says whether an ACL costs the setgid bit when this caller sets it, if it can.
    const keepSetid = this.core.features.has('setxattr-ext')
      ? (setxattrFlags & SETXATTR_FLAGS.FUSE_SETXATTR_ACL_KILL_SGID) === 0
      : null
    const name = nameString(nameZ)
    // Copied before anything waits: its memory is that of the next request then.
    const bytes = new Uint8Array(value)
    return this.change(request, name, keepSetid, (fd, setter) => ({
      kind: 'set-xattr',
      fd,
      name,
      value: bytes,
      flags,
      setter,
    }))
  }

  remove(request: RequestInfo, nameZ: Buffer): Answer<Ok> {
    const name = nameString(nameZ)
    return this.change(request, name, null, (fd, setter) => ({ kind: 'remove-xattr', fd, name, setter }))
  }

  private change(
    request: RequestInfo,
    name: string,
    keepSetid: boolean | null,
    job: (fd: number, setter: Setter | null) => Job,
  ): Answer<Ok> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.changeOf(request, inode, name, keepSetid, job), inode)
  }

  /** @param keepSetid null if the kernel has not said it. */
  private *changeOf(
    request: RequestInfo,
    inode: Inode,
    name: string,
    keepSetid: boolean | null,
    job: (fd: number, setter: Setter | null) => Job,
  ): Steps<Answer<Ok>> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    let setter: Setter | null = null
    // An ACL changes the mode, and may take the setgid bit along.
    if (name.startsWith(ACL)) {
      const keeps = keepSetid ?? (yield* this.keepsSetgid(request, inode))
      setter = keeps ? 'keeps setgid' : { uid: request.uid, gid: request.gid }
    }
    const changing = job(fd, setter)
    inode.bareUntilMs = 0
    inode.xattrChangeCount++
    const { result } = calls.here(changing) ?? (yield changing)
    // Whoever has asked meanwhile may have seen the file as it was.
    inode.bareUntilMs = 0
    inode.xattrChangeCount++
    return result < 0 ? result : OK
  }

  /** Does the caller keep the setgid bit of the file? The kernel says it at most for ACLs that are set. */
  private *keepsSetgid(request: RequestInfo, inode: Inode): Steps<boolean> {
    const { tree, stat } = this.core
    const looked = yield* tree.stat(inode)
    if (looked < 0 || (stat.mode & S_ISGID) === 0) return false
    const { gid } = stat
    return request.gid === gid || isInGroup(request.pid, gid) || hasCapability(request, CAP_FSETID)
  }
}
