/** `struct statx` (statx(2)), 256 bytes, read field by field where it is needed. */
import { check } from './error.js'
import * as raw from './raw.js'

export const STATX_SIZE = 256
/** `struct statfs` of 64-bit Linux. */
export const STATFS_SIZE = 120
export const STATX_BASIC_STATS = 0x7ff
export const STATX_BTIME = 0x800
export const STATX_MNT_ID = 0x1000

/** Fields by 32-bit word; those of 64 bits take two, the lower one first. */
const words = {
  blksize: 1,
  nlink: 4,
  uid: 5,
  gid: 6,
  /** The lower half. */
  mode: 7,
  ino: 8,
  size: 10,
  blocks: 12,
  atime: 16,
  btime: 20,
  ctime: 24,
  mtime: 28,
  rdevMajor: 32,
  rdevMinor: 33,
  devMajor: 34,
  devMinor: 35,
  mntId: 36,
} as const
const INO_AS_BIGINT = 4
const WORD = 0x1_0000_0000

export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

/** A view of one statx result. The buffer may be filled again: what was read before is then gone. */
export class Statx {
  readonly buffer: Buffer
  /** The same bytes: a file system reads some twenty fields for each request, and a Buffer's methods check each. */
  private readonly u32: Uint32Array
  private readonly u64: BigUint64Array

  constructor() {
    this.buffer = Buffer.alloc(STATX_SIZE)
    this.u32 = new Uint32Array(this.buffer.buffer, this.buffer.byteOffset, STATX_SIZE / 4)
    this.u64 = new BigUint64Array(this.buffer.buffer, this.buffer.byteOffset, STATX_SIZE / 8)
  }

  private word(index: number): number {
    return this.u32[index] ?? 0
  }

  private pair(index: number): number {
    return this.word(index) + this.word(index + 1) * WORD
  }

  /** Seconds are signed. */
  private seconds(index: number): number {
    return this.word(index) + (this.word(index + 1) | 0) * WORD
  }

  private time(index: number): Timestamp {
    return { seconds: this.seconds(index), nanoseconds: this.word(index + 2) }
  }

  get mode(): number {
    return this.word(words.mode) & 0xffff
  }
  get nlink(): number {
    return this.word(words.nlink)
  }
  get uid(): number {
    return this.word(words.uid)
  }
  get gid(): number {
    return this.word(words.gid)
  }
  get blksize(): number {
    return this.word(words.blksize)
  }
  /** Can exceed 2^53 (overlayfs with xino). */
  get ino(): bigint {
    return this.u64[INO_AS_BIGINT] ?? 0n
  }
  get inoLow(): number {
    return this.word(words.ino)
  }
  get inoHigh(): number {
    return this.word(words.ino + 1)
  }
  /** Bytes; below 2^63, and below 2^53 on every file system that exists. */
  get size(): number {
    return this.pair(words.size)
  }
  /** Units of 512 bytes. */
  get blocks(): number {
    return this.pair(words.blocks)
  }
  get atime(): Timestamp {
    return this.time(words.atime)
  }
  get mtime(): Timestamp {
    return this.time(words.mtime)
  }
  get ctime(): Timestamp {
    return this.time(words.ctime)
  }
  /** Zero where the file system keeps none. */
  get btime(): Timestamp {
    return this.time(words.btime)
  }
  get rdevMajor(): number {
    return this.word(words.rdevMajor)
  }
  get rdevMinor(): number {
    return this.word(words.rdevMinor)
  }
  get devMajor(): number {
    return this.word(words.devMajor)
  }
  get devMinor(): number {
    return this.word(words.devMinor)
  }
  get mountId(): number {
    return this.pair(words.mntId)
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
