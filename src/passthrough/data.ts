/** I/O that comes through the daemon, and what open files need besides. */
import { type Answer, OK, type Ok, type RequestInfo } from '../fuse/api.js'
import { WRITE_FLAGS } from '../fuse/wire/flags.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import { STATFS_SIZE } from './attributes.js'
import type { Core } from './core.js'
import { hasCapability, keepsSetid } from './identity.js'
import {
  AT_END,
  asWriter,
  type Job,
  type JobResult,
  readCached,
  readFully,
  type Writer,
  writeAt,
} from './io-jobs.js'
import { LaterAnswer } from './later.js'
import { changeLayout } from './layout.js'
import type { Handle } from './open-files.js'

const READ_BUFFER_BYTES = 1 << 20
const READ_AHEAD_BYTES = 2 << 20
const TMPFS_MAGIC = 0x0102_1994
/** Writes are done at once. One that took longer met something other than memory: for a while they go to the io threads. */
const SLOW_WRITE_MS = 3
const SLOW_PERIOD_MS = 1000
/** One copy_file_range stops here, so that it can be interrupted; callers go on by themselves. */
const COPY_BYTES_MAX = 128 << 20

export interface CopyArgs {
  readonly fhIn: number
  readonly offIn: number
  readonly fhOut: number
  readonly offOut: number
  readonly length: number
}

export class Data {
  private readonly core: Core
  private readonly readBuffer = Buffer.alloc(READ_BUFFER_BYTES)
  /** tmpfs and overlayfs do not know RWF_NOWAIT. */
  private knowsCached = true
  /** The device of a file system whose files are in memory in any case. */
  private readonly memoryDevice: number | null
  private writesAreSlowUntilMs = 0

  constructor(core: Core) {
    this.core = core
    const { rootFd, inodes } = core.tree
    const statfs = Buffer.alloc(STATFS_SIZE)
    const isMemory = raw.fstatfs(rootFd, statfs) === 0 && statfs.readUInt32LE(0) === TMPFS_MAGIC
    this.memoryDevice = isMemory ? inodes.root.device : null
  }

  /** Runs a job in an io thread and turns its result into the answer. */
  private inIoThread<T extends object | symbol>(
    request: RequestInfo,
    job: Job,
    answer: (result: JobResult) => T,
  ): Answer<T> {
    const later = new LaterAnswer<T>()
    this.core.io.submit(job, (result) => later.give(result.result < 0 ? result.result : answer(result)))
    return later.take(request, null)
  }

  read(request: RequestInfo, fh: number, offset: number, size: number): Answer<Uint8Array> {
    const handle = this.core.files.get(fh)
    const fd = this.core.files.dataFd(handle)
    if (fd < 0) return fd
    if (handle.node.device === this.memoryDevice && size <= READ_BUFFER_BYTES) {
      const buffer = this.readBuffer.subarray(0, size)
      const result = readFully(fd, buffer, offset)
      return result < 0 ? result : buffer.subarray(0, result)
    }
    const isSequential = offset === handle.readEnd && offset > 0
    handle.readEnd = offset + size
    const cached = this.readWithoutWaiting(fd, offset, size)
    if (cached !== null) return cached
    const aheadSize = isSequential ? this.aheadSize(handle) : 0
    const job: Job = { kind: 'read', fd, offset, size, aheadSize }
    return this.inIoThread(request, job, ({ data }) => data ?? Buffer.alloc(0))
  }

  /**
   * How much to read ahead of what is being read. The kernel asks us for 128 KiB at a time, and io threads ask in any
   * order: the file system below would not see that somebody reads from one end to the other.
   */
  private aheadSize(handle: Handle): number {
    const end = handle.readEnd
    if (handle.aheadEnd >= end + READ_AHEAD_BYTES / 2 && handle.aheadEnd <= end + READ_AHEAD_BYTES) return 0
    handle.aheadEnd = end + READ_AHEAD_BYTES
    return READ_AHEAD_BYTES
  }

  private readWithoutWaiting(fd: number, offset: number, size: number): Uint8Array | null {
    if (!this.knowsCached || size > READ_BUFFER_BYTES) return null
    const buffer = this.readBuffer.subarray(0, size)
    const result = readCached(fd, buffer, offset)
    if (result === -Errno.EOPNOTSUPP) this.knowsCached = false
    if (result < 0) return null
    if (result === size) return buffer
    // Fewer bytes: the end of the file, or the end of what is cached. Only a look at the size can tell.
    const { tree, stat } = this.core
    if (tree.statFd(fd, stat) < 0 || offset + result < stat.size) return null
    return buffer.subarray(0, result)
  }

  /** `flags` are those that the program's descriptor has at the moment: O_APPEND comes and goes (fcntl(2)). */
  write(
    request: RequestInfo,
    fh: number,
    givenOffset: number,
    data: Buffer,
    flags: number,
    writeFlags: number,
  ): Answer<{ size: number }> {
    // Where the kernel believes the end to be may be a second ago: what others have appended since stays. Pages that
    // are written back know their place.
    const isFromCache = (writeFlags & WRITE_FLAGS.FUSE_WRITE_CACHE) !== 0
    const offset = (flags & c.O_APPEND) !== 0 && !isFromCache ? AT_END : givenOffset
    const { files, options, identity, features } = this.core
    const handle = files.get(fh)
    const fd = files.dataFd(handle)
    if (fd < 0) return fd
    const isKilling = (writeFlags & WRITE_FLAGS.FUSE_WRITE_KILL_SUIDGID) !== 0
    const keepSetid = handle.node.hasSetid && keepsSetid(features, request, isKilling)
    const writer: Writer = { uid: request.uid, keepSetid }
    const startMs = options.nowMs()
    const isQuick = !handle.isSynchronous && startMs >= this.writesAreSlowUntilMs
    if (!isQuick) {
      // The request's bytes are overwritten by the next request.
      const copy = new Uint8Array(data)
      const job: Job = { kind: 'write', fd, offset, data: copy, writer }
      return this.inIoThread(request, job, ({ result }) => ({ size: result }))
    }
    const size = asWriter(identity, writer, () => writeAt(fd, data, offset))
    if (options.nowMs() - startMs > SLOW_WRITE_MS) this.writesAreSlowUntilMs = startMs + SLOW_PERIOD_MS
    return size < 0 ? size : { size }
  }

  fsync(request: RequestInfo, fh: number, dataOnly: boolean): Answer<Ok> {
    const fd = this.core.files.dataFd(this.core.files.get(fh))
    if (fd < 0) return fd
    return this.inIoThread(request, { kind: 'fsync', fd, dataOnly }, () => OK)
  }

  syncfs(request: RequestInfo): Answer<Ok> {
    const fd = this.core.tree.openFile(this.core.tree.inodes.root, c.O_RDONLY | c.O_NONBLOCK)
    if (fd < 0) return fd
    return this.inIoThread(request, { kind: 'syncfs', fd, closeAfter: true }, () => OK)
  }

  /** For operations of which the kernel does not say whether the caller keeps setuid bits. */
  private writer(request: RequestInfo, handle: Handle): Writer {
    return { uid: request.uid, keepSetid: handle.node.hasSetid && hasCapability(request, c.CAP_FSETID) }
  }

  fallocate(request: RequestInfo, fh: number, offset: number, length: number, mode: number): Answer<Ok> {
    const handle = this.core.files.get(fh)
    const fd = this.core.files.dataFd(handle)
    if (fd < 0) return fd
    const writer = this.writer(request, handle)
    const job: Job = { kind: 'fallocate', fd, mode, offset, length, writer }
    const operation = layoutOperation(mode)
    if (operation === 'none') return this.inIoThread(request, job, () => OK)
    if (operation === 'unsupported') return -Errno.EOPNOTSUPP
    const change = {
      node: handle.node,
      file: handle,
      operation,
      range: { start: offset, end: offset + length },
      nonBlocking: handle.isNonBlocking,
    } as const
    return changeLayout<Ok>(this.core.gate, request, change, (finish) => {
      this.core.io.submit(job, ({ result }) => finish(result < 0 ? result : OK))
    })
  }

  lseek(fh: number, offset: number, whence: number): Answer<{ offset: number }> {
    const fd = this.core.files.dataFd(this.core.files.get(fh))
    if (fd < 0) return fd
    const result = raw.lseek(fd, offset, whence)
    return result < 0 ? result : { offset: result }
  }

  copyFileRange(request: RequestInfo, args: CopyArgs): Answer<{ size: number }> {
    const { files, gate } = this.core
    const from = files.get(args.fhIn)
    const to: Handle = files.get(args.fhOut)
    const length = Math.min(args.length, COPY_BYTES_MAX)
    // It may replace blocks by shared ones. The kernel takes EXDEV for "copy the bytes, then".
    if (gate.isProtected(to.node, { start: args.offOut, end: args.offOut + length })) return -Errno.EXDEV
    const fdIn = files.dataFd(from)
    if (fdIn < 0) return fdIn
    const fdOut = files.dataFd(to)
    if (fdOut < 0) return fdOut
    const writer = this.writer(request, to)
    const { offIn, offOut } = args
    const job: Job = { kind: 'copy', fdIn, offIn, fdOut, offOut, length, writer }
    return this.inIoThread(request, job, ({ result }) => ({ size: result }))
  }
}

function layoutOperation(mode: number): 'none' | 'punch-hole' | 'zero-range' | 'unsupported' {
  switch (mode & ~c.FALLOC_FL_KEEP_SIZE) {
    case 0:
      return 'none'
    case c.FALLOC_FL_PUNCH_HOLE:
      return 'punch-hole'
    case c.FALLOC_FL_ZERO_RANGE:
      return 'zero-range'
    default:
      return 'unsupported'
  }
}
