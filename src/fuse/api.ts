/**
 * What a file system built on `holdfast/fuse` looks like: one method per operation, each given the decoded
 * request and answering with a value, a negative errno, or PENDING.
 *
 * Nothing here blocks or awaits. A method that cannot answer at once calls `request.defer()`, returns PENDING
 * and answers through the Deferred later, once. A method that is missing answers ENOSYS, which the kernel
 * remembers for most operations and does not ask again.
 */
import type { Errno } from '../lib/errno.js'

/** A failure as the kernel writes it: `-2` is ENOENT. Only -511..-1 reach the kernel; others become EIO. */
export type Failure = number

/** Returned by a handler whose answer comes later, through the Deferred it took. */
export const PENDING: unique symbol = Symbol('pending')
export type Pending = typeof PENDING

/** Returned by a handler for success without a body (`unlink`, `setattr` has a body, ...). */
export const OK: unique symbol = Symbol('ok')
export type Ok = typeof OK

export type Answer<T> = T | Failure | Pending

/** Who asks. `pid` is the calling *thread* in the server's pid namespace, 0 if it cannot be seen there. */
export interface RequestInfo {
  readonly opcode: number
  /** The kernel's request id; bit 63 (FUSE_UNIQUE_RESEND) is set when the request is sent again. */
  readonly unique: bigint
  readonly nodeid: number
  readonly uid: number
  readonly gid: number
  readonly pid: number
  /** FUSE_CREATE_SUPP_GROUP: the parent's group, if the caller is a member of it. */
  readonly supplementaryGroup: number | null
  /** FUSE_SECURITY_CTX: labels that a new file must be born with. Views of the request, as names are. */
  readonly securityContexts?: readonly SecurityContext[]
  /** Takes over the duty to answer. */
  defer<T>(): Deferred<T>
}

/** An extended attribute such as `security.selinux`; both parts without the final NUL of the name. */
export interface SecurityContext {
  readonly name: Buffer
  readonly value: Buffer
}

/** A request whose answer is owed. Exactly one of answer/fail/taken ends it; a second call is an assertion. */
export interface Deferred<T> {
  readonly unique: bigint
  answer(value: T): void
  fail(errno: Errno): void
  /**
   * Somebody else (an io thread) writes the answer to the device with this `unique`. The session forgets the
   * request: interrupts no longer reach it, and if the kernel sends it again the handler is called again.
   */
  taken(): void
  /** Called at most once, when the caller was interrupted by a signal. The answer is still owed. */
  onInterrupt: (() => void) | null
}

/** `struct fuse_attr`. Times are seconds and nanoseconds; `ino` can exceed 2^53, and is a bigint then at least. */
export interface Attr {
  ino: number | bigint
  size: number
  blocks: number
  atime: number
  mtime: number
  ctime: number
  atimeNsec: number
  mtimeNsec: number
  ctimeNsec: number
  mode: number
  nlink: number
  uid: number
  gid: number
  rdev: number
  blksize: number
  flags: number
}

/** Validity times are milliseconds. */
export interface AttrReply {
  attr: Attr
  attrValidMs: number
}

/** `nodeid: 0` with a validity is a negative entry: "there is no such name, remember that". */
export interface EntryReply extends AttrReply {
  nodeid: number
  generation: number
  entryValidMs: number
}

export interface OpenReply {
  fh: number
  /** FOPEN_* */
  openFlags: number
  /** With FOPEN_PASSTHROUGH; else 0. */
  backingId: number
}

export interface CreateReply {
  entry: EntryReply
  open: OpenReply
}

/** FATTR_* bits in `valid` say which fields count. */
export interface SetattrArgs {
  valid: number
  fh: number | null
  size: number
  atime: number
  mtime: number
  ctime: number
  atimeNsec: number
  mtimeNsec: number
  ctimeNsec: number
  mode: number
  uid: number
  gid: number
}

export interface Statfs {
  blocks: number
  bfree: number
  bavail: number
  files: number
  ffree: number
  bsize: number
  namelen: number
  frsize: number
}

export interface IoctlArgs {
  fh: number
  /** FUSE_IOCTL_* */
  flags: number
  cmd: number
  arg: bigint
  input: Buffer
  outSize: number
}

/** `output` may be shorter than outSize. */
export interface IoctlReply {
  result: number
  output: Buffer
}

export interface PollArgs {
  fh: number
  /** The kernel's handle of this poll: give it to `Notifier.poll` to wake the callers. */
  kh: bigint
  /** FUSE_POLL_SCHEDULE_NOTIFY asks to be woken. */
  flags: number
  events: number
}

/** `struct fuse_file_lock`. `end` is inclusive; a number cannot hold OFFSET_MAX, "to the end of the file". */
export interface FileLock {
  start: bigint
  end: bigint
  /** F_RDLCK, F_WRLCK or F_UNLCK. */
  type: number
  pid: number
}

export interface LockArgs {
  fh: number
  owner: bigint
  lock: FileLock
  /** FUSE_LK_FLOCK asks for the lock of flock(2) instead of that of fcntl(2). */
  flags: number
}

/** `struct fuse_statx`; times are seconds and nanoseconds. */
export interface StatxReply {
  attrValidMs: number
  mask: number
  blksize: number
  attributes: bigint
  attributesMask: bigint
  nlink: number
  uid: number
  gid: number
  mode: number
  ino: bigint
  size: number
  blocks: number
  atime: readonly [number, number]
  btime: readonly [number, number]
  ctime: readonly [number, number]
  mtime: readonly [number, number]
  rdevMajor: number
  rdevMinor: number
  devMajor: number
  devMinor: number
}

/** What a file system counted in an answer that the kernel never took. */
export interface LostState {
  /** Each occurrence is one lookup that nobody will FORGET. */
  readonly nodeids: readonly number[]
  /** A handle that nobody will RELEASE. */
  readonly fh: number | null
}

/** Collects directory entries up to the size the kernel asked for. */
export interface DirectoryWriter {
  /** @param off the position after this entry, below 2^63. @returns false if it does not fit: stop here. */
  add(name: Uint8Array, ino: bigint, off: bigint, type: number): boolean
  /**
   * Adds an entry as getdents64(2) returns it.
   * @param at where its `struct linux_dirent64` begins in `list`.
   * @returns false if it does not fit.
   */
  addDirent64(list: Uint8Array, at: number): boolean
}

export interface DirectoryPlusWriter extends DirectoryWriter {
  /** Like `add`; the entry counts as looked up once more, unless it is null ("." and "..") . */
  addPlus(name: Uint8Array, ino: bigint, off: bigint, type: number, entry: EntryReply | null): boolean
  /** Like `addDirent64`, with what `addPlus` says of `entry`. */
  addDirent64Plus(list: Uint8Array, at: number, entry: EntryReply | null): boolean
  /** Would an entry with a name of this length fit? Ask before counting a lookup. */
  fits(nameLength: number): boolean
}

/**
 * Names are bytes, without the final NUL unless said otherwise. Buffers handed to a handler are views of the
 * request and are reused when the handler returns: copy what must live longer.
 * `nameZ` parameters include the final NUL, so that they can be given to a system call as they are.
 */
export interface FuseFileSystem {
  /** The session has negotiated; `negotiated` says what the kernel agreed to. */
  init?(negotiated: Negotiated): void
  /** The file system is unmounted (only sent for block-device mounts; do not rely on it). */
  destroy?(): void
  /**
   * An answer that created state did not reach the kernel (its caller was killed, the connection is gone, or
   * encoding it failed): undo what is listed, as FORGET and RELEASE would. Called after LOOKUP, MKNOD, MKDIR,
   * SYMLINK, LINK, READDIRPLUS, OPEN, OPENDIR, CREATE and TMPFILE.
   * @param opcode The operation that was answered.
   */
  replyLost?(opcode: number, lost: LostState): void

  lookup?(request: RequestInfo, nameZ: Buffer): Answer<EntryReply>
  forget?(nodeid: number, nlookup: number): void
  getattr?(request: RequestInfo, fh: number | null): Answer<AttrReply>
  setattr?(request: RequestInfo, args: SetattrArgs): Answer<AttrReply>
  readlink?(request: RequestInfo): Answer<Buffer>
  symlink?(request: RequestInfo, nameZ: Buffer, targetZ: Buffer): Answer<EntryReply>
  mknod?(request: RequestInfo, nameZ: Buffer, mode: number, rdev: number, umask: number): Answer<EntryReply>
  mkdir?(request: RequestInfo, nameZ: Buffer, mode: number, umask: number): Answer<EntryReply>
  unlink?(request: RequestInfo, nameZ: Buffer): Answer<Ok>
  rmdir?(request: RequestInfo, nameZ: Buffer): Answer<Ok>
  /** RENAME and RENAME2; flags are RENAME_*. */
  rename?(
    request: RequestInfo,
    oldNameZ: Buffer,
    newParent: number,
    newNameZ: Buffer,
    flags: number,
  ): Answer<Ok>
  /** `request.nodeid` is the new parent. */
  link?(request: RequestInfo, oldNodeid: number, newNameZ: Buffer): Answer<EntryReply>

  open?(request: RequestInfo, flags: number, openFlags: number): Answer<OpenReply>
  create?(
    request: RequestInfo,
    nameZ: Buffer,
    flags: number,
    mode: number,
    umask: number,
    openFlags: number,
  ): Answer<CreateReply>
  tmpfile?(request: RequestInfo, flags: number, mode: number, umask: number): Answer<CreateReply>
  read?(request: RequestInfo, fh: number, offset: number, size: number, flags: number): Answer<Uint8Array>
  /** writeFlags are FUSE_WRITE_*. Answers the number of bytes as `{ size }`. */
  write?(
    request: RequestInfo,
    fh: number,
    offset: number,
    data: Buffer,
    flags: number,
    writeFlags: number,
  ): Answer<{ size: number }>
  flush?(request: RequestInfo, fh: number, lockOwner: bigint): Answer<Ok>
  /** releaseFlags are FUSE_RELEASE_*. */
  release?(
    request: RequestInfo,
    fh: number,
    flags: number,
    releaseFlags: number,
    lockOwner: bigint,
  ): Answer<Ok>
  fsync?(request: RequestInfo, fh: number, dataOnly: boolean): Answer<Ok>
  fallocate?(request: RequestInfo, fh: number, offset: number, length: number, mode: number): Answer<Ok>
  lseek?(request: RequestInfo, fh: number, offset: number, whence: number): Answer<{ offset: number }>
  copyFileRange?(
    request: RequestInfo,
    args: {
      fhIn: number
      offIn: number
      nodeidOut: number
      fhOut: number
      offOut: number
      length: number
      flags: number
    },
  ): Answer<{ size: number }>

  opendir?(request: RequestInfo, flags: number): Answer<OpenReply>
  readdir?(request: RequestInfo, fh: number, offset: bigint, writer: DirectoryWriter): Answer<Ok>
  readdirplus?(request: RequestInfo, fh: number, offset: bigint, writer: DirectoryPlusWriter): Answer<Ok>
  releasedir?(request: RequestInfo, fh: number): Answer<Ok>
  fsyncdir?(request: RequestInfo, fh: number, dataOnly: boolean): Answer<Ok>

  statfs?(request: RequestInfo): Answer<Statfs>
  syncfs?(request: RequestInfo): Answer<Ok>
  setxattr?(
    request: RequestInfo,
    nameZ: Buffer,
    value: Buffer,
    flags: number,
    /** FUSE_SETXATTR_*, with FUSE_SETXATTR_EXT. */
    setxattrFlags: number,
  ): Answer<Ok>
  /** size 0 asks for the size: answer `{ size }`. */
  getxattr?(request: RequestInfo, nameZ: Buffer, size: number): Answer<Buffer | { size: number }>
  listxattr?(request: RequestInfo, size: number): Answer<Buffer | { size: number }>
  removexattr?(request: RequestInfo, nameZ: Buffer): Answer<Ok>
  access?(request: RequestInfo, mask: number): Answer<Ok>

  ioctl?(request: RequestInfo, args: IoctlArgs): Answer<IoctlReply>
  /** Answers poll(2) bits. */
  poll?(request: RequestInfo, args: PollArgs): Answer<{ revents: number }>

  /** Only with FUSE_POSIX_LOCKS or FUSE_FLOCK_LOCKS; else the kernel keeps the locks itself. */
  getlk?(request: RequestInfo, args: LockArgs): Answer<FileLock>
  /** SETLK and SETLKW; `wait` is true for the latter. */
  setlk?(request: RequestInfo, args: LockArgs, wait: boolean): Answer<Ok>
  bmap?(request: RequestInfo, block: number, blocksize: number): Answer<{ block: number }>
  statx?(request: RequestInfo, fh: number | null, flags: number, mask: number): Answer<StatxReply>
  /** The pages that `retrieve` asked for, under the same number. `data` may be shorter than asked. */
  retrieved?(notifyUnique: bigint, nodeid: number, offset: number, data: Buffer): void
}

/** What INIT agreed on. */
export interface Negotiated {
  readonly minor: number
  /** FUSE_* INIT flags both sides have, as one 64-bit value (flags | flags2 << 32). */
  readonly flags: bigint
  readonly maxWrite: number
  readonly maxReadahead: number
}

/** Notifications to the kernel. Never call one while a request on the same inode is unanswered. */
export interface Notifier {
  poll(kh: bigint): void
  invalidateInode(nodeid: number, offset: number, length: number): void
  invalidateEntry(parent: number, name: Uint8Array): void
  deleteEntry(parent: number, child: number, name: Uint8Array): void
}

/** The device. `read` and `write` never block. */
export interface Transport {
  /** @returns bytes read into `buffer`; 0 if there is no request now; -ENODEV when unmounted. */
  read(buffer: Buffer): number
  /**
   * Writes one message made of parts, all at once, and keeps none of them: the session reuses its buffers.
   * @returns 0 or a negative errno (ENOENT: the request is gone).
   */
  write(parts: readonly Uint8Array[]): number
}
