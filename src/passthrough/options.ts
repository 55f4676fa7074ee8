/** How a passthrough file system behaves, and what it needs of the session that serves it. */
import type { NegotiationOptions } from '../fuse/index.js'
import { type Features, initBits } from './features.js'

export interface PassthroughOptions {
  /** What not to use although the kernel has it. */
  readonly without: Features
  /** How many file systems may be stacked below ours: 1 for an ordinary one, 2 for overlayfs. */
  readonly maxStackDepth: 1 | 2
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
  /**
   * Treat the file system below as one whose calls may take long at any time, whatever it is. By itself that is done
   * with everything that is not known to be on a disk of this machine.
   */
  readonly remote: boolean
  /** Milliseconds of a monotonic clock; used to tell slow calls from quick ones. */
  readonly nowMs: () => number
  /** Milliseconds since 1970, by the clock that file systems take their times from. */
  readonly wallMs: () => number
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
  without: new Set(),
  maxStackDepth: 1,
  ...CACHE_MODES.auto,
  pathFdCountMax: 0,
  idleBackingCountMax: 1024,
  remote: false,
  nowMs: () => 0,
  wallMs: () => 0,
}

/** What the session must negotiate for this file system. */
export function wantedInit(options: PassthroughOptions): NegotiationOptions {
  const without = new Set(options.without)
  // Where names are not believed, what a listing says of them is asked again: it is not worth saying.
  if (options.entryValidMs === 0) without.add('do-readdirplus').add('readdirplus-auto')
  if (!options.keepsData) without.add('cache-symlinks')
  const bits = initBits(without)
  return {
    wantedFlags: bits.wanted,
    withoutFlags: bits.without,
    requiredFlags: bits.required,
    maxStackDepth: options.maxStackDepth,
    maxWrite: 1 << 20,
  }
}
