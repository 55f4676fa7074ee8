/** `struct statx` (statx(2)), 256 bytes, read field by field where it is needed. */
import { check } from './error.js'
import * as raw from './raw.js'

export const STATX_SIZE = 256
export const STATX_BASIC_STATS = 0x7ff
export const STATX_BTIME = 0x800
export const STATX_MNT_ID = 0x1000

const offsets = {
  mask: 0,
  blksize: 4,
  attributes: 8,
  nlink: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  size: 40,
  blocks: 48,
  atime: 64,
  btime: 80,
  ctime: 96,
  mtime: 112,
  rdevMajor: 128,
  rdevMinor: 132,
  devMajor: 136,
  devMinor: 140,
  mntId: 144,
} as const

export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

/** A view of one statx result. The buffer may be filled again: what was read before is then gone. */
export class Statx {
  readonly buffer = Buffer.alloc(STATX_SIZE)

  private u32(offset: number): number {
    return this.buffer.readUInt32LE(offset)
  }

  private time(offset: number): Timestamp {
    return {
      seconds: this.u32(offset) + this.buffer.readInt32LE(offset + 4) * 0x1_0000_0000,
      nanoseconds: this.u32(offset + 8),
    }
  }

  get mode(): number {
    return this.buffer.readUInt16LE(offsets.mode)
  }
  get nlink(): number {
    return this.u32(offsets.nlink)
  }
  get uid(): number {
    return this.u32(offsets.uid)
  }
  get gid(): number {
    return this.u32(offsets.gid)
  }
  get blksize(): number {
    return this.u32(offsets.blksize)
  }
  /** Can exceed 2^53 (overlayfs with xino). */
  get ino(): bigint {
    return this.buffer.readBigUInt64LE(offsets.ino)
  }
  /** Bytes; below 2^63, and below 2^53 on every file system that exists. */
  get size(): number {
    return this.u32(offsets.size) + this.u32(offsets.size + 4) * 0x1_0000_0000
  }
  /** Units of 512 bytes. */
  get blocks(): number {
    return this.u32(offsets.blocks) + this.u32(offsets.blocks + 4) * 0x1_0000_0000
  }
  get atime(): Timestamp {
    return this.time(offsets.atime)
  }
  get mtime(): Timestamp {
    return this.time(offsets.mtime)
  }
  get ctime(): Timestamp {
    return this.time(offsets.ctime)
  }
  /** Zero where the file system keeps none. */
  get btime(): Timestamp {
    return this.time(offsets.btime)
  }
  get rdevMajor(): number {
    return this.u32(offsets.rdevMajor)
  }
  get rdevMinor(): number {
    return this.u32(offsets.rdevMinor)
  }
  get devMajor(): number {
    return this.u32(offsets.devMajor)
  }
  get devMinor(): number {
    return this.u32(offsets.devMinor)
  }
  get mountId(): number {
    return this.u32(offsets.mntId) + this.u32(offsets.mntId + 4) * 0x1_0000_0000
  }

  /** Fills the view. @returns 0 or a negative errno. */
  tryRead(dirfd: number, pathZ: Uint8Array, flags: number, mask = STATX_BASIC_STATS | STATX_BTIME): number {
    return raw.statx(dirfd, pathZ, flags, mask, this.buffer)
  }

  /** Fills the view or throws a LinuxError. */
  read(dirfd: number, pathZ: Uint8Array, flags: number, mask = STATX_BASIC_STATS | STATX_BTIME): this {
    check(this.tryRead(dirfd, pathZ, flags, mask), 'statx', pathZ)
    return this
  }
}

/** Does a file with this mode have this type (S_IF...)? */
export function isType(mode: number, type: number): boolean {
  return (mode & 0o170000) === type
}
