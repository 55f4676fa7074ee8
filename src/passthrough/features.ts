/**
 * What this file system uses of FUSE where the kernel has it, and what it does where the kernel has not. To use
 * another INIT flag, add a row; nothing else lists them. docs/ARCHITECTURE.md shows the same table to people.
 */
import type { Negotiated } from '../fuse/api.js'
import { type FOPEN_FLAGS, INIT_FLAGS } from '../fuse/wire/flags.js'
import { minorOf } from '../fuse/wire/minors.js'

interface Row {
  /** What the kernel offers in INIT, or, for what is not agreed on there, a flag of OPEN's answer. */
  readonly flag: keyof typeof INIT_FLAGS | keyof typeof FOPEN_FLAGS
  /** The first Linux release with it; 5.4 is the oldest that Holdfast accepts. */
  readonly linux: string
  /** What is done without it. */
  readonly without: string
  /** Without it there is no mount. */
  readonly isRequired?: true
  /** Without it programs find something else than on the directory below: whoever mounts is told. */
  readonly isTold?: true
}

/** Names are those of the flags, without FUSE_ or FOPEN_. */
const ROWS = {
  passthrough: {
    flag: 'FUSE_PASSTHROUGH',
    linux: '6.9',
    without: 'reads and writes go through the engine, which is slower',
  },
  'direct-io-allow-mmap': {
    flag: 'FUSE_DIRECT_IO_ALLOW_MMAP',
    linux: '6.6',
    without: 'what is written through the engine is copied into the page cache as well',
  },
  'create-supp-group': {
    flag: 'FUSE_CREATE_SUPP_GROUP',
    linux: '6.3',
    without:
      'the groups of who makes a setgid file or directory are read from /proc, as far as it shows the caller',
  },
  'init-ext': {
    flag: 'FUSE_INIT_EXT',
    linux: '5.17',
    without: 'passthrough, direct-io-allow-mmap and create-supp-group are not there either',
  },
  noflush: {
    flag: 'FOPEN_NOFLUSH',
    linux: '5.16',
    without: 'the first close(2) of a mount asks the engine, which wants to hear of no others',
  },
  'setxattr-ext': {
    flag: 'FUSE_SETXATTR_EXT',
    linux: '5.13',
    without:
      'whether an ACL costs the setgid bit is worked out from the groups and capabilities of who sets it, in /proc',
  },
  'handle-killpriv-v2': {
    flag: 'FUSE_HANDLE_KILLPRIV_V2',
    linux: '5.11',
    without:
      'the kernel asks for security.capability before each write; who may keep setuid bits is read from /proc',
  },
  'posix-acl': {
    flag: 'FUSE_POSIX_ACL',
    linux: '5.4',
    without: 'no mount: the kernel would let in by the mode whom an ACL keeps out',
    isRequired: true,
  },
  'atomic-o-trunc': {
    flag: 'FUSE_ATOMIC_O_TRUNC',
    linux: '5.4',
    without:
      'O_TRUNC comes as a truncation after the open: judged all the same, but O_NONBLOCK is not seen and it waits (B6)',
    isTold: true,
  },
  'dont-mask': {
    flag: 'FUSE_DONT_MASK',
    linux: '5.4',
    without: 'the umask takes bits from new files in directories with a default ACL, too',
    isTold: true,
  },
  'auto-inval-data': {
    flag: 'FUSE_AUTO_INVAL_DATA',
    linux: '5.4',
    without: 'an open drops what is cached of the file',
  },
  'do-readdirplus': {
    flag: 'FUSE_DO_READDIRPLUS',
    linux: '5.4',
    without: 'listings bring no attributes along: each file is looked up',
  },
  'readdirplus-auto': {
    flag: 'FUSE_READDIRPLUS_AUTO',
    linux: '5.4',
    without: 'listings bring attributes along whether or not anybody asks for them',
  },
  'max-pages': {
    flag: 'FUSE_MAX_PAGES',
    linux: '5.4',
    without: 'a request carries 128 KiB instead of 1 MiB',
  },
  'big-writes': { flag: 'FUSE_BIG_WRITES', linux: '5.4', without: 'older kernels write page by page' },
  'async-read': {
    flag: 'FUSE_ASYNC_READ',
    linux: '5.4',
    without: 'reading ahead asks for one piece at a time',
  },
  'async-dio': { flag: 'FUSE_ASYNC_DIO', linux: '5.4', without: 'O_DIRECT asks for one piece at a time' },
  'parallel-dirops': {
    flag: 'FUSE_PARALLEL_DIROPS',
    linux: '5.4',
    without: 'lookups and listings of one directory wait for each other',
  },
  'cache-symlinks': { flag: 'FUSE_CACHE_SYMLINKS', linux: '5.4', without: 'symlinks are read each time' },
  'cache-dir': {
    flag: 'FOPEN_CACHE_DIR',
    linux: '5.4',
    without: 'a directory that is listed again is read again',
  },
  'abort-error': {
    flag: 'FUSE_ABORT_ERROR',
    linux: '5.4',
    without: 'a connection that was aborted looks like one that was unmounted',
  },
} as const satisfies Readonly<Record<string, Row>>

export type FeatureName = keyof typeof ROWS
export type Features = ReadonlySet<FeatureName>

export interface Feature extends Row {
  readonly name: FeatureName
  /** The minor version of the protocol that brought it. */
  readonly minor: number
  /** The bit of INIT; 0n if the minor alone tells whether the kernel has it. */
  readonly bit: bigint
}

function isInitFlag(flag: Row['flag']): flag is keyof typeof INIT_FLAGS {
  return flag in INIT_FLAGS
}

export const FEATURES: readonly Feature[] = Object.entries(ROWS).map(([name, row]) => ({
  ...row,
  name: name as FeatureName,
  minor: minorOf(row.flag),
  bit: isInitFlag(row.flag) ? INIT_FLAGS[row.flag] : 0n,
}))

function bitsOf(features: Iterable<Feature>): bigint {
  let bits = 0n
  for (const { bit } of features) bits |= bit
  return bits
}

/** The bits to ask for, those that INIT fails without, and those to do without. */
export function initBits(without: Features): { wanted: bigint; required: bigint; without: bigint } {
  return {
    wanted: bitsOf(FEATURES),
    required: bitsOf(FEATURES.filter(({ isRequired }) => isRequired === true)),
    without: bitsOf(FEATURES.filter(({ name }) => without.has(name))),
  }
}

/** What there is to use, by what the kernel offers (or what was agreed on). */
export function featuresOf(
  { minor, flags }: Pick<Negotiated, 'minor' | 'flags'>,
  without: Features,
): Features {
  const has = (feature: Feature) =>
    !without.has(feature.name) && (feature.bit === 0n ? minor >= feature.minor : (flags & feature.bit) !== 0n)
  return new Set(FEATURES.filter(has).map(({ name }) => name))
}
