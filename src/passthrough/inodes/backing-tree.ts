/** Reaching the backing files of inodes: descriptors that come and go, and what stat says. */
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import { check, LinuxError } from '../../linux/error.js'
import { takeHandle } from '../../linux/file-handle.js'
import * as raw from '../../linux/raw.js'
import { Statx } from '../../linux/stat.js'
import type { FileNode } from '../gate.js'
import type { Calls, Steps } from '../io/calls.js'
import { type Job, PATH_FLAGS, statDescriptor } from '../io/jobs.js'
import { FdCache } from './fd-cache.js'
import { type Inode, type InodeHome, InodeTable } from './inode-table.js'

const EMPTY_PATH = Buffer.from('\0')
const DOT = Buffer.from('.\0')

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
  /** Requests that take names away, move or make them, and have begun to. */
  nameChangesUnderWay = 0
  private readonly calls: Calls
  /** Tells that an inode is about to leave the table. */
  private readonly dropped: (inode: Inode) => void

  constructor(rootFd: number, fdCountMax: number, calls: Calls, dropped: (inode: Inode) => void) {
    this.rootFd = rootFd
    this.calls = calls
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

  /** Keeps an inode and its descriptors for a request that waits; counted. */
  keep(inode: Inode): void {
    inode.keepCount++
  }

  unkeep(inode: Inode): void {
    inode.keepCount--
    if (inode.isInUse) return
    const { lateFds } = inode
    inode.lateFds = null
    if (lateFds !== null) for (const fd of lateFds) this.calls.close(fd)
    this.inodes.settle(inode)
  }

  /** Closes a descriptor that `pathFd` may have given to a request that still waits. */
  closeUnused(inode: Inode, fd: number): void {
    if (!inode.isInUse) this.calls.close(fd)
    else if (inode.lateFds === null) inode.lateFds = [fd]
    else inode.lateFds.push(fd)
  }

  /** The descriptor that an inode has; undefined if it has to be opened. Valid as that of `pathFd` is. */
  fdAtHand(inode: Inode): number | undefined {
    if (inode.fd >= 0) {
      inode.fdUsedAt = this.fds.now
      return inode.fd
    }
    return inode.createdFd >= 0 ? inode.createdFd : undefined
  }

  /**
   * A descriptor of the file, as good as an O_PATH one: of the cache, valid until the next request, or until
   * `unkeep`. Gives a negative errno (ESTALE) if the file cannot be found again.
   */
  *pathFd(inode: Inode): Steps<number> {
    const atHand = this.fdAtHand(inode)
    if (atHand !== undefined) return atHand
    let fd = -Errno.ESTALE as number
    const { handle } = inode
    if (handle !== null) {
      const job = { kind: 'open-handle', fd: this.handleMountFd, handle } as const
      fd = (this.calls.here(job) ?? (yield job)).result
    }
    if (fd < 0) fd = yield* this.openByName(inode)
    // Somebody else may have been quicker while we waited, before its name went, say.
    const other = this.fdAtHand(inode)
    if (other === undefined) return fd < 0 ? fd : this.adopt(inode, fd)
    if (fd >= 0) raw.close(fd)
    return other
  }

  /** Gives an inode an O_PATH descriptor of its file. */
  adopt(inode: Inode, fd: number): number {
    inode.fd = fd
    this.fds.add(inode)
    return fd
  }

  private *openByName(inode: Inode): Steps<number> {
    for (;;) {
      const { parent, name } = inode
      if (parent === null || !inode.hasName) return -Errno.ESTALE
      const fd = yield* this.openFrom(parent, name, inode)
      // If it was moved while we waited, the new name leads to it.
      if (fd >= 0 || inode.isAt(parent, name)) return fd
    }
  }

  private *openFrom(parent: Inode, name: string, inode: Inode): Steps<number> {
    this.keep(parent)
    try {
      const parentFd = this.fdAtHand(parent) ?? (yield* this.pathFd(parent))
      if (parentFd < 0) return parentFd
      const fd = yield* this.openAt(parentFd, name, PATH_FLAGS)
      if (isGone(fd)) return -Errno.ESTALE
      if (fd < 0) return fd
      const looked = yield* this.statFd(fd)
      if (looked === 0 && inode.matches(this.calls.stat)) return fd
      raw.close(fd)
      return looked < 0 ? looked : -Errno.ESTALE
    } finally {
      this.unkeep(parent)
    }
  }

  /** openat(2) that makes room if the process, or the system, has too many descriptors. */
  *openAt(fd: number, name: string, flags: number): Steps<number> {
    return yield* this.opening({ kind: 'open', fd, name, flags })
  }

  /** Does a job that opens something. */
  *opening(job: Job): Steps<number> {
    let { result: fd } = this.calls.here(job) ?? (yield job)
    if (fd === -Errno.EMFILE || fd === -Errno.ENFILE) {
      this.fds.trim(this.fds.size >> 1)
      fd = (this.calls.here(job) ?? (yield job)).result
    }
    return this.counted(fd)
  }

  /** As `opening`, at once; undefined, and nothing is done, if that may take long. */
  openingHere(job: Job): number | undefined {
    const done = this.calls.here(job)
    if (done === undefined || done.result === -Errno.EMFILE || done.result === -Errno.ENFILE) return undefined
    return this.counted(done.result)
  }

  /** Numbers are given from the lowest on, so this one tells how many there are. */
  private counted(fd: number): number {
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
  *openFile(inode: Inode, flags: number): Steps<number> {
    const fd = this.fdAtHand(inode) ?? (yield* this.pathFd(inode))
    if (fd < 0) return fd
    if (inode.isDirectory) return yield* this.openAt(fd, '.', flags | c.O_DIRECTORY | c.O_CLOEXEC)
    return yield* this.openAt(this.procFd, `${fd}`, flags | c.O_CLOEXEC)
  }

  /** A second O_PATH descriptor for a file that is open already: nothing that could take long. */
  pathFdOf(fd: number): number {
    return this.calls.runNow(this.openAt(this.procFd, `${fd}`, c.O_PATH | c.O_CLOEXEC))
  }

  /**
   * As `stat`, but never older than a change of mode or size that is over. The kernel takes the size in the answer to
   * LINK (older ones: to SETATTR, too) for the newest there is, though an open with O_TRUNC, which waits for no lock of
   * the file, may have been answered before it; and a mode older than a chmod(2) would have setuid bits forgotten.
   */
  *statNow(inode: Inode): Steps<number> {
    for (;;) {
      const { changeCount } = inode
      const looked = this.statHere(inode) ?? (yield* this.stat(inode))
      if (inode.changeCount === changeCount) return looked
    }
  }

  /**
   * Finds out what stat says of the file: by descriptor if there is one, else by name, which saves opening it.
   * Gives 0 or a negative errno.
   */
  *stat(inode: Inode): Steps<number> {
    for (;;) {
      const atHand = this.fdAtHand(inode)
      const parent = atHand === undefined && inode.hasName && !inode.hasHandle ? inode.parent : null
      if (parent === null) {
        const fd = atHand ?? (yield* this.pathFd(inode))
        return fd < 0 ? fd : yield* this.statFd(fd)
      }
      const { name } = inode
      const result = yield* this.statByName(parent, name, inode)
      // While we waited, it may have been moved, or have got a descriptor because its name was going.
      if (result === 0 || (inode.isAt(parent, name) && this.fdAtHand(inode) === undefined)) return result
    }
  }

  private *statByName(parent: Inode, name: string, inode: Inode): Steps<number> {
    this.keep(parent)
    try {
      const parentFd = this.fdAtHand(parent) ?? (yield* this.pathFd(parent))
      if (parentFd < 0) return parentFd
      const result = yield* this.statAt(parentFd, name)
      if (result === 0 && inode.matches(this.calls.stat)) return 0
      return result === 0 || isGone(result) ? -Errno.ESTALE : result
    } finally {
      this.unkeep(parent)
    }
  }

  /** As `stat`, where nothing has to be opened or waited for; undefined elsewhere. */
  statHere(inode: Inode): number | undefined {
    const fd = this.fdAtHand(inode)
    return fd === undefined ? undefined : this.statFdHere(fd)
  }

  *statAt(fd: number, name: string): Steps<number> {
    const job = { kind: 'stat-at', fd, name } as const
    return (this.calls.here(job) ?? (yield job)).result
  }

  *statFd(fd: number): Steps<number> {
    return this.statFdHere(fd) ?? (yield { kind: 'stat', fd } as const).result
  }

  /** As `statFd`; undefined if that may take long. */
  statFdHere(fd: number): number | undefined {
    return this.calls.isRemote ? undefined : statDescriptor(fd, this.calls.stat)
  }

  size(inode: Inode): number {
    return this.fromOutside(this.uidAndSize(inode)).size
  }

  ownerUid(inode: Inode): number {
    return this.fromOutside(this.uidAndSize(inode)).uid
  }

  nameLeads(inode: Inode): ReturnType<FileNode['nameLeads']> {
    return this.fromOutside(this.whereNameLeads(inode))
  }

  private *whereNameLeads(inode: Inode): Steps<ReturnType<FileNode['nameLeads']>> {
    const { parent } = inode
    if (parent === null || !inode.hasName) return 'unnamed'
    // An io thread may have changed this name, or that of a directory above, without our having heard of it.
    if (this.nameChangesUnderWay > 0) return 'moving'
    const parentFd = yield* this.pathFd(parent)
    const result = parentFd < 0 ? parentFd : yield* this.statAt(parentFd, inode.name)
    // Any other failure, such as too many open files, says nothing about the name.
    if (result < 0) return isGone(result) || result === -Errno.ESTALE ? 'nowhere' : 'unnamed'
    return inode.matches(this.calls.stat) ? 'here' : 'elsewhere'
  }

  backingFd(inode: Inode): number {
    return check(this.fromOutside(this.pathFd(inode)), 'openat', inode.path())
  }

  /** What a request has found out about a file is still there afterwards. */
  private fromOutside<T>(steps: Steps<T>): T {
    const { buffer } = this.calls.stat
    const found = Buffer.from(buffer)
    try {
      return this.calls.runNow(steps)
    } finally {
      buffer.set(found)
    }
  }

  /** Answers from what was found out last about this file, as long as `action` runs. */
  knowing<T>(inode: Inode, action: () => T): T {
    const { uid, size } = this.calls.stat
    this.known = { inode, uid, size }
    try {
      return action()
    } finally {
      this.known = null
    }
  }
  private known: { inode: Inode; uid: number; size: number } | null = null

  private *uidAndSize(inode: Inode): Steps<{ uid: number; size: number }> {
    if (this.known?.inode === inode) return this.known
    const result = yield* this.stat(inode)
    if (result < 0) throw new LinuxError(-result as Errno, 'statx', inode.path())
    const { uid, size } = this.calls.stat
    return { uid, size }
  }

  hold(inode: Inode): void {
    // From now on the name may go without our hearing of it: only a descriptor of its own keeps the file.
    const fd = this.fromOutside(this.pathFd(inode))
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
    const handle = takeHandle(fd)
    if (typeof handle !== 'number') return handle
    if (handle === -Errno.EOPNOTSUPP) this.stopHandles()
    return null
  }

  private stopHandles(): void {
    raw.close(this.handleMountFd)
    this.handleMountFd = -1
  }

  private drop(inode: Inode): void {
    this.dropped(inode)
    if (inode.fd < 0) return
    this.fds.remove(inode)
    // The last descriptor of a file without a name: the file goes, and that is written to the journal.
    if (this.calls.isRemote || !inode.hasName) this.calls.close(inode.fd, inode.isBigAndUnlinked)
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
