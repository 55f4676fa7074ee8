/** What follows the header of each request. Field names are those of fuse.h; versions are when it changed. */
import {
  big64,
  type Field,
  fileOffset,
  pad32,
  pad64,
  seconds,
  seekOffset,
  u32,
  u64,
  unused,
} from '../fields.js'
import { struct } from '../struct.js'
import { fileLock } from './common.js'

export const forgetIn = struct('fuse_forget_in', 8, { nlookup: u64 })
export const forgetOne = struct('fuse_forget_one', 16, { nodeid: u64, nlookup: u64 })
/** Followed by `count` forgetOne. */
export const batchForgetIn = struct('fuse_batch_forget_in', 8, { count: u32, dummy: pad32 })
/** `fh` counts if FUSE_GETATTR_FH is set. */
export const getattrIn = struct('fuse_getattr_in', 16, { getattr_flags: u32, dummy: pad32, fh: u64 })
/** 7.39. */
export const statxIn = struct('fuse_statx_in', 24, {
  getattr_flags: u32,
  reserved: pad32,
  fh: u64,
  sx_flags: u32,
  sx_mask: u32,
})
export const mknodIn = struct('fuse_mknod_in', 16, { mode: u32, rdev: u32, umask: u32, padding: pad32 })
export const mkdirIn = struct('fuse_mkdir_in', 8, { mode: u32, umask: u32 })
export const renameIn = struct('fuse_rename_in', 8, { newdir: u64 })
export const rename2In = struct('fuse_rename2_in', 16, { newdir: u64, flags: u32, padding: pad32 })
export const linkIn = struct('fuse_link_in', 8, { oldnodeid: u64 })
/** A field counts if its FATTR_* bit is set in `valid`. */
export const setattrIn = struct('fuse_setattr_in', 88, {
  valid: u32,
  padding: pad32,
  fh: u64,
  size: fileOffset,
  lock_owner: big64,
  atime: seconds,
  mtime: seconds,
  ctime: seconds,
  atimensec: u32,
  mtimensec: u32,
  ctimensec: u32,
  mode: u32,
  unused4: pad32,
  uid: u32,
  gid: u32,
  unused5: pad32,
})
/** `open_flags` are FUSE_OPEN_* (7.33), zero before. */
export const openIn = struct('fuse_open_in', 8, { flags: u32, open_flags: u32 })
export const createIn = struct('fuse_create_in', 16, { flags: u32, mode: u32, umask: u32, open_flags: u32 })
export const releaseIn = struct('fuse_release_in', 24, {
  fh: u64,
  flags: u32,
  release_flags: u32,
  lock_owner: big64,
})
export const flushIn = struct('fuse_flush_in', 24, {
  fh: u64,
  unused: pad32,
  padding: pad32,
  lock_owner: big64,
})
const read = <T>(offset: Field<T>) =>
  struct('fuse_read_in', 40, {
    fh: u64,
    offset,
    size: u32,
    read_flags: u32,
    lock_owner: big64,
    flags: u32,
    padding: pad32,
  })
export const readIn = read(fileOffset)
/** READDIR and READDIRPLUS: a place in a directory, which file systems number as they like. */
export const readdirIn = read(big64)
/** Followed by `size` bytes. */
export const writeIn = struct('fuse_write_in', 40, {
  fh: u64,
  offset: fileOffset,
  size: u32,
  write_flags: u32,
  lock_owner: big64,
  flags: u32,
  padding: pad32,
})
export const fsyncIn = struct('fuse_fsync_in', 16, { fh: u64, fsync_flags: u32, padding: pad32 })
/** Only the first FUSE_COMPAT_SETXATTR_IN_SIZE bytes unless FUSE_SETXATTR_EXT was agreed (7.33). */
export const setxattrIn = struct('fuse_setxattr_in', 16, {
  size: u32,
  flags: u32,
  setxattr_flags: u32,
  padding: pad32,
})
export const getxattrIn = struct('fuse_getxattr_in', 8, { size: u32, padding: pad32 })
export const lkIn = struct('fuse_lk_in', 48, {
  fh: u64,
  owner: big64,
  lk: fileLock,
  lk_flags: u32,
  padding: pad32,
})
export const accessIn = struct('fuse_access_in', 8, { mask: u32, padding: pad32 })
/** Kernels before 7.36 send the first 16 bytes only. */
export const initIn = struct('fuse_init_in', 64, {
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
  flags2: u32,
  unused: unused(4, 11),
})
export const cuseInitIn = struct('cuse_init_in', 16, { major: u32, minor: u32, unused: pad32, flags: u32 })
export const interruptIn = struct('fuse_interrupt_in', 8, { unique: big64 })
export const bmapIn = struct('fuse_bmap_in', 16, { block: u64, blocksize: u32, padding: pad32 })
/** Followed by `in_size` bytes. */
export const ioctlIn = struct('fuse_ioctl_in', 32, {
  fh: u64,
  flags: u32,
  cmd: u32,
  arg: big64,
  in_size: u32,
  out_size: u32,
})
export const ioctlIovec = struct('fuse_ioctl_iovec', 16, { base: big64, len: big64 })
export const pollIn = struct('fuse_poll_in', 24, { fh: u64, kh: big64, flags: u32, events: u32 })
export const fallocateIn = struct('fuse_fallocate_in', 32, {
  fh: u64,
  offset: fileOffset,
  length: fileOffset,
  mode: u32,
  padding: pad32,
})
export const lseekIn = struct('fuse_lseek_in', 24, {
  fh: u64,
  offset: seekOffset,
  whence: u32,
  padding: pad32,
})
export const copyFileRangeIn = struct('fuse_copy_file_range_in', 56, {
  fh_in: u64,
  off_in: fileOffset,
  nodeid_out: u64,
  fh_out: u64,
  off_out: fileOffset,
  len: fileOffset,
  flags: u64,
})
export const setupmappingIn = struct('fuse_setupmapping_in', 40, {
  fh: u64,
  foffset: fileOffset,
  len: fileOffset,
  flags: u64,
  moffset: fileOffset,
})
/** Followed by `count` removemappingOne. */
export const removemappingIn = struct('fuse_removemapping_in', 4, { count: u32 })
export const removemappingOne = struct('fuse_removemapping_one', 16, { moffset: fileOffset, len: fileOffset })
export const syncfsIn = struct('fuse_syncfs_in', 8, { padding: pad64 })
