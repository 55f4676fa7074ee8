/**
 * The bodies of replies, written straight into a buffer at `at`; each function returns the bytes it took. The
 * offsets come from the structs' declarations. Values that do not fit their field throw: a bug of the file system.
 */
import type {
  Attr,
  AttrReply,
  CreateReply,
  EntryReply,
  FileLock,
  OpenReply,
  Statfs,
  StatxReply,
} from './api.js'
import { writeI32, writeI64, writeU32, writeU64 } from './wire/fields.js'
import * as s from './wire/structs.js'

/** 2^31 seconds: longer validities are as good as for ever, and the kernel's jiffies must not overflow. */
const VALID_SECONDS_MAX = 0x8000_0000

function putValidity(buffer: Buffer, secondsAt: number, nsecAt: number, milliseconds: number): void {
  const seconds = Math.min(Math.floor(milliseconds / 1000), VALID_SECONDS_MAX)
  writeU64(buffer, secondsAt, seconds)
  const nanoseconds = seconds === VALID_SECONDS_MAX ? 0 : Math.floor((milliseconds - seconds * 1000) * 1e6)
  writeU32(buffer, nsecAt, nanoseconds)
}

/** `struct fuse_attr`, 88 bytes. */
export function putAttr(buffer: Buffer, at: number, value: Attr): number {
  const offset = s.attr.at
  if (typeof value.ino === 'number') writeU64(buffer, at + offset.ino, value.ino)
  else buffer.writeBigUInt64LE(value.ino, at + offset.ino)
  writeU64(buffer, at + offset.size, value.size)
  writeU64(buffer, at + offset.blocks, value.blocks)
  writeI64(buffer, at + offset.atime, value.atime)
  writeI64(buffer, at + offset.mtime, value.mtime)
  writeI64(buffer, at + offset.ctime, value.ctime)
  writeU32(buffer, at + offset.atimensec, value.atimeNsec)
  writeU32(buffer, at + offset.mtimensec, value.mtimeNsec)
  writeU32(buffer, at + offset.ctimensec, value.ctimeNsec)
  writeU32(buffer, at + offset.mode, value.mode)
  writeU32(buffer, at + offset.nlink, value.nlink)
  writeU32(buffer, at + offset.uid, value.uid)
  writeU32(buffer, at + offset.gid, value.gid)
  writeU32(buffer, at + offset.rdev, value.rdev)
  writeU32(buffer, at + offset.blksize, value.blksize)
  writeU32(buffer, at + offset.flags, value.flags)
  return s.attr.size
}

/** `struct fuse_attr_out`. */
export function putAttrReply(buffer: Buffer, at: number, value: AttrReply): number {
  const offset = s.attrOut.at
  putValidity(buffer, at + offset.attr_valid, at + offset.attr_valid_nsec, value.attrValidMs)
  writeU32(buffer, at + offset.dummy, 0)
  putAttr(buffer, at + offset.attr, value.attr)
  return s.attrOut.size
}

/** `struct fuse_entry_out`. */
export function putEntry(buffer: Buffer, at: number, value: EntryReply): number {
  const offset = s.entryOut.at
  writeU64(buffer, at + offset.nodeid, value.nodeid)
  writeU64(buffer, at + offset.generation, value.generation)
  putValidity(buffer, at + offset.entry_valid, at + offset.entry_valid_nsec, value.entryValidMs)
  putValidity(buffer, at + offset.attr_valid, at + offset.attr_valid_nsec, value.attrValidMs)
  putAttr(buffer, at + offset.attr, value.attr)
  return s.entryOut.size
}

/** `struct fuse_open_out`. */
export function putOpen(buffer: Buffer, at: number, value: OpenReply): number {
  const offset = s.openOut.at
  writeU64(buffer, at + offset.fh, value.fh)
  writeU32(buffer, at + offset.open_flags, value.openFlags)
  writeI32(buffer, at + offset.backing_id, value.backingId)
  return s.openOut.size
}

/** `struct fuse_entry_out` and `struct fuse_open_out`: CREATE and TMPFILE. */
export function putCreate(buffer: Buffer, at: number, value: CreateReply): number {
  return putEntry(buffer, at, value.entry) + putOpen(buffer, at + s.entryOut.size, value.open)
}

/** Also `fuse_write_out`, `fuse_getxattr_out` and `fuse_poll_out`: a 32-bit number and padding. */
export function putPadded32(buffer: Buffer, at: number, value: number): number {
  writeU32(buffer, at, value)
  writeU32(buffer, at + 4, 0)
  return 8
}

/** `fuse_lseek_out`, `fuse_bmap_out`, `fuse_copy_file_range_out`: a 64-bit number. */
export function put64(buffer: Buffer, at: number, value: number): number {
  writeU64(buffer, at, value)
  return 8
}

/** `struct fuse_statfs_out`. */
export function putStatfs(buffer: Buffer, at: number, value: Statfs): number {
  s.statfsOut.write(buffer, at, { st: { ...value } })
  return s.statfsOut.size
}

/** `struct fuse_lk_out`. */
export function putLock(buffer: Buffer, at: number, value: FileLock): number {
  s.lkOut.write(buffer, at, { lk: value })
  return s.lkOut.size
}

/** `struct fuse_statx_out`. */
export function putStatx(buffer: Buffer, at: number, value: StatxReply): number {
  const time = ([tv_sec, tv_nsec]: readonly [number, number]) => ({ tv_sec, tv_nsec })
  s.statxOut.write(buffer, at, {
    attr_valid: 0,
    attr_valid_nsec: 0,
    flags: 0,
    stat: {
      mask: value.mask,
      blksize: value.blksize,
      attributes: value.attributes,
      nlink: value.nlink,
      uid: value.uid,
      gid: value.gid,
      mode: value.mode,
      ino: value.ino,
      size: value.size,
      blocks: value.blocks,
      attributes_mask: value.attributesMask,
      atime: time(value.atime),
      btime: time(value.btime),
      ctime: time(value.ctime),
      mtime: time(value.mtime),
      rdev_major: value.rdevMajor,
      rdev_minor: value.rdevMinor,
      dev_major: value.devMajor,
      dev_minor: value.devMinor,
    },
  })
  const offset = s.statxOut.at
  putValidity(buffer, at + offset.attr_valid, at + offset.attr_valid_nsec, value.attrValidMs)
  return s.statxOut.size
}
