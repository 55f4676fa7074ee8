/** OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR. */
import {
  type Answer,
  type DirectoryPlusWriter,
  type DirectoryWriter,
  OK,
  type Ok,
  type OpenReply,
  type RequestInfo,
} from '../../fuse/api.js'
import { DIRENT64, dirent64Length, dirent64NameLength } from '../../fuse/dirent64.js'
import { readU32 } from '../../fuse/wire/fields.js'
import { FOPEN_FLAGS } from '../../fuse/wire/flags.js'
import { assert } from '../../lib/assert.js'
import { Errno } from '../../lib/errno.js'
import { O_NOATIME, O_NONBLOCK, O_RDONLY } from '../../linux/constants.js'
import { STATX_SIZE } from '../../linux/stat.js'
import { tellEntry } from '../attributes.js'
import type { Core } from '../core.js'
import type { Inode } from '../inodes/inode-table.js'
import type { Steps } from '../io/calls.js'
import type { Job, JobResult } from '../io/jobs.js'
import { type Changed, ListingPolicy } from '../listing-policy.js'
import { nameString } from './names.js'

const BATCH_BYTES = 32 << 10
/** A program may ask for a megabyte of names at once; the others would wait until it has them all. */
const NAMES_PER_REPLY_MAX = 4096
/** Looking at an entry takes longer than copying it. */
const LOOKED_AT_PER_REPLY_MAX = 512
/** How many entries an io thread looks at in one go: about as many as the kernel takes at once. */
const LOOK_COUNT = 32
const NOTHING = Buffer.alloc(0)
const DOT = 0x2e

/** One open directory. Positions in it are those of the backing file system, whatever they mean there. */
class DirectoryHandle {
  readonly fh: number
  readonly inode: Inode
  readonly fd: number
  /** What getdents64 returned last; entries from `next` on have not been handed out. */
  batch: Buffer = NOTHING
  next = 0
  /** The entry of `batch` before `next`; -1 if there is none. */
  private last = -1
  /** The position where `batch` begins. */
  private start = 0n
  /** Where to go before more is read; null to go on. */
  private sought: bigint | null = null
  /** Was more asked for than the beginning, and attributes with it? */
  isLong = false
  isLookedAt = false
  /** In milliseconds since 1970. */
  readonly openedMs: number
  /** May the kernel hand out what it has kept of an earlier listing? */
  isFromMemory = false

  constructor(fh: number, inode: Inode, fd: number, openedMs: number) {
    this.fh = fh
    this.inode = inode
    this.fd = fd
    this.openedMs = openedMs
  }

  /** Where the entry at `next` is. */
  private get position(): bigint {
    return this.last < 0 ? this.start : this.batch.readBigUInt64LE(this.last + DIRENT64.off)
  }

  seek(position: bigint): void {
    // Going back to the start is passed on: btrfs lists nothing that is newer than the last time.
    if (position === this.position && position !== 0n) return
    this.sought = position
    this.begin(NOTHING, position)
  }

  private begin(batch: Buffer, start: bigint): void {
    this.batch = batch
    this.start = start
    this.next = 0
    this.last = -1
  }

  /** What has to be read before there is an entry at `next`; null if there is one. */
  toFill(): Job | null {
    if (this.next < this.batch.length) return null
    return { kind: 'list', fd: this.fd, position: this.sought, size: BATCH_BYTES }
  }

  /** @returns 1, 0 at the end, or a negative errno. */
  filled({ result, data }: JobResult): number {
    if (data === undefined) return result
    this.sought = null
    this.begin(Buffer.from(data.buffer, data.byteOffset, data.length), this.position)
    return data.length > 0 ? 1 : 0
  }

  /** The names that come next, `countMax` at most. */
  comingNames(countMax: number): string[] {
    const names: string[] = []
    for (let at = this.next; names.length < countMax && at < this.batch.length; ) {
      const start = at + DIRENT64.name
      names.push(this.batch.toString('latin1', start, start + dirent64NameLength(this.batch, at)))
      at += dirent64Length(this.batch, at)
    }
    return names
  }

  advance(): void {
    this.last = this.next
    this.next += dirent64Length(this.batch, this.next)
  }
}

function isDotOrDotDot(nameZ: Uint8Array): boolean {
  return nameZ[0] === DOT && (nameZ[1] === 0 || (nameZ[1] === DOT && nameZ[2] === 0))
}

export class Directories {
  private readonly core: Core
  private readonly handles = new Map<number, DirectoryHandle>()
  constructor(core: Core) {
    this.core = core
  }

  has(fh: number): boolean {
    return this.handles.has(fh)
  }

  /** A descriptor of an open directory. */
  fd(fh: number): number {
    return this.handle(fh).fd
  }

  private handle(fh: number): DirectoryHandle {
    const handle = this.handles.get(fh)
    assert(handle !== undefined, `directory fh ${fh} is not open`)
    return handle
  }

  opendir(request: RequestInfo, flags: number): Answer<OpenReply> {
    const { calls, tree } = this.core
    const inode = tree.inode(request.nodeid)
    return calls.serve(request, tree, this.openDirectory(inode, flags), inode)
  }

  private *openDirectory(inode: Inode, flags: number): Steps<Answer<OpenReply>> {
    const { tree, files, options } = this.core
    if (!tree.hasRoom('listing')) return -Errno.EMFILE
    const fd = yield* tree.openFile(inode, O_RDONLY | O_NONBLOCK | (flags & O_NOATIME))
    if (fd < 0) return fd
    const handle = new DirectoryHandle(files.takeFh(), inode, fd, options.wallMs())
    inode.openCount++
    this.handles.set(handle.fh, handle)
    const openFlags = this.mayKeep() ? yield* this.keeping(handle) : 0
    return { fh: handle.fh, openFlags, backingId: 0 }
  }

  /**
   * May the kernel keep listings at all? Without auto-inval-data it would not look whether the directory has changed. Nor
   * is it to believe a listing where it is to believe no name, or where clocks are somebody else's.
   */
  private mayKeep(): boolean {
    const { calls, features, options } = this.core
    return (
      features.has('cache-dir') &&
      features.has('auto-inval-data') &&
      options.entryValidMs > 0 &&
      !calls.isRemote
    )
  }

  /** What the kernel is to keep of the listing, as flags of the answer. It drops what it has without FOPEN_KEEP_CACHE. */
  private *keeping(handle: DirectoryHandle): Steps<number> {
    const { inode, fd } = handle
    // What a first listing is for will turn out.
    if (inode.listing === null) return FOPEN_FLAGS.FOPEN_CACHE_DIR
    if (!inode.listing.isPlain) return 0
    const changed = yield* this.changed(fd)
    if (changed === null) return 0
    handle.isFromMemory = inode.listing.opened(changed)
    return FOPEN_FLAGS.FOPEN_CACHE_DIR | (handle.isFromMemory ? FOPEN_FLAGS.FOPEN_KEEP_CACHE : 0)
  }

  private *changed(fd: number): Steps<Changed | null> {
    const { tree, stat } = this.core
    const looked = yield* tree.statFd(fd)
    return looked < 0 ? null : { mtime: stat.mtime, ctime: stat.ctime }
  }

  releasedir(fh: number): Answer<Ok> {
    const { calls, tree } = this.core
    const handle = this.handle(fh)
    this.handles.delete(fh)
    calls.close(handle.fd)
    handle.inode.openCount--
    tree.inodes.settle(handle.inode)
    return OK
  }

  readdir(request: RequestInfo, fh: number, offset: bigint, writer: DirectoryWriter): Answer<Ok> {
    const handle = this.handle(fh)
    if (offset !== 0n) handle.isLong = true
    return this.list(request, handle, offset, () => writer.addDirent64(handle.batch, handle.next), null)
  }

  readdirplus(request: RequestInfo, fh: number, offset: bigint, writer: DirectoryPlusWriter): Answer<Ok> {
    const { options } = this.core
    const handle = this.handle(fh)
    if (offset !== 0n) handle.isLong = handle.isLookedAt = true
    const validMs = Math.min(options.entryValidMs, options.attrValidMs)
    const looks: Looks = { results: null, next: 0, toldSinceMs: options.nowMs() - validMs / 2 }
    return this.list(request, handle, offset, () => this.addPlus(handle, writer, looks), looks)
  }

  /** @param add hands one entry out; false if there is no room. @param looks for what attributes are asked of. */
  private list(
    request: RequestInfo,
    handle: DirectoryHandle,
    offset: bigint,
    add: () => boolean,
    looks: Looks | null,
  ): Answer<Ok> {
    const { calls, tree } = this.core
    tree.tick()
    return calls.serve(request, tree, this.listFrom(handle, offset, add, looks), handle.inode)
  }

  /** Gives OK also when an error follows entries: it is met again next time. */
  private *listFrom(
    handle: DirectoryHandle,
    offset: bigint,
    add: () => boolean,
    looks: Looks | null,
  ): Steps<Answer<Ok>> {
    const { calls } = this.core
    handle.seek(offset)
    const countMax = looks === null ? NAMES_PER_REPLY_MAX : LOOKED_AT_PER_REPLY_MAX
    for (let count = 0; count < countMax; count++) {
      const job = handle.toFill()
      if (job !== null) {
        if (looks !== null) looks.results = null
        const filled = handle.filled(calls.here(job) ?? (yield job))
        if (filled < 0) return count > 0 ? OK : filled
        if (filled === 0) {
          yield* this.listed(handle)
          return OK
        }
      }
      if (looks !== null && this.isLookingSlow(looks)) yield* this.lookAhead(handle, looks)
      if (!add()) return OK
      handle.advance()
    }
    return OK
  }

  /** The end was reached. The first part of every listing comes with attributes: it says nothing. */
  private *listed(handle: DirectoryHandle): Steps<void> {
    const { inode, fd, openedMs } = handle
    if (!handle.isLong || !this.mayKeep()) return
    inode.listing ??= new ListingPolicy()
    if (handle.isLookedAt) inode.listing.listedWithAttributes()
    // What the kernel has by now is of several listings.
    else if (handle.isFromMemory) inode.listing.forgetKept()
    else {
      const changed = yield* this.changed(fd)
      if (changed !== null) inode.listing.listedPlainly(changed, openedMs)
    }
  }

  /** Are the attributes of the next entry to be found out by an io thread? */
  private isLookingSlow(looks: Looks): boolean {
    if (looks.results !== null && looks.next < looks.results.length) return false
    looks.results = null
    return !this.core.calls.mayRunHere('look')
  }

  /** Has an io thread look at the entries that come next, all at once. */
  private *lookAhead(handle: DirectoryHandle, looks: Looks): Steps<void> {
    const job = { kind: 'stat-many', fd: handle.fd, names: handle.comingNames(LOOK_COUNT) } as const
    const { data } = yield job
    looks.results = data ?? null
    looks.next = 0
  }

  private addPlus(handle: DirectoryHandle, writer: DirectoryPlusWriter, looks: Looks): boolean {
    const { stat, tree } = this.core
    const { batch, next, fd, inode } = handle
    const looked = takeLook(looks)
    const nameAt = next + DIRENT64.name
    const nameLength = dirent64NameLength(batch, next)
    const nameZ = batch.subarray(nameAt, nameAt + nameLength + 1)
    // Asked first: a lookup that is counted must reach the kernel.
    if (!writer.fits(nameLength)) return false
    // Where the kernel was told of the entry so recently that it need not be told again, the listing says nothing about
    // it (nodeid 0), and the kernel goes on believing what it does, no longer than it would have.
    const isToBeTold =
      !isDotOrDotDot(nameZ) &&
      !tree.inodes.wasTold(inode, readU32(batch, next), readU32(batch, next + 4), nameZ, looks.toldSinceMs)
    if (looked !== null) stat.buffer.set(looked)
    // Removed since it was listed: that it was there is still true, but there is nothing to say about it.
    const isThere = isToBeTold && (looked === null ? this.look(fd, nameZ) >= 0 : stat.mode !== 0)
    const isAdded = writer.addDirent64Plus(
      batch,
      next,
      isThere ? tellEntry(this.core, stat, inode, nameZ) : null,
    )
    assert(isAdded, 'an entry that fits was not taken')
    return true
  }

  private look(fd: number, nameZ: Buffer): number {
    const { calls } = this.core
    return calls.statAtHere(fd, nameZ) ?? calls.now({ kind: 'stat-at', fd, name: nameString(nameZ) }).result
  }

  fsyncdir(request: RequestInfo, fh: number, dataOnly: boolean): Answer<Ok> {
    const { calls, tree } = this.core
    const { inode, fd } = this.handle(fh)
    return calls.serve(request, tree, this.sync(fd, dataOnly), inode)
  }

  private *sync(fd: number, dataOnly: boolean): Steps<Answer<Ok>> {
    const { result } = yield { kind: 'fsync', fd, dataOnly }
    return result < 0 ? result : OK
  }
}

/** What an io thread has found out about the entries that come next. */
interface Looks {
  /** 256 bytes of statx(2) each; zeros for a name that was not there. */
  results: Uint8Array | null
  next: number
  /** What the kernel was told of since then need not be told again (`nowMs`). */
  readonly toldSinceMs: number
}

function takeLook(looks: Looks): Uint8Array | null {
  const { results, next } = looks
  if (results === null || next >= results.length) return null
  looks.next = next + STATX_SIZE
  return results.subarray(next, looks.next)
}
