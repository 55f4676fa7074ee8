import { assert } from '../lib/assert.js'
import type { DirectoryPlusWriter, EntryReply } from './api.js'
import { putEntry } from './encode-body.js'
import { writeU64 } from './wire/fields.js'
import { dirent, entryOut } from './wire/structs.js'

const ALIGNMENT = 8

function aligned(size: number): number {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT
}

/**
 * Builds the body of a READDIR or READDIRPLUS reply: records of `fuse_dirent` or `fuse_direntplus`, each padded
 * to 8 bytes, never more than the size asked for. The buffer is kept from one listing to the next.
 */
export class DirectoryBuffer implements DirectoryPlusWriter {
  private buffer: Buffer = Buffer.alloc(0)
  private used = 0
  private sizeMax = 0
  private prefixSize = 0
  /** The nodeid of each entry that counts as looked up, in order. */
  readonly nodeids: number[] = []

  /** Starts a listing of at most `sizeMax` bytes. @param plus for READDIRPLUS. */
  start(sizeMax: number, plus: boolean): void {
    if (this.buffer.length < sizeMax) this.buffer = Buffer.alloc(sizeMax)
    this.used = 0
    this.sizeMax = sizeMax
    this.prefixSize = plus ? entryOut.size : 0
    this.nodeids.length = 0
  }

  bytes(): Buffer {
    return this.buffer.subarray(0, this.used)
  }

  fits(nameLength: number): boolean {
    return this.used + aligned(this.prefixSize + dirent.size + nameLength) <= this.sizeMax
  }

  /** In a READDIRPLUS the entry stays unknown to the kernel: a nodeid of 0 makes it skip the attributes. */
  add(name: Uint8Array, ino: bigint, off: number, type: number): boolean {
    return this.put(name, ino, off, type, null)
  }

  addPlus(name: Uint8Array, ino: bigint, off: number, type: number, entry: EntryReply | null): boolean {
    assert(this.prefixSize > 0, 'addPlus in a READDIR')
    return this.put(name, ino, off, type, entry)
  }

  private put(name: Uint8Array, ino: bigint, off: number, type: number, entry: EntryReply | null): boolean {
    if (!this.fits(name.length)) return false
    const { buffer, used, prefixSize } = this
    const end = used + aligned(prefixSize + dirent.size + name.length)
    if (entry !== null) putEntry(buffer, used, entry)
    else if (prefixSize > 0) buffer.fill(0, used, used + prefixSize)
    const at = used + prefixSize
    buffer.writeBigUInt64LE(ino, at + dirent.at.ino)
    writeU64(buffer, at + dirent.at.off, off)
    buffer.writeUInt32LE(name.length, at + dirent.at.namelen)
    buffer.writeUInt32LE(type, at + dirent.at.type)
    // Byte by byte: for so few, a call of a Buffer method costs several times as much.
    const nameAt = at + dirent.size
    for (let index = 0; index < name.length; index++) buffer[nameAt + index] = name[index] ?? 0
    for (let index = nameAt + name.length; index < end; index++) buffer[index] = 0
    if (entry !== null && entry.nodeid !== 0) this.nodeids.push(entry.nodeid)
    this.used = end
    return true
  }
}
