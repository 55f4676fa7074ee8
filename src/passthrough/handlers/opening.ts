/** OPEN and RELEASE, and truncation, whichever way it comes. */
import {
  type Answer,
  type AttrReply,
  type Failure,
  OK,
  type Ok,
  type OpenReply,
  type RequestInfo,
  type SetattrArgs,
} from '../../fuse/api.js'
import { FATTR_FLAGS, OPEN_IN_FLAGS } from '../../fuse/wire/flags.js'
import { Errno } from '../../lib/errno.js'
import { O_NONBLOCK, O_TRUNC, O_WRONLY, UTIME_NOW } from '../../linux/constants.js'
import { hasSetidBits } from '../attributes.js'
import type { Core } from '../core.js'
import type { Inode } from '../inodes/inode-table.js'
import { atOnce, type Steps } from '../io/calls.js'
import { keepsSetid } from '../io/identity.js'
import type { Writer } from '../io/jobs.js'
import { changeLayout } from '../layout.js'
import type { Handle } from '../open-files.js'
import { type SettingAttributes, UNCHANGED } from './setting-attributes.js'

/** Taking more than this from a file takes long enough to be done in another thread. */
const BIG_TRUNCATION_BYTES = 64 << 20

/** Two struct timespec, as utimensat(2) takes them: the seconds do not count. */
const TIMES_NOW = new Uint8Array(BigInt64Array.of(0n, BigInt(UTIME_NOW), 0n, BigInt(UTIME_NOW)).buffer)

interface SizeChange<T> {
  readonly inode: Inode
  readonly file: Handle | null
  readonly operation: 'truncate' | 'open-truncate'
  readonly size: number
  readonly writer: Writer
  readonly nonBlocking: boolean
  readonly refused?: () => void
  /** Makes the answer, from 0 or a negative errno. */
  readonly finish: (result: number) => Steps<T | Failure>
}

export class Opening {
  private readonly core: Core
  private readonly attributes: SettingAttributes

  constructor(core: Core, attributes: SettingAttributes) {
    this.core = core
    this.attributes = attributes
  }

  open(request: RequestInfo, flags: number, openFlags: number): Answer<OpenReply> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.openFile(request, inode, flags, openFlags), inode)
  }

  private *openFile(
    request: RequestInfo,
    inode: Inode,
    flags: number,
    openFlags: number,
  ): Steps<Answer<OpenReply>> {
    const { files, gate } = this.core
    const handle = yield* files.open(inode, flags, request)
    if (typeof handle === 'number') return handle
    if ((flags & O_TRUNC) !== 0) return yield* this.openTruncating(request, handle, openFlags)
    gate.opened(request, handle)
    return files.reply(handle)
  }

  /** The file is open for the kernel only when the truncation has happened. */
  private openTruncating(request: RequestInfo, handle: Handle, openFlags: number): Steps<Answer<OpenReply>> {
    const { files, gate, features } = this.core
    const isKilling = (openFlags & OPEN_IN_FLAGS.FUSE_OPEN_KILL_SUIDGID) !== 0
    return this.changeSize<OpenReply>(request, {
      inode: handle.node,
      file: null,
      operation: 'open-truncate',
      size: 0,
      writer: { uid: request.uid, gid: request.gid, keepSetid: keepsSetid(features, request, isKilling) },
      nonBlocking: handle.isNonBlocking,
      refused: () => files.release(handle),
      finish: (result) => {
        if (result < 0) {
          files.release(handle)
          return atOnce(result)
        }
        gate.opened(request, handle)
        return atOnce(files.reply(handle))
      },
    })
  }

  release(fh: number): Answer<Ok> {
    const { files, gate } = this.core
    const handle = files.get(fh)
    gate.released(handle)
    files.release(handle)
    return OK
  }

  /** SETATTR with a size. */
  truncate(request: RequestInfo, args: SetattrArgs): Answer<AttrReply> {
    const { calls, tree, files, features } = this.core
    const inode = tree.inode(request.nodeid)
    const file = args.fh === null ? null : files.get(args.fh)
    const { attributes } = this
    const isKilling = (args.valid & FATTR_FLAGS.FATTR_KILL_SUIDGID) !== 0
    const steps = this.changeSize<AttrReply>(request, {
      inode,
      file,
      operation: 'truncate',
      size: args.size,
      writer: { uid: request.uid, gid: request.gid, keepSetid: keepsSetid(features, request, isKilling) },
      nonBlocking: file?.isNonBlocking ?? false,
      *finish(result) {
        if (result < 0) return result
        // Asked for again: the object may be another one if the change had to wait.
        return yield* attributes.apply(request, tree.inodes.get(request.nodeid), args)
      },
    })
    return calls.serve(request, tree, steps, inode)
  }

  /** Sets the size of a file; shrinking it asks the gate. */
  private *changeSize<T extends object>(request: RequestInfo, change: SizeChange<T>): Steps<Answer<T>> {
    const { calls, tree, stat, gate, features } = this.core
    const { inode, file, operation, size, writer, nonBlocking } = change
    const looked = yield* tree.stat(inode)
    if (looked < 0) return yield* change.finish(looked)
    const range = { start: size, end: Number.POSITIVE_INFINITY }
    const isOpen = operation === 'open-truncate'
    // Without FUSE_ATOMIC_O_TRUNC, truncate(2) to nothing may as well be an open with O_TRUNC, and more often is.
    const isByPath = !isOpen && file === null && (size !== 0 || features.has('atomic-o-trunc'))
    const isKept = size === stat.size && !isByPath
    if (isKept && gate.isProtected(inode, range)) {
      return yield* change.finish(yield* this.touch(inode, writer))
    }
    const act = isKept ? this.keepSize : this.setSize
    if (size > stat.size || (size === stat.size && !isOpen)) {
      // The kernel keeps everybody from writing to the file until this is answered: it takes no bytes away.
      return yield* change.finish(yield* act.call(this, inode, size, writer))
    }
    return changeLayout<T>(
      gate,
      request,
      { node: inode, file, operation, range, nonBlocking },
      (finish) => {
        const present = tree.inodes.get(inode.nodeid)
        tree.keep(present)
        calls.run(this.actAndFinish(act.call(this, present, size, writer), change), (answer) => {
          tree.unkeep(present)
          finish(answer ?? -Errno.EIO)
        })
      },
      change.refused,
    )
  }

  private *actAndFinish<T>(act: Steps<number>, change: SizeChange<T>): Steps<T | Failure> {
    return yield* change.finish(yield* act)
  }

  /**
   * ftruncate(2) and O_TRUNC to the size that the file has: its times move all the same, and setuid bits go, which
   * truncate(2) need not do.
   */
  private *keepSize(inode: Inode, size: number, writer: Writer): Steps<number> {
    const { calls, tree } = this.core
    const fd = yield* tree.openFile(inode, O_WRONLY | O_NONBLOCK)
    if (fd < 0) return fd
    const job = { kind: 'ftruncate', fd, size, writer, closeAfter: true } as const
    const { result } = calls.here(job) ?? (yield job)
    inode.changeCount++
    return result
  }

  /**
   * What `keepSize` does to a file whose bytes are protected, without any size in it: nothing keeps the holder of a
   * lease from having written since the file was looked at, and those bytes must not go.
   */
  private *touch(inode: Inode, writer: Writer): Steps<number> {
    const { calls, tree } = this.core
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    // A change to nobody and no group takes setuid bits away.
    const owner = writer.keepSetid ? null : { uid: UNCHANGED, gid: UNCHANGED, giver: writer }
    // Both times: that takes no more than the right to write to the file.
    const job = { kind: 'set-attributes', fd, owner, mode: null, times: TIMES_NOW } as const
    return (calls.here(job) ?? (yield job)).result
  }

  /** Reads the present size again: much may have happened while the gate kept the change waiting. */
  private *setSize(inode: Inode, size: number, wanted: Writer): Steps<number> {
    const { calls, tree, stat } = this.core
    const looked = yield* tree.stat(inode)
    if (looked < 0) return looked
    const writer: Writer = { ...wanted, keepSetid: wanted.keepSetid && hasSetidBits(stat.mode) }
    const isBig = Math.min(stat.size - size, stat.blocks * 512) > BIG_TRUNCATION_BYTES
    const fd = tree.fdAtHand(inode) ?? (yield* tree.pathFd(inode))
    if (fd < 0) return fd
    const job = { kind: 'truncate', fd, size, writer } as const
    const { result } = (isBig ? undefined : calls.here(job)) ?? (yield job)
    inode.changeCount++
    return result
  }
}
