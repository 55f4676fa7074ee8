/** New files: whose they are, and what they may be, is what the caller would have got natively. */
import type { Answer, CreateReply, EntryReply, RequestInfo } from '../../fuse/api.js'
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import * as raw from '../../linux/raw.js'
import { tellEntry, unpackDevice } from '../attributes.js'
import type { Core } from '../core.js'
import type { Inode } from '../inodes/inode-table.js'
import type { Steps } from '../io/calls.js'
import { hasCapability, isInGroup } from '../io/identity.js'
import type { Job, Maker } from '../io/jobs.js'
import { OpenFiles } from '../open-files.js'
import { nameBytes, nameString } from './names.js'

const MODE_BITS = 0o7777

export class Creating {
  private readonly core: Core

  constructor(core: Core) {
    this.core = core
  }

  mkdir(request: RequestInfo, nameZ: Buffer, mode: number, umask: number): Answer<EntryReply> {
    const name = nameString(nameZ)
    return this.make(request, name, mode, umask, (fd, maker) => ({
      kind: 'mkdir',
      fd,
      name,
      mode: mode & MODE_BITS,
      maker,
    }))
  }

  mknod(request: RequestInfo, nameZ: Buffer, mode: number, rdev: number, umask: number): Answer<EntryReply> {
    const name = nameString(nameZ)
    const device = unpackDevice(rdev)
    return this.make(request, name, mode, umask, (fd, maker) => ({
      kind: 'mknod',
      fd,
      name,
      mode,
      device,
      maker,
    }))
  }

  symlink(request: RequestInfo, nameZ: Buffer, targetZ: Buffer): Answer<EntryReply> {
    const name = nameString(nameZ)
    const target = nameString(targetZ)
    return this.make(request, name, 0, 0, (fd, maker) => ({ kind: 'symlink', fd, name, target, maker }))
  }

  private make(
    request: RequestInfo,
    name: string,
    mode: number,
    umask: number,
    job: (fd: number, maker: Maker) => Job,
  ): Answer<EntryReply> {
    const { calls, tree } = this.core
    const parent = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.makeIn(request, parent, name, mode, umask, job), parent)
  }

  private *makeIn(
    request: RequestInfo,
    parent: Inode,
    name: string,
    mode: number,
    umask: number,
    job: (fd: number, maker: Maker) => Job,
  ): Steps<Answer<EntryReply>> {
    const { calls, tree, stat } = this.core
    const fd = tree.fdAtHand(parent) ?? (yield* tree.pathFd(parent))
    if (fd < 0) return fd
    const making = job(
      fd,
      this.plainMaker(request, mode, umask) ?? (yield* this.maker(request, parent, umask)),
    )
    const { result } = calls.here(making) ?? (yield making)
    if (result < 0) return result
    const looked = yield* tree.statAt(fd, name)
    return looked < 0 ? looked : tellEntry(this.core, stat, parent, nameBytes(name))
  }

  /** Who makes something without a setgid bit; undefined otherwise. */
  private plainMaker({ uid, gid }: RequestInfo, mode: number, umask: number): Maker | undefined {
    return (mode & c.S_ISGID) === 0 ? { uid, gid, umask, group: null, keepSetid: false } : undefined
  }

  /** Who makes something with a setgid bit in `parent`. */
  private *maker(request: RequestInfo, parent: Inode, umask: number): Steps<Maker> {
    const { uid, gid } = request
    const group = yield* this.groupOf(request, parent)
    return { uid, gid, umask, group, keepSetid: hasCapability(request, c.CAP_FSETID) }
  }

  /** The group of the parent, if the caller is in it. */
  private *groupOf(request: RequestInfo, parent: Inode): Steps<number | null> {
    const { tree, stat, features } = this.core
    if (features.has('create-supp-group')) return request.supplementaryGroup
    const looked = yield* tree.stat(parent)
    return looked === 0 && isInGroup(request.pid, stat.gid) ? stat.gid : null
  }

  create(
    request: RequestInfo,
    nameZ: Buffer,
    flags: number,
    mode: number,
    umask: number,
  ): Answer<CreateReply> {
    const { calls, tree } = this.core
    const parent = tree.inode(request.nodeid)
    const openFlags = OpenFiles.dataFlags(flags) | c.O_CREAT | c.O_EXCL | c.O_NOFOLLOW | c.O_CLOEXEC
    const steps = this.createIn(request, parent, nameString(nameZ), { flags, openFlags, mode, umask })
    return calls.serve(request, tree, steps, parent)
  }

  tmpfile(request: RequestInfo, flags: number, mode: number, umask: number): Answer<CreateReply> {
    const { calls, tree } = this.core
    const parent = tree.inode(request.nodeid)
    const exclusive = flags & c.O_EXCL
    const openFlags = OpenFiles.dataFlags(flags) | exclusive | c.__O_TMPFILE | c.O_DIRECTORY | c.O_CLOEXEC
    const steps = this.createIn(request, parent, null, { flags, openFlags, mode, umask })
    return calls.serve(request, tree, steps, parent)
  }

  /** @param name null for a file without a name. */
  private *createIn(
    request: RequestInfo,
    parent: Inode,
    name: string | null,
    { flags, openFlags, mode, umask }: Creation,
  ): Steps<Answer<CreateReply>> {
    const { tree } = this.core
    const parentFd = tree.fdAtHand(parent) ?? (yield* tree.pathFd(parent))
    if (parentFd < 0) return parentFd
    if (!this.core.files.hasRoom()) return -Errno.EMFILE
    const job: Job = {
      kind: 'create',
      fd: parentFd,
      name: name ?? '.',
      flags: openFlags,
      mode: mode & MODE_BITS,
      maker: this.plainMaker(request, mode, umask) ?? (yield* this.maker(request, parent, umask)),
    }
    const fd = tree.openingHere(job) ?? (yield* tree.opening(job))
    if (fd >= 0) {
      const looked = tree.statFdHere(fd) ?? (yield* tree.statFd(fd))
      if (looked === 0) return this.opened(request, fd, parent, name, flags)
      raw.close(fd)
      return looked
    }
    // The kernel believed that there was no such name and has checked nothing of the file that is there. ESTALE
    // makes it look the name up again and OPEN the file with the usual checks (and the usual gate for O_TRUNC).
    return fd === -Errno.EEXIST && name !== null && (flags & c.O_EXCL) === 0 ? -Errno.ESTALE : fd
  }

  /** Makes the answer of what was just created and looked at. */
  private opened(
    request: RequestInfo,
    fd: number,
    parent: Inode,
    name: string | null,
    flags: number,
  ): CreateReply {
    const { tree, stat, files, gate } = this.core
    const entry = tellEntry(this.core, stat, parent, nameBytes(name ?? ''))
    const inode = tree.inodes.get(entry.nodeid)
    if (name === null) this.keepNameless(inode, fd)
    const handle = files.openCreated(fd, inode, flags, request)
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

interface Creation {
  /** As the program gave them. */
  readonly flags: number
  /** As they are given to the file system below. */
  readonly openFlags: number
  readonly mode: number
  readonly umask: number
}
