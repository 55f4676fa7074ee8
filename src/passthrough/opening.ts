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
} from '../fuse/api.js'
import { FATTR_FLAGS, OPEN_IN_FLAGS } from '../fuse/wire/flags.js'
import { O_NONBLOCK, O_TRUNC, O_WRONLY } from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import { hasSetidBits } from './attributes.js'
import type { Core } from './core.js'
import { keepsSetid } from './identity.js'
import type { Inode } from './inode-table.js'
import { asWriter, type Writer } from './io-jobs.js'
import { LaterAnswer } from './later.js'
import { changeLayout } from './layout.js'
import type { Handle } from './open-files.js'
import type { SettingAttributes } from './setting-attributes.js'

/** Taking more than this from a file takes long enough to be done in another thread. */
const BIG_TRUNCATION_BYTES = 64 << 20

interface SizeChange<T> {
  readonly inode: Inode
  readonly file: Handle | null
  readonly operation: 'truncate' | 'open-truncate'
  readonly size: number
  readonly writer: Writer
  readonly nonBlocking: boolean
  readonly refused?: () => void
  /** Makes the answer, from 0 or a negative errno. */
  readonly finish: (result: number) => T | Failure
}

export class Opening {
  private readonly core: Core
  private readonly attributes: SettingAttributes

  constructor(core: Core, attributes: SettingAttributes) {
    this.core = core
    this.attributes = attributes
  }

  open(request: RequestInfo, flags: number, openFlags: number): Answer<OpenReply> {
    const { tree, files, gate } = this.core
    const inode = tree.inode(request.nodeid)
    const handle = files.open(inode, flags, request.pid, request.uid)
    if (typeof handle === 'number') return handle
    if ((flags & O_TRUNC) !== 0) return this.openTruncating(request, handle, openFlags)
    gate.opened(request, handle)
    return files.reply(handle)
  }

  /** The file is open for the kernel only when the truncation has happened. */
  private openTruncating(request: RequestInfo, handle: Handle, openFlags: number): Answer<OpenReply> {
    const { files, gate, features } = this.core
    const isKilling = (openFlags & OPEN_IN_FLAGS.FUSE_OPEN_KILL_SUIDGID) !== 0
    return this.changeSize<OpenReply>(request, {
      inode: handle.node,
      file: null,
      operation: 'open-truncate',
      size: 0,
      writer: { uid: request.uid, keepSetid: keepsSetid(features, request, isKilling) },
      nonBlocking: handle.isNonBlocking,
      refused: () => files.release(handle),
      finish: (result) => {
        if (result < 0) {
          files.release(handle)
          return result
        }
        gate.opened(request, handle)
        return files.reply(handle)
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
    const { tree, files, features } = this.core
    const inode = tree.inode(request.nodeid)
    const file = args.fh === null ? null : files.get(args.fh)
    const isKilling = (args.valid & FATTR_FLAGS.FATTR_KILL_SUIDGID) !== 0
    return this.changeSize<AttrReply>(request, {
      inode,
      file,
      operation: 'truncate',
      size: args.size,
      writer: { uid: request.uid, keepSetid: keepsSetid(features, request, isKilling) },
      nonBlocking: file?.isNonBlocking ?? false,
      finish: (result) => {
        if (result < 0) return result
        // Asked for again: the object may be another one if the change had to wait.
        return this.attributes.apply(request, tree.inodes.get(request.nodeid), args)
      },
    })
  }

  /** Sets the size of a file; shrinking it asks the gate. */
  private changeSize<T extends object>(request: RequestInfo, change: SizeChange<T>): Answer<T> {
    const { tree, stat, gate, features } = this.core
    const { inode, file, operation, size, writer, nonBlocking } = change
    const looked = tree.stat(inode, stat)
    if (looked < 0) return change.finish(looked)
    if (size >= stat.size) {
      const later = new LaterAnswer<T>()
      const done = (result: number) => later.give(change.finish(result))
      // Without FUSE_ATOMIC_O_TRUNC it may as well be an open with O_TRUNC, and more often is.
      const isByOpen = size === 0 && !features.has('atomic-o-trunc')
      const isByPath = operation === 'truncate' && file === null && !isByOpen
      if (size === stat.size && !isByPath) done(this.keepSize(inode, size, writer))
      else this.setSize(inode, size, writer, done)
      return later.take(request, null)
    }
    const range = { start: size, end: Number.POSITIVE_INFINITY }
    return changeLayout<T>(
      gate,
      request,
      { node: inode, file, operation, range, nonBlocking },
      (finish) => {
        const present = tree.inodes.get(inode.nodeid)
        this.setSize(present, size, writer, (result) => finish(change.finish(result)))
      },
      change.refused,
    )
  }

  /**
   * ftruncate(2) and O_TRUNC to the size that the file has: its times move all the same, and setuid bits go, which
   * truncate(2) need not do.
   */
  private keepSize(inode: Inode, size: number, wanted: Writer): number {
    const { tree, identity } = this.core
    const fd = tree.openFile(inode, O_WRONLY | O_NONBLOCK)
    if (fd < 0) return fd
    const result = asWriter(identity, wanted, () => raw.ftruncate(fd, size))
    raw.close(fd)
    return result
  }

  /** Reads the present size again: much may have happened while the gate kept the change waiting. */
  private setSize(inode: Inode, size: number, wanted: Writer, done: (result: number) => void): void {
    const { tree, stat, identity, io } = this.core
    const looked = tree.stat(inode, stat)
    if (looked < 0) {
      done(looked)
      return
    }
    const writer: Writer = { uid: wanted.uid, keepSetid: wanted.keepSetid && hasSetidBits(stat.mode) }
    const taken = Math.min(stat.size - size, stat.blocks * 512)
    if (taken > BIG_TRUNCATION_BYTES) {
      const fd = tree.openFile(inode, O_WRONLY | O_NONBLOCK)
      if (fd < 0) done(fd)
      else io.submit({ kind: 'truncate', fd, size, writer }, ({ result }) => done(result))
      return
    }
    const fd = tree.pathFd(inode)
    done(fd < 0 ? fd : asWriter(identity, writer, () => raw.truncate(tree.procPath(fd), size)))
  }
}
