/** I/O that comes through the daemon, and what open files need besides. */
import { type Answer, OK, type Ok, type RequestInfo } from '../../fuse/api.js'
import { WRITE_FLAGS } from '../../fuse/wire/flags.js'
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import type { Core } from '../core.js'
import type { Steps } from '../io/calls.js'
import { hasCapability, keepsSetid } from '../io/identity.js'
import { AT_END, type Job, readCached, readFully, type Writer } from '../io/jobs.js'
import { changeLayout } from '../layout.js'
import type { Handle } from '../open-files.js'

const READ_BUFFER_BYTES = 1 << 20
const READ_AHEAD_BYTES = 2 << 20
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
  private knowsCached: boolean
  /** The device of a file system whose files are in memory in any case. */
  private readonly memoryDevice: number | null

  constructor(core: Core, isMemory: boolean) {
    this.core = core
    // A file system that never returns from this must not keep everybody else waiting.
    this.knowsCached = !core.calls.isRemote
    this.memoryDevice = isMemory ? core.tree.inodes.root.device : null
  }

  /** Does something with an open file. */
  private withFile<T extends object | symbol>(
    request: RequestInfo,
    handle: Handle,
    steps: Steps<Answer<T>>,
  ): Answer<T> {
    return this.core.calls.serve(request, this.core.tree, steps, handle.node)
  }

  read(request: RequestInfo, fh: number, offset: number, size: number): Answer<Uint8Array> {
    const handle = this.core.files.get(fh)
    return this.withFile(request, handle, this.readFrom(handle, offset, size))
  }

  private *readFrom(handle: Handle, offset: number, size: number): Steps<Answer<Uint8Array>> {
    const fd = yield* this.core.files.dataFd(handle)
    if (fd < 0) return fd
    if (handle.node.device === this.memoryDevice && size <= READ_BUFFER_BYTES) {
      const buffer = this.readBuffer.subarray(0, size)
      const result = readFully(fd, buffer, offset)
      return result < 0 ? result : buffer.subarray(0, result)
    }
    const isSequential = offset === handle.readEnd && offset > 0
    handle.readEnd = offset + size
    const cached = yield* this.readWithoutWaiting(fd, offset, size)
    if (cached !== null) return cached
    const aheadSize = isSequential ? this.aheadSize(handle) : 0
    const { result, data } = yield { kind: 'read', fd, offset, size, aheadSize }
    return result < 0 ? result : (data ?? Buffer.alloc(0))
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

  private *readWithoutWaiting(fd: number, offset: number, size: number): Steps<Uint8Array | null> {
    if (!this.knowsCached || size > READ_BUFFER_BYTES) return null
    const buffer = this.readBuffer.subarray(0, size)
    const result = readCached(fd, buffer, offset)
    if (result === -Errno.EOPNOTSUPP) this.knowsCached = false
    if (result < 0) return null
    if (result === size) return buffer
    // Fewer bytes: the end of the file, or the end of what is cached. Only a look at the size can tell.
    const { tree, stat } = this.core
    const looked = tree.statFdHere(fd) ?? (yield* tree.statFd(fd))
    if (looked < 0 || offset + result < stat.size) return null
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
    const handle = this.core.files.get(fh)
    // Where the kernel believes the end to be may be a second ago: what others have appended since stays. Pages that
    // are written back know their place.
    const isFromCache = (writeFlags & WRITE_FLAGS.FUSE_WRITE_CACHE) !== 0
    const offset = (flags & c.O_APPEND) !== 0 && !isFromCache ? AT_END : givenOffset
    const isKilling = (writeFlags & WRITE_FLAGS.FUSE_WRITE_KILL_SUIDGID) !== 0
    const keepSetid = handle.node.hasSetid && keepsSetid(this.core.features, request, isKilling)
    const writer: Writer = { uid: request.uid, gid: request.gid, keepSetid }
    // Whoever opens a file without passthrough has opened it below as well.
    if (handle.fd < 0)
      return this.withFile(request, handle, this.writeTo(handle, offset, new Uint8Array(data), writer))
    return this.withFile(request, handle, this.writeTo(handle, offset, data, writer))
  }

  private *writeTo(
    handle: Handle,
    offset: number,
    data: Uint8Array,
    writer: Writer,
  ): Steps<Answer<{ size: number }>> {
    const { calls, files } = this.core
    const fd = yield* files.dataFd(handle)
    if (fd < 0) return fd
    const job: Job = { kind: 'write', fd, offset, data, writer }
    const done = handle.isSynchronous ? undefined : calls.here(job)
    // The request's bytes are overwritten by the next request.
    const { result } = done ?? (yield { ...job, data: new Uint8Array(data) })
    return result < 0 ? result : { size: result }
  }

  fsync(request: RequestInfo, fh: number, dataOnly: boolean): Answer<Ok> {
    const handle = this.core.files.get(fh)
    return this.withFile(request, handle, this.sync(handle, dataOnly))
  }

  private *sync(handle: Handle, dataOnly: boolean): Steps<Answer<Ok>> {
    const fd = yield* this.core.files.dataFd(handle)
    if (fd < 0) return fd
    const { result } = yield { kind: 'fsync', fd, dataOnly }
    return result < 0 ? result : OK
  }

  syncfs(request: RequestInfo): Answer<Ok> {
    const { calls, tree } = this.core
    return calls.serve(request, tree, this.syncAll(), tree.inodes.root)
  }

  private *syncAll(): Steps<Answer<Ok>> {
    const { tree } = this.core
    const fd = yield* tree.openFile(tree.inodes.root, c.O_RDONLY | c.O_NONBLOCK)
    if (fd < 0) return fd
    const { result } = yield { kind: 'syncfs', fd, closeAfter: true }
    return result < 0 ? result : OK
  }

  /** For operations of which the kernel does not say whether the caller keeps setuid bits. */
  private writer(request: RequestInfo, handle: Handle): Writer {
    const { uid, gid } = request
    return { uid, gid, keepSetid: handle.node.hasSetid && hasCapability(request, c.CAP_FSETID) }
  }

  fallocate(request: RequestInfo, fh: number, offset: number, length: number, mode: number): Answer<Ok> {
    const handle = this.core.files.get(fh)
    return this.withFile(request, handle, this.allocate(request, handle, { offset, length, mode }))
  }

  private *allocate(
    request: RequestInfo,
    handle: Handle,
    { offset, length, mode }: { offset: number; length: number; mode: number },
  ): Steps<Answer<Ok>> {
    const { calls, files, gate, tree } = this.core
    const fd = yield* files.dataFd(handle)
    if (fd < 0) return fd
    const writer = this.writer(request, handle)
    const job: Job = { kind: 'fallocate', fd, mode, offset, length, writer }
    const operation = layoutOperation(mode)
    if (operation === 'none') {
      const { result } = yield job
      return result < 0 ? result : OK
    }
    if (operation === 'unsupported') return -Errno.EOPNOTSUPP
    const change = {
      node: handle.node,
      file: handle,
      operation,
      range: { start: offset, end: offset + length },
      nonBlocking: handle.isNonBlocking,
    } as const
    return changeLayout<Ok>(gate, request, change, (finish) => {
      tree.keep(handle.node)
      calls.submit(job, ({ result }) => {
        tree.unkeep(handle.node)
        finish(result < 0 ? result : OK)
      })
    })
  }

  lseek(request: RequestInfo, fh: number, offset: number, whence: number): Answer<{ offset: number }> {
    const handle = this.core.files.get(fh)
    return this.withFile(request, handle, this.seek(handle, offset, whence))
  }

  private *seek(handle: Handle, offset: number, whence: number): Steps<Answer<{ offset: number }>> {
    const { calls, files } = this.core
    const fd = yield* files.dataFd(handle)
    if (fd < 0) return fd
    const job = { kind: 'seek', fd, offset, whence } as const
    const { result } = calls.here(job) ?? (yield job)
    return result < 0 ? result : { offset: result }
  }

  copyFileRange(request: RequestInfo, args: CopyArgs): Answer<{ size: number }> {
    const { calls, files, tree } = this.core
    const from = files.get(args.fhIn)
    const to = files.get(args.fhOut)
    return calls.serve(request, tree, this.copy(request, from, to, args), from.node, to.node)
  }

  private *copy(
    request: RequestInfo,
    from: Handle,
    to: Handle,
    { offIn, offOut, length: wanted }: CopyArgs,
  ): Steps<Answer<{ size: number }>> {
    const { files, gate } = this.core
    const fdIn = yield* files.dataFd(from)
    if (fdIn < 0) return fdIn
    const fdOut = yield* files.dataFd(to)
    if (fdOut < 0) return fdOut
    const length = Math.min(wanted, COPY_BYTES_MAX)
    // It may replace blocks by shared ones. The kernel takes EXDEV for "copy the bytes, then".
    if (gate.isProtected(to.node, { start: offOut, end: offOut + length })) return -Errno.EXDEV
    const writer = this.writer(request, to)
    const { result } = yield { kind: 'copy', fdIn, offIn, fdOut, offOut, length, writer }
    return result < 0 ? result : { size: result }
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
