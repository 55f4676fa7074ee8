import { assert } from '../lib/assert.js'
import type { Negotiated } from './api.js'
import { KernelLacksError, KernelTooOldError } from './errors.js'
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  INIT_FLAGS,
  OLDEST_MINOR_VERSION,
} from './wire/flags.js'
import type { Values } from './wire/struct.js'
import { type initIn, initOut } from './wire/structs.js'

/** Everything that INIT may be told. Sizes are bytes. */
export interface NegotiationOptions {
  /** INIT flags to use where the kernel has them, `flags | flags2 << 32`. */
  readonly wantedFlags: bigint
  /** INIT flags of which nothing is to be seen, as if the kernel did not offer them. Default: none. */
  readonly withoutFlags?: bigint
  /** INIT flags of which each must be agreed on, or INIT is refused. Default: none. */
  readonly requiredFlags?: bigint
  /** The largest WRITE. Default 1 MiB, the most that Linux takes without a sysctl (256 pages). */
  readonly maxWrite?: number
  /** For FUSE_PASSTHROUGH: how many file systems may be stacked below. 1 unless overlayfs is below. */
  readonly maxStackDepth?: 1 | 2
  /** Requests in flight that nobody waits for (readahead, writeback). Default 64; the kernel's own is 12. */
  readonly maxBackground?: number
  /** Default: what the kernel offers. */
  readonly maxReadahead?: number
}

export type Negotiation =
  | { readonly kind: 'agreed'; readonly negotiated: Negotiated; readonly reply: Buffer }
  /** The kernel is newer than 7.x: it asks again with 7. */
  | { readonly kind: 'again'; readonly reply: Buffer }
  | { readonly kind: 'refused'; readonly error: KernelTooOldError | KernelLacksError }

export const DEFAULT_MAX_WRITE = 0x10_0000
const DEFAULT_MAX_BACKGROUND = 64
/** What the protocol counts in, whatever the processor's page size. */
const PAGE_SIZE = 4096
/** Without FUSE_MAX_PAGES a request carries 32 pages (FUSE_DEFAULT_MAX_PAGES_PER_REQ). */
const DEFAULT_PAGES = 32
const U16_MAX = 0xffff

/** Promises that this library does not keep, so nobody may ask for them. */
const UNSUPPORTED =
  INIT_FLAGS.FUSE_INIT_RESERVED |
  INIT_FLAGS.FUSE_MAP_ALIGNMENT |
  INIT_FLAGS.FUSE_OVER_IO_URING |
  INIT_FLAGS.FUSE_REQUEST_TIMEOUT

/** @throws AssertionError for flags that cannot be used, or not together. */
export function checkWantedFlags(wantedFlags: bigint): void {
  assert((wantedFlags & UNSUPPORTED) === 0n, 'an INIT flag is wanted that holdfast/fuse does not support')
  // The kernel ignores passthrough then (process_init_reply), while both sides would believe it agreed.
  const both = INIT_FLAGS.FUSE_PASSTHROUGH | INIT_FLAGS.FUSE_WRITEBACK_CACHE
  assert((wantedFlags & both) !== both, 'FUSE_PASSTHROUGH and FUSE_WRITEBACK_CACHE exclude each other')
}

/** Decides the answer to INIT (fuse.h, "Version negotiation"; process_init_reply in fs/fuse/inode.c). */
export function negotiate(kernel: Values<typeof initIn>, options: NegotiationOptions): Negotiation {
  if (kernel.major > FUSE_KERNEL_VERSION) return { kind: 'again', reply: encodeInit({}) }
  if (kernel.major < FUSE_KERNEL_VERSION || kernel.minor < OLDEST_MINOR_VERSION) {
    return { kind: 'refused', error: new KernelTooOldError(kernel.major, kernel.minor) }
  }
  const minor = Math.min(kernel.minor, FUSE_KERNEL_MINOR_VERSION)
  const flags = agreeOnFlags(kernel, minor, options)
  const missing = (options.requiredFlags ?? 0n) & ~flags
  if (missing !== 0n) return { kind: 'refused', error: new KernelLacksError(initFlagNames(missing)) }
  const hasMaxPages = (flags & INIT_FLAGS.FUSE_MAX_PAGES) !== 0n
  const pagesMax = hasMaxPages ? U16_MAX : DEFAULT_PAGES
  const maxWrite = Math.min(options.maxWrite ?? DEFAULT_MAX_WRITE, pagesMax * PAGE_SIZE)
  const maxReadahead = Math.min(kernel.max_readahead, options.maxReadahead ?? kernel.max_readahead)
  const maxBackground = Math.min(options.maxBackground ?? DEFAULT_MAX_BACKGROUND, U16_MAX)
  const isPassthrough = (flags & INIT_FLAGS.FUSE_PASSTHROUGH) !== 0n
  const reply = encodeInit({
    minor,
    max_readahead: maxReadahead,
    flags: Number(BigInt.asUintN(32, flags)),
    flags2: Number(flags >> 32n),
    max_background: maxBackground,
    congestion_threshold: Math.floor((maxBackground * 3) / 4),
    max_write: maxWrite,
    max_pages: hasMaxPages ? Math.ceil(maxWrite / PAGE_SIZE) : 0,
    max_stack_depth: isPassthrough ? (options.maxStackDepth ?? 1) : 0,
  })
  return { kind: 'agreed', negotiated: { minor, flags, maxWrite, maxReadahead }, reply }
}

function initFlagNames(flags: bigint): string[] {
  return Object.entries(INIT_FLAGS).flatMap(([name, flag]) => ((flags & flag) === 0n ? [] : [name]))
}

function agreeOnFlags(kernel: Values<typeof initIn>, minor: number, options: NegotiationOptions): bigint {
  const { wantedFlags, withoutFlags = 0n } = options
  let offered = BigInt(kernel.flags) & ~withoutFlags
  if ((offered & INIT_FLAGS.FUSE_INIT_EXT) !== 0n) offered |= (BigInt(kernel.flags2) << 32n) & ~withoutFlags
  // 7.36 and 7.37 append security contexts without counting them in the header; only total_extlen tells them
  // from the rest of a request.
  if (minor < 38) offered &= ~INIT_FLAGS.FUSE_SECURITY_CTX
  const always = INIT_FLAGS.FUSE_INIT_EXT | INIT_FLAGS.FUSE_MAX_PAGES | INIT_FLAGS.FUSE_BIG_WRITES
  return offered & (wantedFlags | always)
}

function encodeInit(fields: Partial<Values<typeof initOut>>): Buffer {
  return initOut.encode({
    major: FUSE_KERNEL_VERSION,
    minor: FUSE_KERNEL_MINOR_VERSION,
    max_readahead: 0,
    flags: 0,
    max_background: 0,
    congestion_threshold: 0,
    max_write: 0,
    // Times are exact to the nanosecond.
    time_gran: 1,
    max_pages: 0,
    map_alignment: 0,
    flags2: 0,
    max_stack_depth: 0,
    request_timeout: 0,
    ...fields,
  })
}
