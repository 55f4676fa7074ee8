/** New files: whose they are, and what they may be, is what the caller would have got natively. */
import type { Answer, CreateReply, EntryReply, RequestInfo } from '../fuse/api.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import { tellEntry, unpackDevice } from './attributes.js'
import type { Core } from './core.js'
import { hasCapability, isInGroup } from './identity.js'
import type { Inode } from './inode-table.js'
import { OpenFiles } from './open-files.js'

const MODE_BITS = 0o7777
const DOT = Buffer.from('.\0')

export class Creating {
  private readonly core: Core

  constructor(core: Core) {
    this.core = core
  }

  mkdir(request: RequestInfo, nameZ: Buffer, mode: number, umask: number): Answer<EntryReply> {
    return this.make(request, nameZ, mode, umask, (parentFd) =>
      raw.mkdirat(parentFd, nameZ, mode & MODE_BITS),
    )
  }

  mknod(request: RequestInfo, nameZ: Buffer, mode: number, rdev: number, umask: number): Answer<EntryReply> {
    const device = unpackDevice(rdev)
    return this.make(request, nameZ, mode, umask, (parentFd) => raw.mknodat(parentFd, nameZ, mode, device))
  }

  symlink(request: RequestInfo, nameZ: Buffer, targetZ: Buffer): Answer<EntryReply> {
    return this.make(request, nameZ, 0, 0, (parentFd) => raw.symlinkat(targetZ, parentFd, nameZ))
  }

  private make(
    request: RequestInfo,
    nameZ: Buffer,
    mode: number,
    umask: number,
    call: (parentFd: number) => number,
  ): Answer<EntryReply> {
    const { tree, stat } = this.core
    const parent = tree.inode(request.nodeid)
    const parentFd = tree.pathFd(parent)
    if (parentFd < 0) return parentFd
    const made = this.asCaller(request, parent, mode, umask, () => call(parentFd))
    if (made < 0) return made
    const result = tree.statAt(parentFd, nameZ, stat)
    return result < 0 ? result : tellEntry(this.core, stat, parent, nameZ)
  }

  /** Makes something in `parent` with the ids and the umask of the caller. */
  private asCaller(
    request: RequestInfo,
    parent: Inode,
    mode: number,
    umask: number,
    call: () => number,
  ): number {
    const { identity } = this.core
    identity.setUmask(umask)
    identity.become(request.uid, request.gid)
    if ((mode & c.S_ISGID) === 0) return call()
    identity.setGroup(this.groupOf(request, parent))
    return hasCapability(request, c.CAP_FSETID) ? identity.keepingSetid(call) : call()
  }

  /** The group of the parent, if the caller is in it. */
  private groupOf(request: RequestInfo, parent: Inode): number | null {
    const { tree, stat, features } = this.core
    if (features.has('create-supp-group')) return request.supplementaryGroup
    return tree.stat(parent, stat) === 0 && isInGroup(request.pid, stat.gid) ? stat.gid : null
  }

  create(
    request: RequestInfo,
    nameZ: Buffer,
    flags: number,
    mode: number,
    umask: number,
  ): Answer<CreateReply> {
    const { tree, files } = this.core
    const parent = tree.inode(request.nodeid)
    const parentFd = tree.pathFd(parent)
    if (parentFd < 0) return parentFd
    if (!files.hasRoom()) return -Errno.EMFILE
    const openFlags = OpenFiles.dataFlags(flags) | c.O_CREAT | c.O_EXCL | c.O_NOFOLLOW | c.O_CLOEXEC
    const fd = this.asCaller(request, parent, mode, umask, () =>
      tree.openAt(parentFd, nameZ, openFlags, mode & MODE_BITS),
    )
    if (fd >= 0) return this.opened(request, fd, parent, nameZ, flags)
    // The kernel believed that there was no such name and has checked nothing of the file that is there. ESTALE
    // makes it look the name up again and OPEN the file with the usual checks (and the usual gate for O_TRUNC).
    return fd === -Errno.EEXIST && (flags & c.O_EXCL) === 0 ? -Errno.ESTALE : fd
  }

  tmpfile(request: RequestInfo, flags: number, mode: number, umask: number): Answer<CreateReply> {
    const { tree, files } = this.core
    const parent = tree.inode(request.nodeid)
    const parentFd = tree.pathFd(parent)
    if (parentFd < 0) return parentFd
    if (!files.hasRoom()) return -Errno.EMFILE
    const exclusive = flags & c.O_EXCL
    const access = OpenFiles.dataFlags(flags) | exclusive | c.__O_TMPFILE | c.O_DIRECTORY | c.O_CLOEXEC
    const fd = this.asCaller(request, parent, mode, umask, () =>
      tree.openAt(parentFd, DOT, access, mode & MODE_BITS),
    )
    return fd < 0 ? fd : this.opened(request, fd, parent, null, flags)
  }

  /** @param nameZ null for a file without a name. */
  private opened(
    request: RequestInfo,
    fd: number,
    parent: Inode,
    nameZ: Buffer | null,
    flags: number,
  ): Answer<CreateReply> {
    const { tree, stat, files, gate } = this.core
    const looked = tree.statFd(fd, stat)
    if (looked < 0) {
      raw.close(fd)
      return looked
    }
    const entry = tellEntry(this.core, stat, parent, nameZ ?? NO_NAME)
    const inode = tree.inodes.get(entry.nodeid)
    if (nameZ === null) this.keepNameless(inode, fd)
    const handle = files.openCreated(fd, inode, flags, request.pid, request.uid)
    if (typeof handle === 'number') {
      tree.inodes.forget(inode.nodeid, 1)
      return handle
    }
    gate.opened(request, handle)
    return { entry, open: files.reply(handle) }
  }

  /** A file without a name can be found by a descriptor only. */
  private keepNameless(inode: Inode, fd: number): void {
    const { tree } = this.core
    inode.hasName = false
    if (inode.fd >= 0) return
    const pathFd = tree.pathFdOf(fd)
    if (pathFd >= 0) tree.adopt(inode, pathFd)
  }
}

const NO_NAME = Buffer.from('\0')
