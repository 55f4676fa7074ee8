/** Structs that several messages share: headers, attributes, extensions. Field names are those of fuse.h. */
import { big64, fileOffset, i32, i64, pad16, pad32, seconds, u16, u32, u64, unused } from '../fields.js'
import { struct } from '../struct.js'

/** `total_extlen` counts units of 8 bytes at the end of the request (7.38; zero before). */
export const inHeader = struct('fuse_in_header', 40, {
  len: u32,
  opcode: u32,
  unique: big64,
  nodeid: u64,
  uid: u32,
  gid: u32,
  pid: u32,
  total_extlen: u16,
  padding: pad16,
})

/** `error` is a negative errno or 0; in a notification `unique` is 0 and `error` the code. */
export const outHeader = struct('fuse_out_header', 16, { len: u32, error: i32, unique: big64 })

/** `flags` are FUSE_ATTR_* since 7.32, padding before. */
export const attr = struct('fuse_attr', 88, {
  ino: big64,
  size: fileOffset,
  blocks: u64,
  atime: seconds,
  mtime: seconds,
  ctime: seconds,
  atimensec: u32,
  mtimensec: u32,
  ctimensec: u32,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  blksize: u32,
  flags: u32,
})

export const sxTime = struct('fuse_sx_time', 16, { tv_sec: i64, tv_nsec: u32, __reserved: pad32 })

export const statx = struct('fuse_statx', 256, {
  mask: u32,
  blksize: u32,
  attributes: big64,
  nlink: u32,
  uid: u32,
  gid: u32,
  mode: u16,
  __spare0: unused(2, 1),
  ino: big64,
  size: fileOffset,
  blocks: u64,
  attributes_mask: big64,
  atime: sxTime,
  btime: sxTime,
  ctime: sxTime,
  mtime: sxTime,
  rdev_major: u32,
  rdev_minor: u32,
  dev_major: u32,
  dev_minor: u32,
  __spare2: unused(8, 14),
})

export const kstatfs = struct('fuse_kstatfs', 80, {
  blocks: u64,
  bfree: u64,
  bavail: u64,
  files: u64,
  ffree: u64,
  bsize: u32,
  namelen: u32,
  frsize: u32,
  padding: pad32,
  spare: unused(4, 6),
})

/** `end` is inclusive and OFFSET_MAX for "to the end of the file", which a number cannot hold. */
export const fileLock = struct('fuse_file_lock', 24, { start: big64, end: big64, type: u32, pid: u32 })

/** Security contexts and extensions that follow a request (7.36, counted in the header since 7.38). */
export const secctx = struct('fuse_secctx', 8, { size: u32, padding: pad32 })
export const secctxHeader = struct('fuse_secctx_header', 8, { size: u32, nr_secctx: u32 })
export const extHeader = struct('fuse_ext_header', 8, { size: u32, type: u32 })
/** Followed by `nr_groups` 32-bit group ids. */
export const suppGroups = struct('fuse_supp_groups', 4, { nr_groups: u32, groups: unused(4, 0) })

/** Followed by the name, padded with NULs to a multiple of 8 bytes. */
export const dirent = struct('fuse_dirent', 24, {
  ino: big64,
  off: big64,
  namelen: u32,
  type: u32,
  name: unused(1, 0),
})
