/**
 * System calls that may take long, as plain objects: they can be sent to another thread, and they run the same
 * way wherever `runJob` is called. Results are the kernel's: a value, or a negative errno.
 */
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import { type Extents, extentsOf } from '../../linux/extents.js'
import { addressOf } from '../../linux/libc.js'
import * as raw from '../../linux/raw.js'
import { STATFS_SIZE, STATX_BASIC_STATS, STATX_BTIME, STATX_SIZE, Statx } from '../../linux/stat.js'
import { type Caller, type Identity, threadIdentity } from './identity.js'

/** A directory, by descriptor, and a name in it with one character per byte. */
interface Place {
  readonly fd: number
  readonly name: string
}

export type Job =
  | { readonly kind: 'fsync'; readonly fd: number; readonly dataOnly: boolean; readonly closeAfter?: true }
  | { readonly kind: 'syncfs'; readonly fd: number; readonly closeAfter?: true }
  | { readonly kind: 'close'; readonly fd: number }
  /** Where the file has blocks; closes the descriptor. */
  | { readonly kind: 'extents'; readonly fd: number; readonly size: number }
  | {
      readonly kind: 'fallocate'
      readonly fd: number
      readonly mode: number
      readonly offset: number
      readonly length: number
      readonly writer: Writer
    }
  /** Of a descriptor that may be an O_PATH one. */
  | { readonly kind: 'truncate'; readonly fd: number; readonly size: number; readonly writer: Writer }
  | {
      readonly kind: 'ftruncate'
      readonly fd: number
      readonly size: number
      readonly writer: Writer
      readonly closeAfter?: true
    }
  | {
      readonly kind: 'copy'
      readonly fdIn: number
      readonly offIn: number
      readonly fdOut: number
      readonly offOut: number
      readonly length: number
      readonly writer: Writer
    }
  | {
      readonly kind: 'read'
      readonly fd: number
      readonly offset: number
      readonly size: number
      /** How many bytes behind it will be asked for next, by all that is known. */
      readonly aheadSize: number
    }
  | {
      readonly kind: 'write'
      readonly fd: number
      /** Or AT_END. */
      readonly offset: number
      readonly data: Uint8Array
      readonly writer: Writer
    }
  | { readonly kind: 'seek'; readonly fd: number; readonly offset: number; readonly whence: number }
  /** Gives what statx(2) says: of the descriptor itself, or of a name in it. */
  | { readonly kind: 'stat'; readonly fd: number }
  | ({ readonly kind: 'stat-at' } & Place)
  | { readonly kind: 'stat-many'; readonly fd: number; readonly names: readonly string[] }
  | ({ readonly kind: 'open'; readonly flags: number } & Place)
  | { readonly kind: 'open-handle'; readonly fd: number; readonly handle: Uint8Array }
  | ({
      readonly kind: 'create'
      readonly flags: number
      readonly mode: number
      readonly maker: Maker
    } & Place)
  | ({ readonly kind: 'mkdir'; readonly mode: number; readonly maker: Maker } & Place)
  | ({
      readonly kind: 'mknod'
      readonly mode: number
      readonly device: number
      readonly maker: Maker
    } & Place)
  | ({ readonly kind: 'symlink'; readonly target: string; readonly maker: Maker } & Place)
  | ({ readonly kind: 'link'; readonly fileFd: number } & Place)
  | ({ readonly kind: 'remove'; readonly flags: number } & Place)
  | ({
      readonly kind: 'rename'
      readonly newFd: number
      readonly newName: string
      readonly flags: number
      /** Whose a whiteout is. */
      readonly maker: Caller | null
    } & Place)
  | {
      readonly kind: 'set-attributes'
      readonly fd: number
      /** And who gives the file away: the setgid bit may stay for who is in its group. */
      readonly owner: { readonly uid: number; readonly gid: number; readonly giver: Caller } | null
      readonly mode: number | null
      /** Two struct timespec, as utimensat(2) takes them. */
      readonly times: Uint8Array | null
    }
  | { readonly kind: 'readlink'; readonly fd: number }
  | { readonly kind: 'statfs'; readonly fd: number }
  /** Goes to `position` first, if that is not null. */
  | { readonly kind: 'list'; readonly fd: number; readonly position: bigint | null; readonly size: number }
  | { readonly kind: 'get-xattr'; readonly fd: number; readonly name: string; readonly size: number }
  | {
      readonly kind: 'list-xattr'
      readonly fd: number
      readonly asNoAdministrator: boolean
      readonly size: number
    }
  /** Of a name in a directory, itself where that is a symlink: how long is the list? */
  | ({ readonly kind: 'count-xattr' } & Place)
  | {
      readonly kind: 'set-xattr'
      readonly fd: number
      readonly name: string
      readonly value: Uint8Array
      readonly flags: number
      readonly setter: Setter | null
    }
  | {
      readonly kind: 'remove-xattr'
      readonly fd: number
      readonly name: string
      readonly setter: Setter | null
    }
  | { readonly kind: 'flags'; readonly fd: number; readonly command: number; readonly argument: Uint8Array }

/** Whose blocks are taken, and whether setuid bits survive the change. */
export interface Writer extends Caller {
  readonly keepSetid: boolean
}

/** Whose something new is, and what it may be. */
export interface Maker extends Caller {
  readonly umask: number
  /** The only supplementary group, null for none. */
  readonly group: number | null
  readonly keepSetid: boolean
}

/** Who changes an ACL, and so perhaps loses the setgid bit; null keeps it. */
export type Setter = Caller | 'keeps setgid'

export interface JobResult {
  readonly result: number
  /** What was read. */
  readonly data?: Uint8Array
  readonly extents?: Extents | null
}

/** What an io thread hands back. */
export interface Finished extends JobResult {
  /** The 256 bytes of statx(2), for what asks for attributes. */
  readonly stat?: Uint8Array | undefined
  readonly durationMs: number
  /** Did the thread sleep meanwhile, or was it at most kept waiting for a processor? */
  readonly hasSlept: boolean
}

/**
 * Runs jobs. `done` is called once, in the thread that serves the file system: at once, or later. Descriptors
 * in a job stay open until then, and its bytes stay as they are.
 */
export interface IoThreads {
  submit(job: Job, done: (finished: Finished) => void): void
}

function offsetBytes(offset: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(offset))
  return bytes
}

/** Does something to a file as this writer. */
export function asWriter(identity: Identity, writer: Writer, action: () => number): number {
  identity.become(writer)
  return writer.keepSetid ? identity.keepingSetid(action) : action()
}

const iovec = new BigUint64Array(2)

/** Instead of an offset: behind what is there at that moment, whoever has written it. */
export const AT_END = -1

/** pwrite(2), or what write(2) does with O_APPEND. */
export function writeAt(fd: number, data: Uint8Array, offset: number): number {
  if (offset !== AT_END) return raw.pwrite(fd, data, data.length, offset)
  iovec[0] = addressOf(data)
  iovec[1] = BigInt(data.length)
  return raw.pwritev2(fd, iovec, 1, 0, c.RWF_APPEND)
}

/** Writes all of `data`, unless the file system has no room for the rest. */
function writeFully(fd: number, data: Uint8Array, offset: number): number {
  let written = 0
  while (written < data.length) {
    const rest = written === 0 ? data : data.subarray(written)
    const result = writeAt(fd, rest, offset === AT_END ? AT_END : offset + written)
    if (result === -Errno.EINTR) continue
    if (result <= 0) return written > 0 ? written : result
    written += result
  }
  return written
}

/** Reads up to the end of the file or of the buffer. */
export function readFully(fd: number, buffer: Uint8Array, offset: number): number {
  let done = 0
  while (done < buffer.length) {
    const rest = done === 0 ? buffer : buffer.subarray(done)
    const result = raw.pread(fd, rest, rest.length, offset + done)
    if (result === -Errno.EINTR) continue
    if (result < 0) return done > 0 ? done : result
    if (result === 0) break
    done += result
  }
  return done
}

/** Reads what is in the page cache. @returns -EAGAIN where that is nothing, -EOPNOTSUPP where nobody knows. */
export function readCached(fd: number, buffer: Uint8Array, offset: number): number {
  iovec[0] = addressOf(buffer)
  iovec[1] = BigInt(buffer.length)
  return raw.preadv2(fd, iovec, 1, offset, c.RWF_NOWAIT)
}

/** For a descriptor that only finds the file, a symlink itself where the name is one. */
export const PATH_FLAGS = c.O_PATH | c.O_NOFOLLOW | c.O_CLOEXEC

const EMPTY_PATH = Buffer.from('\0')
const NAME_BYTES_MAX = 4096
/** Room for what system calls take; used within one job. */
const nameBytes = Buffer.alloc(NAME_BYTES_MAX)
const otherBytes = Buffer.alloc(NAME_BYTES_MAX)
const pathBytes = Buffer.alloc(32)

/** Shorter ones are written quicker byte by byte. */
const LONG_TEXT = 48

function nulEnded(bytes: Buffer, text: string): Buffer {
  const { length } = text
  if (length > LONG_TEXT) {
    bytes[bytes.write(text, 0, 'latin1')] = 0
    return bytes
  }
  for (let index = 0; index < length; index++) bytes[index] = text.charCodeAt(index)
  bytes[length] = 0
  return bytes
}

/**
 * The path of a descriptor, for calls that know only paths. It leads to what an O_PATH descriptor stands for, a
 * symlink itself included.
 */
function pathOf(fd: number): Buffer {
  if (fd !== pathFd) nulEnded(pathBytes, `/proc/self/fd/${fd}`)
  pathFd = fd
  return pathBytes
}
/** Whose path is in `pathBytes`. */
let pathFd = -1

/** Attributes and links, of file systems that are asked in this way. */
const STATX_MASK = STATX_BASIC_STATS | STATX_BTIME
const STAT_AT_FLAGS = c.AT_SYMLINK_NOFOLLOW | c.AT_NO_AUTOMOUNT

export function statName(fd: number, nameZ: Buffer, stat: Statx): number {
  return stat.tryRead(fd, nameZ, STAT_AT_FLAGS, STATX_MASK)
}

export function statDescriptor(fd: number, stat: Statx): number {
  return stat.tryRead(fd, EMPTY_PATH, c.AT_EMPTY_PATH, STATX_MASK)
}

function asMaker(identity: Identity, maker: Maker, call: () => number): number {
  identity.setUmask(maker.umask)
  identity.become(maker, maker.group)
  return maker.keepSetid ? identity.keepingSetid(call) : call()
}

function asSetter(identity: Identity, setter: Setter | null, call: () => number): number {
  if (setter === null) return call()
  if (setter === 'keeps setgid') return identity.keepingSetid(call)
  // Who sets it is not in the file's group: neither may we be, who are in group 0 otherwise.
  identity.become(setter)
  return call()
}

/**
 * Carries out one job in the calling thread.
 * @param stat is filled by what asks for attributes.
 */
export function runJob(job: Job, identity: Identity, stat: Statx): JobResult {
  const result = carryOut(job, identity, stat)
  const isForOnce = job.kind === 'fsync' || job.kind === 'syncfs' || job.kind === 'ftruncate'
  if (isForOnce && job.closeAfter === true) raw.close(job.fd)
  return result
}

function carryOut(job: Job, identity: Identity, stat: Statx): JobResult {
  switch (job.kind) {
    case 'read': {
      if (job.aheadSize > 0)
        raw.posixFadvise(job.fd, job.offset, job.size + job.aheadSize, c.POSIX_FADV_WILLNEED)
      // Of its own memory, so that it can be given to another thread; not cleared, since it is filled.
      const data = Buffer.allocUnsafeSlow(job.size)
      return withData(readFully(job.fd, data, job.offset), data)
    }
    case 'list': {
      if (job.position !== null) {
        const sought = raw.lseekOpaque(job.fd, job.position, c.SEEK_SET)
        if (sought < 0) return { result: sought }
      }
      return reading(job.size, (data) => raw.getdents64(job.fd, data, data.length))
    }
    case 'stat-many':
      return statMany(job.fd, job.names, stat)
    case 'readlink':
      return reading(NAME_BYTES_MAX, (data) => raw.readlinkat(job.fd, EMPTY_PATH, data, data.length))
    case 'flags': {
      const data = Buffer.from(job.argument)
      const result = raw.ioctl(job.fd, job.command, data)
      return result < 0 ? { result } : { result, data: new Uint8Array(data) }
    }
    case 'extents':
      return { result: 0, extents: extentsOf(job.fd, job.size) }
    case 'statfs': {
      const data = Buffer.allocUnsafeSlow(STATFS_SIZE)
      const result = raw.fstatfs(job.fd, data)
      return result < 0 ? { result } : { result, data }
    }
    case 'get-xattr': {
      const name = nulEnded(nameBytes, job.name)
      if (job.size === 0) return { result: raw.getxattr(pathOf(job.fd), name, null, 0) }
      return reading(job.size, (data) => raw.getxattr(pathOf(job.fd), name, data, data.length))
    }
    case 'list-xattr': {
      if (job.size === 0) return { result: raw.listxattr(pathOf(job.fd), null, 0) }
      const list = (data: Buffer) => raw.listxattr(pathOf(job.fd), data, data.length)
      return reading(job.size, (data) =>
        job.asNoAdministrator ? identity.asNoAdministrator(() => list(data)) : list(data),
      )
    }
    default:
      return { result: numberOf(job, identity, stat) }
  }
}

function withData(result: number, data: Buffer): JobResult {
  return result < 0 ? { result } : { result, data: data.subarray(0, result) }
}

/** Large enough for everything that is read in this way, and grows no further; what is read is copied out. */
const scratch = Buffer.alloc(64 << 10)

function reading(size: number, read: (data: Buffer) => number): JobResult {
  const room = scratch.subarray(0, size)
  const result = read(room)
  return result < 0 ? { result } : { result, data: new Uint8Array(room.subarray(0, result)) }
}

/** One after the other; nothing but zeros of a name that is not there. */
function statMany(fd: number, names: readonly string[], stat: Statx): JobResult {
  const data = new Uint8Array(names.length * STATX_SIZE)
  for (const [index, name] of names.entries()) {
    const result = statName(fd, nulEnded(nameBytes, name), stat)
    if (result === 0) data.set(stat.buffer, index * STATX_SIZE)
  }
  return { result: 0, data }
}

type Numbered = Exclude<
  Job,
  {
    kind:
      | 'read'
      | 'list'
      | 'stat-many'
      | 'readlink'
      | 'flags'
      | 'statfs'
      | 'extents'
      | 'get-xattr'
      | 'list-xattr'
  }
>

function numberOf(job: Numbered, identity: Identity, stat: Statx): number {
  switch (job.kind) {
    // The most frequent ones first: they are compared one after the other.
    case 'open':
      return raw.openat(job.fd, nulEnded(nameBytes, job.name), job.flags, 0)
    case 'close':
      return raw.close(job.fd)
    case 'create': {
      const name = nulEnded(nameBytes, job.name)
      return asMaker(identity, job.maker, () => raw.openat(job.fd, name, job.flags, job.mode))
    }
    case 'remove':
      return raw.unlinkat(job.fd, nulEnded(nameBytes, job.name), job.flags)
    case 'set-attributes':
      return setAttributes(job, identity)
    case 'stat-at':
      return statName(job.fd, nulEnded(nameBytes, job.name), stat)
    case 'write':
      return asWriter(identity, job.writer, () => writeFully(job.fd, job.data, job.offset))
    case 'fsync':
      return job.dataOnly ? raw.fdatasync(job.fd) : raw.fsync(job.fd)
    case 'syncfs':
      return raw.syncfs(job.fd)
    case 'fallocate':
      return asWriter(identity, job.writer, () => raw.fallocate(job.fd, job.mode, job.offset, job.length))
    case 'truncate':
      return asWriter(identity, job.writer, () => raw.truncate(pathOf(job.fd), job.size))
    case 'ftruncate':
      return asWriter(identity, job.writer, () => raw.ftruncate(job.fd, job.size))
    case 'copy': {
      const offIn = offsetBytes(job.offIn)
      const offOut = offsetBytes(job.offOut)
      return asWriter(identity, job.writer, () =>
        raw.copyFileRange(job.fdIn, offIn, job.fdOut, offOut, job.length, 0),
      )
    }
    case 'seek':
      return raw.lseek(job.fd, job.offset, job.whence)
    case 'stat':
      return statDescriptor(job.fd, stat)
    case 'open-handle':
      return raw.openByHandleAt(job.fd, job.handle, c.O_PATH | c.O_CLOEXEC)
    case 'mkdir': {
      const name = nulEnded(nameBytes, job.name)
      return asMaker(identity, job.maker, () => raw.mkdirat(job.fd, name, job.mode))
    }
    case 'mknod': {
      const name = nulEnded(nameBytes, job.name)
      return asMaker(identity, job.maker, () => raw.mknodat(job.fd, name, job.mode, job.device))
    }
    case 'symlink': {
      const name = nulEnded(nameBytes, job.name)
      const target = nulEnded(otherBytes, job.target)
      return asMaker(identity, job.maker, () => raw.symlinkat(target, job.fd, name))
    }
    case 'link': {
      const name = nulEnded(nameBytes, job.name)
      const result = raw.linkat(job.fileFd, EMPTY_PATH, job.fd, name, c.AT_EMPTY_PATH)
      // Without CAP_DAC_READ_SEARCH the empty path is refused with ENOENT; /proc leads there too.
      if (result !== -Errno.ENOENT) return result
      return raw.linkat(c.AT_FDCWD, pathOf(job.fileFd), job.fd, name, c.AT_SYMLINK_FOLLOW)
    }
    case 'rename': {
      const { maker, flags } = job
      if (maker !== null) identity.become(maker)
      const [name, newName] = [nulEnded(nameBytes, job.name), nulEnded(otherBytes, job.newName)]
      return raw.renameat2(job.fd, name, job.newFd, newName, flags)
    }
    case 'count-xattr':
      return raw.llistxattr(nulEnded(nameBytes, `/proc/self/fd/${job.fd}/${job.name}`), null, 0)
    case 'set-xattr': {
      const name = nulEnded(nameBytes, job.name)
      const { value, flags } = job
      return asSetter(identity, job.setter, () =>
        raw.setxattr(pathOf(job.fd), name, value, value.length, flags),
      )
    }
    case 'remove-xattr': {
      const name = nulEnded(nameBytes, job.name)
      return asSetter(identity, job.setter, () => raw.removexattr(pathOf(job.fd), name))
    }
  }
}

/** Owner, then mode, then times: changing the owner takes setuid bits away, and both move the times. */
function setAttributes(job: Extract<Job, { kind: 'set-attributes' }>, identity: Identity): number {
  const { fd, owner, mode, times } = job
  let result = 0
  if (owner !== null) {
    identity.become(owner.giver)
    result = raw.fchownat(fd, EMPTY_PATH, owner.uid, owner.gid, c.AT_EMPTY_PATH)
  }
  if (result === 0 && mode !== null) {
    // chmod(2) has no form that takes an O_PATH descriptor on older kernels.
    const chmod = () => raw.fchmodat(c.AT_FDCWD, pathOf(fd), mode, 0)
    result = (mode & c.S_ISGID) === 0 ? chmod() : identity.keepingSetid(chmod)
  }
  if (result === 0 && times !== null) result = raw.utimensat(fd, EMPTY_PATH, times, c.AT_EMPTY_PATH)
  return result
}

const RUSAGE_THREAD = 1
/** struct rusage: two struct timeval, then 14 numbers. */
const rusage = Buffer.alloc(144)
const NVCSW = 128

/** What a job has left in `stat`, for whoever did not run it; the buffer itself. */
export function statOf(job: Job, stat: Statx): Uint8Array | undefined {
  return job.kind === 'stat' || job.kind === 'stat-at' ? stat.buffer : undefined
}

/** How often this thread has slept so far, that is, given up its processor by itself. */
export function sleepCountOfThread(): number {
  return raw.getrusage(RUSAGE_THREAD, rusage) < 0 ? 0 : rusage.readUInt32LE(NVCSW)
}

/** Runs every job at once in the calling thread: for tests, and where there can be no other threads. */
export class InlineIo implements IoThreads {
  private readonly identity = threadIdentity()
  private readonly stat = new Statx()

  submit(job: Job, done: (finished: Finished) => void): void {
    const result = runJob(job, this.identity, this.stat)
    // What others have found out about a file stays as it is.
    done({ ...result, stat: statOf(job, this.stat), durationMs: 0, hasSlept: false })
  }
}
