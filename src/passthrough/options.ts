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
  without: new Set(),
  maxStackDepth: 1,
  attrValidMs: 1000,
  entryValidMs: 1000,
  pathFdCountMax: 0,
  idleBackingCountMax: 1024,
  remote: false,
  nowMs: () => 0,
}

/** What the session must negotiate for this file system. */
export function wantedInit({ without, maxStackDepth }: PassthroughOptions): NegotiationOptions {
  const bits = initBits(without)
  return {
    wantedFlags: bits.wanted,
    withoutFlags: bits.without,
    requiredFlags: bits.required,
    maxStackDepth,
    maxWrite: 1 << 20,
  }
}
