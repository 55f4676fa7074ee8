/** Reaching the backing files of inodes: descriptors that come and go, and what stat says. */
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { check, LinuxError } from '../linux/error.js'
import * as raw from '../linux/raw.js'
import { STATX_BASIC_STATS, STATX_BTIME, Statx } from '../linux/stat.js'
import { FdCache } from './fd-cache.js'
import type { FileNode } from './gate.js'
import { type Inode, type InodeHome, InodeTable } from './inode-table.js'

const EMPTY_PATH = Buffer.from('\0')
const DOT = Buffer.from('.\0')
const MASK = STATX_BASIC_STATS | STATX_BTIME
const PATH_FLAGS = c.O_PATH | c.O_NOFOLLOW | c.O_CLOEXEC
const HANDLE_BYTES_MAX = 128

/** What the engine has open besides files of the mount, about. */
const OWN_FD_COUNT = 40
const PATH_FD_COUNT_MAX = 10_000
const SPARE_FD_COUNT_MAX = 64

function readFdLimit(): number {
  const limits = Buffer.alloc(16)
  check(raw.prlimit(0, c.RLIMIT_NOFILE, null, limits), 'prlimit')
  return Number(limits.readBigUInt64LE(0))
}

/** Half of what the process may open for files; the rest is for those that programs have open. */
function defaultPathFdCount(limit: number): number {
  return Math.max(8, Math.min(PATH_FD_COUNT_MAX, (limit - OWN_FD_COUNT) >> 1))
}

/** Does this failure mean that a name leads to a file no more? */
function isGone(result: number): boolean {
  return result === -Errno.ENOENT || result === -Errno.ENOTDIR
}

/**
 * The backing tree below one O_PATH descriptor. Nothing here follows a path of more than one name, and nothing
 * leads through a mount; /proc is reached through a descriptor taken at the start.
 */
export class BackingTree implements InodeHome {
  readonly rootFd: number
  /** /proc/self/fd, to open again what we have an O_PATH descriptor of. */
  private readonly procFd: number
  /** An ordinary descriptor in the backing mount, which open_by_handle_at(2) insists on; -1 without handles. */
  private handleMountFd: number
  readonly inodes: InodeTable
  readonly fds: FdCache<Inode>
  /**
   * Descriptors from this one on are for what comes and goes within a request, and for starting threads: when programs
   * have opened all that the engine may, those that open nothing must not notice.
   */
  private readonly spareFd: number
  private readonly fdLimit: number
  /** Has a descriptor been among the spare ones since we last made sure? */
  private isNearLimit = false
  private readonly fdBytes = Buffer.alloc(16)
  /** For what is asked from outside of requests, so that no request's result is overwritten. */
  private readonly ownStat = new Statx()
  /** Closes a descriptor whose last close may take long. */
  private readonly closeSlowly: (fd: number) => void
  /** Tells that an inode is about to leave the table. */
  private readonly dropped: (inode: Inode) => void

  constructor(
    rootFd: number,
    fdCountMax: number,
    closeSlowly: (fd: number) => void,
    dropped: (inode: Inode) => void,
  ) {
    this.rootFd = rootFd
    this.closeSlowly = closeSlowly
    this.dropped = dropped
    const rootStat = new Statx().read(rootFd, EMPTY_PATH, c.AT_EMPTY_PATH)
    this.inodes = new InodeTable(rootStat, this, (inode) => this.drop(inode))
    this.fdLimit = readFdLimit()
    this.spareFd = this.fdLimit - Math.min(SPARE_FD_COUNT_MAX, Math.floor(this.fdLimit * 0.4))
    const pathFdCountMax = fdCountMax === 0 ? defaultPathFdCount(this.fdLimit) : fdCountMax
    this.fds = new FdCache(pathFdCountMax, (inode) => this.evict(inode))
    this.inodes.root.fd = rootFd
    const procPath = Buffer.from('/proc/self/fd\0')
    this.procFd = check(
      raw.openat(c.AT_FDCWD, procPath, c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC, 0),
      'openat',
      procPath,
    )
    this.handleMountFd = this.inodes.root.isDirectory
      ? raw.openat(rootFd, DOT, c.O_RDONLY | c.O_DIRECTORY | c.O_CLOEXEC, 0)
      : -1
    if (this.handleMountFd >= 0 && !this.mayUseHandles()) this.stopHandles()
  }

  /** An ordinary user may take handles but not open them: a file found by one only would be lost. */
  private mayUseHandles(): boolean {
    const handle = this.takeHandle(this.rootFd)
    if (handle === null) return this.handleMountFd >= 0
    const fd = raw.openByHandleAt(this.handleMountFd, handle, c.O_PATH | c.O_CLOEXEC)
    if (fd >= 0) raw.close(fd)
    return fd !== -Errno.EPERM
  }

  /** The inode of a request, asked for before any descriptor: now those of earlier requests can go. */
  inode(nodeid: number): Inode {
    this.tick()
    return this.inodes.get(nodeid)
  }

  /** Another request begins. */
  tick(): void {
    this.fds.tick()
    this.inodes.tick()
  }

  /**
   * A descriptor of the file, as good as an O_PATH one: of the cache, valid until the next request.
   * @returns a negative errno (ESTALE) if the file cannot be found again.
   */
  pathFd(inode: Inode): number {
    if (inode.fd >= 0) {
      inode.fdUsedAt = this.fds.now
      return inode.fd
    }
    if (inode.createdFd >= 0) return inode.createdFd
    let fd = this.openByHandle(inode)
    if (fd < 0) fd = this.openByName(inode)
    if (fd >= 0) this.adopt(inode, fd)
    return fd
  }

  /** Gives an inode an O_PATH descriptor of its file. */
  adopt(inode: Inode, fd: number): void {
    inode.fd = fd
    this.fds.add(inode)
  }

  private openByName(inode: Inode): number {
    const { parent } = inode
    if (parent === null || !inode.hasName) return -Errno.ESTALE
    const parentFd = this.pathFd(parent)
    if (parentFd < 0) return parentFd
    const fd = this.openAt(parentFd, inode.nameZ, PATH_FLAGS, 0)
    if (isGone(fd)) return -Errno.ESTALE
    if (fd < 0) return fd
    const result = this.ownStat.tryRead(fd, EMPTY_PATH, c.AT_EMPTY_PATH, MASK)
    if (result === 0 && inode.matches(this.ownStat)) return fd
    raw.close(fd)
    return result < 0 ? result : -Errno.ESTALE
  }

  private openByHandle(inode: Inode): number {
    const { handle } = inode
    if (handle === null) return -Errno.ESTALE
    return raw.openByHandleAt(this.handleMountFd, handle, c.O_PATH | c.O_CLOEXEC)
  }

  /** openat(2) that makes room if the process, or the system, has too many descriptors. */
  openAt(dirfd: number, nameZ: Uint8Array, flags: number, mode: number): number {
    let fd = raw.openat(dirfd, nameZ, flags, mode)
    if (fd === -Errno.EMFILE || fd === -Errno.ENFILE) {
      this.fds.trim(this.fds.size >> 1)
      fd = raw.openat(dirfd, nameZ, flags, mode)
    }
    // Numbers are given from the lowest on, so this one tells how many there are.
    if (fd >= this.spareFd) this.isNearLimit = true
    return fd
  }

  /**
   * May a program's open keep a descriptor of ours? If not, the program is to be told EMFILE. A listing may take from
   * the first half of the spare ones: programs that keep files open are not to keep others from looking around.
   */
  hasRoom(what: 'file' | 'listing'): boolean {
    if (!this.isNearLimit) return true
    const endFd = what === 'file' ? this.spareFd : (this.spareFd + this.fdLimit) >> 1
    let fd = this.lowestFreeFd()
    if (fd >= endFd) {
      this.fds.trim(this.fds.size >> 1, false)
      fd = this.lowestFreeFd()
    }
    if (fd < this.spareFd) this.isNearLimit = false
    return fd < endFd
  }

  private lowestFreeFd(): number {
    const fd = raw.openat(this.procFd, DOT, c.O_PATH | c.O_CLOEXEC, 0)
    if (fd < 0) return this.fdLimit
    raw.close(fd)
    return fd
  }

  /** Opens the file of an inode for I/O. Neither creates nor truncates. */
  openFile(inode: Inode, flags: number): number {
    const fd = this.pathFd(inode)
    if (fd < 0) return fd
    if (inode.isDirectory) return this.openAt(fd, DOT, flags | c.O_DIRECTORY | c.O_CLOEXEC, 0)
    return this.openAt(this.procFd, this.fdName(fd), flags | c.O_CLOEXEC, 0)
  }

  /** A second O_PATH descriptor for a file that is open already. */
  pathFdOf(fd: number): number {
    return this.openAt(this.procFd, this.fdName(fd), c.O_PATH | c.O_CLOEXEC, 0)
  }

  /** chmod(2); it has no form that takes an O_PATH descriptor on older kernels. */
  chmod(fd: number, mode: number): number {
    return raw.fchmodat(this.procFd, this.fdName(fd), mode, 0)
  }

  /** The path of a descriptor for calls that know only paths; valid until the next call. */
  procPath(fd: number): Buffer {
    this.procBytes.write(`/proc/self/fd/${fd}\0`, 0, 'latin1')
    return this.procBytes
  }
  private readonly procBytes = Buffer.alloc(32)

  private fdName(fd: number): Buffer {
    this.fdBytes.write(`${fd}\0`, 0, 'latin1')
    return this.fdBytes
  }

  /**
   * What stat says of the file, into `stat`: by descriptor if there is one, else by name, which saves opening it.
   * @returns 0 or a negative errno.
   */
  stat(inode: Inode, stat: Statx): number {
    const isByName = inode.fd < 0 && inode.createdFd < 0 && inode.hasName && !inode.hasHandle
    const parent = isByName ? inode.parent : null
    if (parent !== null) {
      const parentFd = this.pathFd(parent)
      if (parentFd < 0) return parentFd
      const result = this.statAt(parentFd, inode.nameZ, stat)
      if (isGone(result)) return -Errno.ESTALE
      return result === 0 && !inode.matches(stat) ? -Errno.ESTALE : result
    }
    const fd = this.pathFd(inode)
    return fd < 0 ? fd : this.statFd(fd, stat)
  }

  statAt(dirfd: number, nameZ: Uint8Array, stat: Statx): number {
    return stat.tryRead(dirfd, nameZ, c.AT_SYMLINK_NOFOLLOW | c.AT_NO_AUTOMOUNT, MASK)
  }

  statFd(fd: number, stat: Statx): number {
    return stat.tryRead(fd, EMPTY_PATH, c.AT_EMPTY_PATH, MASK)
  }

  size(inode: Inode): number {
    return this.ownStatOf(inode).size
  }

  ownerUid(inode: Inode): number {
    return this.ownStatOf(inode).uid
  }

  nameLeads(inode: Inode): ReturnType<FileNode['nameLeads']> {
    const { parent } = inode
    if (parent === null || !inode.hasName) return 'unnamed'
    const parentFd = this.pathFd(parent)
    if (parentFd < 0) return 'nowhere'
    const result = this.statAt(parentFd, inode.nameZ, this.ownStat)
    if (result < 0) return 'nowhere'
    return inode.matches(this.ownStat) ? 'here' : 'elsewhere'
  }

  backingFd(inode: Inode): number {
    return check(this.pathFd(inode), 'openat', inode.path())
  }

  private ownStatOf(inode: Inode): Statx {
    const result = this.stat(inode, this.ownStat)
    if (result < 0) throw new LinuxError(-result as Errno, 'statx', inode.path())
    return this.ownStat
  }

  hold(inode: Inode): void {
    // From now on the name may go without our hearing of it: only a descriptor of its own keeps the file.
    const fd = this.pathFd(inode)
    if (fd >= 0 && inode.fd < 0) {
      const pathFd = this.pathFdOf(fd)
      if (pathFd >= 0) this.adopt(inode, pathFd)
    }
    inode.holdCount++
  }

  letGo(inode: Inode): void {
    inode.holdCount--
    this.inodes.settle(inode)
  }

  /** Closes a descriptor to make room. What is needed to find the file again is taken first. */
  private evict(inode: Inode): void {
    if (!inode.hasHandle && this.handleMountFd >= 0) {
      const handle = this.takeHandle(inode.fd)
      if (handle !== null) inode.handle = handle
    }
    raw.close(inode.fd)
    inode.fd = -1
  }

  private takeHandle(fd: number): Buffer | null {
    const handle = Buffer.alloc(8 + HANDLE_BYTES_MAX)
    handle.writeUInt32LE(HANDLE_BYTES_MAX, 0)
    const result = raw.nameToHandleAt(fd, EMPTY_PATH, handle, Buffer.alloc(8), c.AT_EMPTY_PATH)
    if (result < 0) {
      if (result === -Errno.EOPNOTSUPP) this.stopHandles()
      return null
    }
    return Buffer.from(handle.subarray(0, 8 + handle.readUInt32LE(0)))
  }

  private stopHandles(): void {
    raw.close(this.handleMountFd)
    this.handleMountFd = -1
  }

  private drop(inode: Inode): void {
    this.dropped(inode)
    if (inode.fd < 0) return
    this.fds.remove(inode)
    if (inode.isBigAndUnlinked) this.closeSlowly(inode.fd)
    else raw.close(inode.fd)
    inode.fd = -1
  }

  /** Closes every descriptor but the root's, which belongs to whoever gave it. */
  close(): void {
    for (const inode of this.fds.holders()) {
      raw.close(inode.fd)
      inode.fd = -1
    }
    raw.close(this.procFd)
    if (this.handleMountFd >= 0) this.stopHandles()
  }
}
