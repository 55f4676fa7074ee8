/** OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR. */
import {
  type Answer,
  type DirectoryPlusWriter,
  type DirectoryWriter,
  OK,
  type Ok,
  type OpenReply,
  type RequestInfo,
} from '../fuse/api.js'
import { assert } from '../lib/assert.js'
import { Errno } from '../lib/errno.js'
import { O_NOATIME, O_NONBLOCK, O_RDONLY, SEEK_SET } from '../linux/constants.js'
import * as raw from '../linux/raw.js'
import { tellEntry } from './attributes.js'
import type { Core } from './core.js'
import type { Inode } from './inode-table.js'
import { LaterAnswer } from './later.js'

const BATCH_BYTES = 32 << 10
/** A program may ask for a megabyte of names at once; the others would wait until all of them are looked at. */
const ENTRIES_PER_REPLY_MAX = 512
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
  batch: Buffer
  batchEnd = 0
  next = 0
  /** Entries handed out before `next`. */
  index = 0
  /** The backing position after each entry. */
  private positions = new BigInt64Array(64)
  private known = 0

  constructor(fh: number, inode: Inode, fd: number, batch: Buffer) {
    this.fh = fh
    this.inode = inode
    this.fd = fd
    this.batch = batch
  }

  /** Goes to the entry with this number. @returns 0 or a negative errno. */
  seek(index: number): number {
    // Going back to the start is passed on: btrfs lists nothing that is newer than the last time.
    if (index === this.index && index !== 0) return 0
    if (index > this.known) return -Errno.EINVAL
    const position = index === 0 ? 0n : (this.positions[index - 1] ?? 0n)
    const result = raw.lseekOpaque(this.fd, position, SEEK_SET)
    if (result < 0) return result
    this.index = index
    this.batchEnd = this.next = 0
    return 0
  }

  /** Makes sure that there is an entry at `next`. @returns 1, 0 at the end, or a negative errno. */
  fill(): number {
    if (this.next < this.batchEnd) return 1
    const length = raw.getdents64(this.fd, this.batch, this.batch.length)
    if (length < 0) return length
    this.next = 0
    this.batchEnd = length
    return length > 0 ? 1 : 0
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

  get entryName(): Buffer {
    return this.batch.subarray(this.next + RECORD.name, this.nameEnd())
  }

  /** The name with its final NUL. */
  get entryNameZ(): Buffer {
    return this.batch.subarray(this.next + RECORD.name, this.nameEnd() + 1)
  }

  private nameEnd(): number {
    let end = this.next + RECORD.name
    while (end < this.batchEnd && this.batch[end] !== 0) end++
    return end
  }
}

function isDotOrDotDot(nameZ: Buffer): boolean {
  return nameZ[0] === DOT && (nameZ[1] === 0 || (nameZ[1] === DOT && nameZ[2] === 0))
}

export class Directories {
  private readonly core: Core
  private readonly handles = new Map<number, DirectoryHandle>()
  /** Buffers of closed directories, to be used again. */
  private readonly spareBatches: Buffer[] = []

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
    const { tree, files } = this.core
    const inode = tree.inode(request.nodeid)
    if (!tree.hasRoom('listing')) return -Errno.EMFILE
    const fd = tree.openFile(inode, O_RDONLY | O_NONBLOCK | (flags & O_NOATIME))
    if (fd < 0) return fd
    const batch = this.spareBatches.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES)
    const handle = new DirectoryHandle(files.takeFh(), inode, fd, batch)
    inode.openCount++
    this.handles.set(handle.fh, handle)
    // Not cached in the kernel: a cached listing would bring no attributes along, and asking for those of
    // thousands of entries one by one is what readdirplus is there to avoid.
    return { fh: handle.fh, openFlags: 0, backingId: 0 }
  }

  releasedir(fh: number): Answer<Ok> {
    const handle = this.handle(fh)
    this.handles.delete(fh)
    raw.close(handle.fd)
    if (this.spareBatches.length < 16) this.spareBatches.push(handle.batch)
    handle.inode.openCount--
    this.core.tree.inodes.settle(handle.inode)
    return OK
  }

  readdir(fh: number, offset: number, writer: DirectoryWriter): Answer<Ok> {
    return this.list(fh, offset, (handle, index) =>
      writer.add(handle.entryName, handle.entryIno, index, handle.entryType),
    )
  }

  readdirplus(fh: number, offset: number, writer: DirectoryPlusWriter): Answer<Ok> {
    return this.list(fh, offset, (handle, index) => this.addPlus(handle, index, writer))
  }

  /** @param add hands one entry out. @returns OK also when an error follows entries: it is met again next time. */
  private list(
    fh: number,
    offset: number,
    add: (handle: DirectoryHandle, index: number) => boolean,
  ): Answer<Ok> {
    const handle = this.handle(fh)
    this.core.tree.tick()
    const sought = handle.seek(offset)
    if (sought < 0) return sought
    for (let count = 0; count < ENTRIES_PER_REPLY_MAX; count++) {
      const filled = handle.fill()
      if (filled < 0) return count > 0 ? OK : filled
      if (filled === 0) return OK
      if (!add(handle, handle.index + 1)) return OK
      handle.advance()
    }
    return OK
  }

  private addPlus(handle: DirectoryHandle, index: number, writer: DirectoryPlusWriter): boolean {
    const { tree, stat } = this.core
    const nameZ = handle.entryNameZ
    const name = nameZ.subarray(0, nameZ.length - 1)
    if (isDotOrDotDot(nameZ)) return writer.addPlus(name, handle.entryIno, index, handle.entryType, null)
    // Asked first: a lookup that is counted must reach the kernel.
    if (!writer.fits(name.length)) return false
    if (this.isKnown(handle, nameZ)) {
      return writer.addPlus(name, handle.entryIno, index, handle.entryType, null)
    }
    const result = tree.statAt(handle.fd, nameZ, stat)
    // Removed since it was listed: that it was there is still true, but there is nothing to say about it.
    if (result < 0) return writer.addPlus(name, handle.entryIno, index, handle.entryType, null)
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
    const later = new LaterAnswer<Ok>()
    const { fd } = this.handle(fh)
    this.core.io.submit({ kind: 'fsync', fd, dataOnly }, ({ result }) => later.give(result < 0 ? result : OK))
    return later.take(request, null)
  }
}
