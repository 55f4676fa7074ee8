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
import { assert } from '../../lib/assert.js'
import { Errno } from '../../lib/errno.js'
import { O_NOATIME, O_NONBLOCK, O_RDONLY } from '../../linux/constants.js'
import { STATX_SIZE } from '../../linux/stat.js'
import { tellEntry } from '../attributes.js'
import type { Core } from '../core.js'
import type { Inode } from '../inodes/inode-table.js'
import type { Steps } from '../io/calls.js'
import type { Job, JobResult } from '../io/jobs.js'
import { nameString } from './names.js'

const BATCH_BYTES = 32 << 10
/** A program may ask for a megabyte of names at once; the others would wait until all of them are looked at. */
const ENTRIES_PER_REPLY_MAX = 512
/** How many entries an io thread looks at in one go: about as many as the kernel takes at once. */
const LOOK_COUNT = 32
const NOTHING = Buffer.alloc(0)
/** struct linux_dirent64: ino, off, reclen, type, name. */
const RECORD = { ino: 0, off: 8, length: 16, type: 18, name: 19 } as const
const DOT = 0x2e
const DT_UNKNOWN = 0

/**
 * One open directory. Positions of the backing file system are 63-bit hashes on ext4; the kernel is given the
 * number of the entry instead, and `positions` leads back from it (telldir, seekdir, and entries that did not
 * fit into a reply).
 */
class DirectoryHandle {
  readonly fh: number
  readonly inode: Inode
  readonly fd: number
  /** What getdents64 returned last; entries from `next` on have not been handed out. */
  private batch: Buffer = NOTHING
  private next = 0
  /** Where to go before more is read; null to go on. */
  private soughtPosition: bigint | null = null
  /** Entries handed out before `next`. */
  index = 0
  /** The backing position after each entry. */
  private positions = new BigInt64Array(64)
  private known = 0

  constructor(fh: number, inode: Inode, fd: number) {
    this.fh = fh
    this.inode = inode
    this.fd = fd
  }

  /** Goes to the entry with this number. @returns 0 or a negative errno. */
  seek(index: number): number {
    // Going back to the start is passed on: btrfs lists nothing that is newer than the last time.
    if (index === this.index && index !== 0) return 0
    if (index > this.known) return -Errno.EINVAL
    this.soughtPosition = index === 0 ? 0n : (this.positions[index - 1] ?? 0n)
    this.index = index
    this.batch = NOTHING
    this.next = 0
    return 0
  }

  /** What has to be read before there is an entry at `next`; null if there is one. */
  toFill(): Job | null {
    if (this.next < this.batch.length) return null
    return { kind: 'list', fd: this.fd, position: this.soughtPosition, size: BATCH_BYTES }
  }

  /** @returns 1, 0 at the end, or a negative errno. */
  filled({ result, data }: JobResult): number {
    if (data === undefined) return result
    this.soughtPosition = null
    this.batch = Buffer.from(data.buffer, data.byteOffset, data.length)
    this.next = 0
    return data.length > 0 ? 1 : 0
  }

  /** The names that come next, `countMax` at most. */
  comingNames(countMax: number): string[] {
    const names: string[] = []
    let at = this.next
    while (names.length < countMax && at < this.batch.length) {
      const start = at + RECORD.name
      names.push(this.batch.toString('latin1', start, this.batch.indexOf(0, start)))
      at += this.batch.readUInt16LE(at + RECORD.length)
    }
    return names
  }

  advance(): void {
    const { batch, next, index } = this
    if (index >= this.positions.length) {
      const larger = new BigInt64Array(this.positions.length * 4)
      larger.set(this.positions)
      this.positions = larger
    }
    // Read once more, an entry may have become another one: the number goes with what was read last.
    this.positions[index] = batch.readBigInt64LE(next + RECORD.off)
    if (index >= this.known) this.known = index + 1
    this.index = index + 1
    this.next = next + batch.readUInt16LE(next + RECORD.length)
  }

  get entryIno(): bigint {
    return this.batch.readBigUInt64LE(this.next + RECORD.ino)
  }

  get entryType(): number {
    return this.batch[this.next + RECORD.type] ?? DT_UNKNOWN
  }

  /** The name with its final NUL. */
  get entryNameZ(): Buffer {
    const start = this.next + RECORD.name
    const end = this.batch.indexOf(0, start)
    return this.batch.subarray(start, end + 1)
  }
}

function isDotOrDotDot(nameZ: Buffer): boolean {
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
    const { tree, files } = this.core
    if (!tree.hasRoom('listing')) return -Errno.EMFILE
    const fd = yield* tree.openFile(inode, O_RDONLY | O_NONBLOCK | (flags & O_NOATIME))
    if (fd < 0) return fd
    const handle = new DirectoryHandle(files.takeFh(), inode, fd)
    inode.openCount++
    this.handles.set(handle.fh, handle)
    // Not cached in the kernel: a cached listing would bring no attributes along, and asking for those of
    // thousands of entries one by one is what readdirplus is there to avoid.
    return { fh: handle.fh, openFlags: 0, backingId: 0 }
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

  readdir(request: RequestInfo, fh: number, offset: number, writer: DirectoryWriter): Answer<Ok> {
    return this.list(request, fh, offset, (handle, nameZ, index) =>
      writer.add(nameZ.subarray(0, nameZ.length - 1), handle.entryIno, index, handle.entryType),
    )
  }

  readdirplus(request: RequestInfo, fh: number, offset: number, writer: DirectoryPlusWriter): Answer<Ok> {
    const looks: Looks = { results: null, next: 0 }
    return this.list(
      request,
      fh,
      offset,
      (handle, nameZ, index) => this.addPlus(handle, nameZ, index, writer, looks),
      looks,
    )
  }

  /** @param add hands one entry out; false if there is no room. @param looks for what attributes are asked of. */
  private list(
    request: RequestInfo,
    fh: number,
    offset: number,
    add: (handle: DirectoryHandle, nameZ: Buffer, index: number) => boolean,
    looks: Looks | null = null,
  ): Answer<Ok> {
    const { calls, tree } = this.core
    const handle = this.handle(fh)
    tree.tick()
    const steps = this.listFrom(handle, offset, add, looks)
    return calls.serve(request, tree, steps, handle.inode)
  }

  /** Gives OK also when an error follows entries: it is met again next time. */
  private *listFrom(
    handle: DirectoryHandle,
    offset: number,
    add: (handle: DirectoryHandle, nameZ: Buffer, index: number) => boolean,
    looks: Looks | null,
  ): Steps<Answer<Ok>> {
    const { calls } = this.core
    const sought = handle.seek(offset)
    if (sought < 0) return sought
    for (let count = 0; count < ENTRIES_PER_REPLY_MAX; count++) {
      const job = handle.toFill()
      if (job !== null) {
        if (looks !== null) looks.results = null
        const filled = handle.filled(calls.here(job) ?? (yield job))
        if (filled < 0) return count > 0 ? OK : filled
        if (filled === 0) return OK
      }
      if (looks !== null && this.isLookingSlow(looks)) yield* this.lookAhead(handle, looks)
      if (!add(handle, handle.entryNameZ, handle.index + 1)) return OK
      handle.advance()
    }
    return OK
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

  private addPlus(
    handle: DirectoryHandle,
    nameZ: Buffer,
    index: number,
    writer: DirectoryPlusWriter,
    looks: Looks,
  ): boolean {
    const { calls, stat } = this.core
    const name = nameZ.subarray(0, nameZ.length - 1)
    const looked = takeLook(looks)
    if (isDotOrDotDot(nameZ)) return writer.addPlus(name, handle.entryIno, index, handle.entryType, null)
    // Asked first: a lookup that is counted must reach the kernel.
    if (!writer.fits(name.length)) return false
    if (this.isKnown(handle, nameZ)) {
      return writer.addPlus(name, handle.entryIno, index, handle.entryType, null)
    }
    if (looked !== null) stat.buffer.set(looked)
    const job = { kind: 'stat-at', fd: handle.fd, name: nameString(nameZ) } as const
    const result = looked === null ? (calls.here(job) ?? calls.now(job)).result : 0
    // Removed since it was listed: that it was there is still true, but there is nothing to say about it.
    if (result < 0 || stat.mode === 0)
      return writer.addPlus(name, handle.entryIno, index, handle.entryType, null)
    const entry = tellEntry(this.core, stat, handle.inode, nameZ)
    const isAdded = writer.addPlus(name, handle.entryIno, index, handle.entryType, entry)
    assert(isAdded, 'an entry that fits was not taken')
    return true
  }

  /**
   * Was the kernel told of this entry so recently that it need not be told again? Then the listing says nothing
   * about it (nodeid 0), and the kernel goes on believing what it does, no longer than it would have.
   */
  private isKnown(handle: DirectoryHandle, nameZ: Buffer): boolean {
    const { tree, options } = this.core
    const validMs = Math.min(options.entryValidMs, options.attrValidMs)
    return tree.inodes.wasTold(handle.inode, handle.entryIno, nameZ, options.nowMs() - validMs / 2)
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
}

function takeLook(looks: Looks): Uint8Array | null {
  const { results, next } = looks
  if (results === null || next >= results.length) return null
  looks.next = next + STATX_SIZE
  return results.subarray(next, looks.next)
}
