/** How a passthrough file system behaves, and what it needs of the session that serves it. */
import { INIT_FLAGS } from '../fuse/wire/flags.js'

export interface PassthroughOptions {
  /** Let reads, writes and mappings go past the daemon where the kernel can (FUSE_PASSTHROUGH). */
  readonly passthrough: boolean
  /** How many file systems may be stacked below ours: 1 for an ordinary one, 2 for overlayfs. */
  readonly maxStackDepth: number
  /** How long the kernel may believe attributes, in milliseconds. */
  readonly attrValidMs: number
  /** How long the kernel may believe that a name leads to a file, or to none, in milliseconds. */
  readonly entryValidMs: number
  /** Without passthrough: may what was read be kept in the page cache from one open to the next, or at all? */
  readonly keepsData: boolean
  /** O_PATH descriptors kept open at most; 0 derives it from RLIMIT_NOFILE. */
  readonly pathFdCountMax: number
  /** Backing ids kept for files that nobody has open at the moment. */
  readonly idleBackingCountMax: number
  /** Milliseconds of a monotonic clock; used to tell slow writes from quick ones. */
  readonly nowMs: () => number
}

/**
 * What the kernel may remember instead of asking; docs/LIMITS.md says what follows from each. With `strict` the answer
 * to a lookup counts for the call that made it: its attributes are valid for the shortest time there is, a tick or two
 * of the kernel's clock.
 */
export const CACHE_MODES = {
  auto: { attrValidMs: 1000, entryValidMs: 1000, keepsData: true },
  strict: { attrValidMs: 1, entryValidMs: 0, keepsData: true },
  none: { attrValidMs: 0, entryValidMs: 0, keepsData: false },
} as const satisfies Record<string, Partial<PassthroughOptions>>

export type CacheMode = keyof typeof CACHE_MODES

export const DEFAULT_OPTIONS: PassthroughOptions = {
  passthrough: true,
  maxStackDepth: 1,
  ...CACHE_MODES.auto,
  pathFdCountMax: 0,
  idleBackingCountMax: 1024,
  nowMs: () => 0,
}

const f = INIT_FLAGS

/**
 * Without FUSE_WRITEBACK_CACHE, sizes and times are always those of the backing file. Without
 * FUSE_POSIX_LOCKS and FUSE_FLOCK_LOCKS, the kernel keeps locks itself. Without FUSE_HAS_IOCTL_DIR it answers
 * ioctls on directories with ENOTTY.
 */
const WANTED_FLAGS =
  f.FUSE_ASYNC_READ |
  f.FUSE_ATOMIC_O_TRUNC |
  f.FUSE_BIG_WRITES |
  f.FUSE_DONT_MASK |
  f.FUSE_AUTO_INVAL_DATA |
  f.FUSE_ASYNC_DIO |
  f.FUSE_PARALLEL_DIROPS |
  f.FUSE_POSIX_ACL |
  f.FUSE_ABORT_ERROR |
  f.FUSE_MAX_PAGES |
  f.FUSE_HANDLE_KILLPRIV_V2 |
  f.FUSE_SETXATTR_EXT |
  f.FUSE_INIT_EXT |
  f.FUSE_CREATE_SUPP_GROUP |
  f.FUSE_DIRECT_IO_ALLOW_MMAP

/** What the session must offer in INIT for this file system. */
export interface WantedInit {
  readonly flags: bigint
  /** For FUSE_PASSTHROUGH; 0 without it. */
  readonly maxStackDepth: number
  readonly maxWriteBytes: number
}

export function wantedInit(options: PassthroughOptions): WantedInit {
  // Where names are not believed, what a listing says of them is asked again: it is not worth saying.
  const believed = options.entryValidMs > 0 ? f.FUSE_DO_READDIRPLUS | f.FUSE_READDIRPLUS_AUTO : 0n
  const kept = options.keepsData ? f.FUSE_CACHE_SYMLINKS : 0n
  const past = options.passthrough ? f.FUSE_PASSTHROUGH : 0n
  return {
    flags: WANTED_FLAGS | believed | kept | past,
    maxStackDepth: options.passthrough ? options.maxStackDepth : 0,
    maxWriteBytes: 1 << 20,
  }
}
