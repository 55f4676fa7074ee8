/** Attributes as FUSE wants them. */
import type { Attr, AttrReply, EntryReply, Statfs } from '../fuse/api.js'
import { S_IFMT, S_IFREG, S_ISGID, S_ISUID } from '../linux/constants.js'
import type { Statx } from '../linux/stat.js'
import type { Core } from './core.js'
import type { Inode } from './inodes/inode-table.js'
import type { PassthroughOptions } from './options.js'

/** Device numbers in 32 bits, as `new_encode_dev` of the kernel packs them. */
function packDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
}

/** What makedev(3) makes of a packed device number. */
export function unpackDevice(packed: number): number {
  const major = (packed & 0xfff00) >>> 8
  const minor = (packed & 0xff) | ((packed >>> 12) & 0xfff00)
  // glibc spreads them over 64 bits; below 4096 and 2^20 this is major << 8 with the minor around it.
  return (minor & 0xff) + major * 0x100 + (minor & ~0xff) * 0x1000
}

/**
 * Would writing to a file of this mode take bits from it? The setgid bit goes even where the group may not execute
 * the file, unless the writer is in the group.
 */
export function hasSetidBits(mode: number): boolean {
  return (mode & S_IFMT) === S_IFREG && (mode & (S_ISUID | S_ISGID)) !== 0
}

/** The inode number, as a bigint only where no number is exact: a bigint costs as much as the rest of the attributes. */
function inodeNumber(stat: Statx): number | bigint {
  return stat.inoHigh < 0x20_0000 ? stat.inoHigh * 0x1_0000_0000 + stat.inoLow : stat.ino
}

export function attrOf(stat: Statx): Attr {
  const { atime, mtime, ctime } = stat
  return {
    ino: inodeNumber(stat),
    size: stat.size,
    blocks: stat.blocks,
    atime: atime.seconds,
    mtime: mtime.seconds,
    ctime: ctime.seconds,
    atimeNsec: atime.nanoseconds,
    mtimeNsec: mtime.nanoseconds,
    ctimeNsec: ctime.nanoseconds,
    mode: stat.mode,
    nlink: stat.nlink,
    uid: stat.uid,
    gid: stat.gid,
    rdev: packDevice(stat.rdevMajor, stat.rdevMinor),
    blksize: stat.blksize,
    flags: 0,
  }
}

/**
 * How long the kernel may believe these attributes. A write through passthrough takes setuid bits away in the
 * backing file without the kernel noticing it in ours, and exec(2) would go on granting them: the mode of such
 * a file is asked for anew each time.
 */
function attrValidMs(stat: Statx, options: PassthroughOptions): number {
  return hasSetidBits(stat.mode) ? 0 : options.attrValidMs
}

export function attrReply(inode: Inode, stat: Statx, options: PassthroughOptions): AttrReply {
  inode.hasSetid = hasSetidBits(stat.mode)
  return { attr: attrOf(stat), attrValidMs: attrValidMs(stat, options) }
}

/** Tells the kernel of a file that was just seen under this name, and counts the lookup. */
export function tellEntry(core: Core, stat: Statx, parent: Inode, nameZ: Buffer): EntryReply {
  const { tree, options } = core
  return {
    attr: attrOf(stat),
    attrValidMs: attrValidMs(stat, options),
    nodeid: tree.inodes.tell(stat, parent, nameZ, hasSetidBits(stat.mode), options.nowMs()),
    generation: 0,
    entryValidMs: options.entryValidMs,
  }
}

/** "There is no such name, remember that." */
export function negativeEntry(options: PassthroughOptions): EntryReply {
  return { attr: NO_ATTR, attrValidMs: 0, nodeid: 0, generation: 0, entryValidMs: options.entryValidMs }
}

const NO_ATTR: Attr = {
  ino: 0,
  size: 0,
  blocks: 0,
  atime: 0,
  mtime: 0,
  ctime: 0,
  atimeNsec: 0,
  mtimeNsec: 0,
  ctimeNsec: 0,
  mode: 0,
  nlink: 0,
  uid: 0,
  gid: 0,
  rdev: 0,
  blksize: 0,
  flags: 0,
}

/** `struct statfs` of 64-bit Linux. */
export function decodeStatfs(bytes: Buffer): Statfs {
  const u64 = (offset: number) => Number(bytes.readBigUInt64LE(offset))
  return {
    bsize: u64(8),
    blocks: u64(16),
    bfree: u64(24),
    bavail: u64(32),
    files: u64(40),
    ffree: u64(48),
    namelen: u64(64),
    frsize: u64(72),
  }
}
