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
  /** O_PATH descriptors kept open at most; 0 derives it from RLIMIT_NOFILE. */
  readonly pathFdCountMax: number
  /** Backing ids kept for files that nobody has open at the moment. */
  readonly idleBackingCountMax: number
  /**
   * Treat the file system below as one whose calls may take long at any time, whatever it is. By itself that is done
   * with everything that is not known to be on a disk of this machine.
   */
  readonly remote: boolean
  /** Milliseconds of a monotonic clock; used to tell slow calls from quick ones. */
  readonly nowMs: () => number
}

export const DEFAULT_OPTIONS: PassthroughOptions = {
  passthrough: true,
  maxStackDepth: 1,
  attrValidMs: 1000,
  entryValidMs: 1000,
  pathFdCountMax: 0,
  idleBackingCountMax: 1024,
  remote: false,
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
  f.FUSE_DO_READDIRPLUS |
  f.FUSE_READDIRPLUS_AUTO |
  f.FUSE_ASYNC_DIO |
  f.FUSE_PARALLEL_DIROPS |
  f.FUSE_POSIX_ACL |
  f.FUSE_ABORT_ERROR |
  f.FUSE_MAX_PAGES |
  f.FUSE_CACHE_SYMLINKS |
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
  return {
    flags: options.passthrough ? WANTED_FLAGS | f.FUSE_PASSTHROUGH : WANTED_FLAGS,
    maxStackDepth: options.passthrough ? options.maxStackDepth : 0,
    maxWriteBytes: 1 << 20,
  }
}
