import { assert } from '../lib/assert.js'
import type { DirectoryPlusWriter, EntryReply } from './api.js'
import { DIRENT64, dirent64NameLength } from './dirent64.js'
import { putEntry } from './encode-body.js'
import { writeU32 } from './wire/fields.js'
import { dirent, entryOut } from './wire/structs.js'

const ALIGNMENT = 8

function aligned(size: number): number {
  return (size + ALIGNMENT - 1) & -ALIGNMENT
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
  add(name: Uint8Array, ino: bigint, off: bigint, type: number): boolean {
    return this.put(name, ino, off, type, null)
  }

  addPlus(name: Uint8Array, ino: bigint, off: bigint, type: number, entry: EntryReply | null): boolean {
    assert(this.prefixSize > 0, 'addPlus in a READDIR')
    return this.put(name, ino, off, type, entry)
  }

  addDirent64(list: Uint8Array, at: number): boolean {
    return this.copy(list, at, null)
  }

  addDirent64Plus(list: Uint8Array, at: number, entry: EntryReply | null): boolean {
    assert(this.prefixSize > 0, 'addDirent64Plus in a READDIR')
    return this.copy(list, at, entry)
  }

  private put(name: Uint8Array, ino: bigint, off: bigint, type: number, entry: EntryReply | null): boolean {
    const at = this.begin(name.length, type, entry)
    if (at < 0) return false
    this.buffer.writeBigUInt64LE(ino, at + dirent.at.ino)
    this.buffer.writeBigUInt64LE(off, at + dirent.at.off)
    this.putName(at + dirent.size, name, 0, name.length)
    return true
  }

  /** As bytes, without making bigints of them: a listing is little else. */
  private copy(list: Uint8Array, from: number, entry: EntryReply | null): boolean {
    const nameLength = dirent64NameLength(list, from)
    const at = this.begin(nameLength, list[from + DIRENT64.type] ?? 0, entry)
    if (at < 0) return false
    const { buffer } = this
    // The inode number and the position, which come first in both.
    for (let index = 0; index < DIRENT64.length; index++) buffer[at + index] = list[from + index] ?? 0
    this.putName(at + dirent.size, list, from + DIRENT64.name, nameLength)
    return true
  }

  /** Writes what is before the name, except inode number and position. @returns where the dirent is, or -1. */
  private begin(nameLength: number, type: number, entry: EntryReply | null): number {
    if (!this.fits(nameLength)) return -1
    const { buffer, used, prefixSize } = this
    if (entry !== null) putEntry(buffer, used, entry)
    else if (prefixSize > 0) buffer.fill(0, used, used + prefixSize)
    const at = used + prefixSize
    writeU32(buffer, at + dirent.at.namelen, nameLength)
    writeU32(buffer, at + dirent.at.type, type)
    if (entry !== null && entry.nodeid !== 0) this.nodeids.push(entry.nodeid)
    this.used = used + aligned(prefixSize + dirent.size + nameLength)
    return at
  }

  /** The name, and the padding of the entry that was begun last. */
  private putName(at: number, name: Uint8Array, start: number, length: number): void {
    const { buffer, used } = this
    // Byte by byte: for so few, a call of a Buffer method costs several times as much.
    for (let index = 0; index < length; index++) buffer[at + index] = name[start + index] ?? 0
    for (let index = at + length; index < used; index++) buffer[index] = 0
  }
}
