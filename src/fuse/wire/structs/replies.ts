/** What follows the header of each reply and of each notification. Field names are those of fuse.h. */
import { big64, fileOffset, i32, i64, pad32, pad64, u16, u32, u64, unused } from '../fields.js'
import { struct } from '../struct.js'
import { attr, dirent, fileLock, kstatfs, statx } from './common.js'

export const entryOut = struct('fuse_entry_out', 128, {
  nodeid: u64,
  generation: u64,
  entry_valid: u64,
  attr_valid: u64,
  entry_valid_nsec: u32,
  attr_valid_nsec: u32,
  attr,
})
export const attrOut = struct('fuse_attr_out', 104, {
  attr_valid: u64,
  attr_valid_nsec: u32,
  dummy: pad32,
  attr,
})
export const statxOut = struct('fuse_statx_out', 288, {
  attr_valid: u64,
  attr_valid_nsec: u32,
  flags: u32,
  spare: unused(8, 2),
  stat: statx,
})
/** `backing_id` counts with FOPEN_PASSTHROUGH (7.40), padding before. */
export const openOut = struct('fuse_open_out', 16, { fh: u64, open_flags: u32, backing_id: i32 })
export const writeOut = struct('fuse_write_out', 8, { size: u32, padding: pad32 })
export const statfsOut = struct('fuse_statfs_out', 80, { st: kstatfs })
export const getxattrOut = struct('fuse_getxattr_out', 8, { size: u32, padding: pad32 })
export const lkOut = struct('fuse_lk_out', 24, { lk: fileLock })
/**
 * `flags2` since 7.36, `max_stack_depth` 7.40, `request_timeout` 7.43; these bytes were reserved before, so the
 * size is the same for every kernel from 7.23 on.
 */
export const initOut = struct('fuse_init_out', 64, {
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
  max_background: u16,
  congestion_threshold: u16,
  max_write: u32,
  time_gran: u32,
  max_pages: u16,
  map_alignment: u16,
  flags2: u32,
  max_stack_depth: u32,
  request_timeout: u16,
  unused: unused(2, 11),
})
export const cuseInitOut = struct('cuse_init_out', 72, {
  major: u32,
  minor: u32,
  unused: pad32,
  flags: u32,
  max_read: u32,
  max_write: u32,
  dev_major: u32,
  dev_minor: u32,
  spare: unused(4, 10),
})
export const bmapOut = struct('fuse_bmap_out', 8, { block: u64 })
/** Followed by the output bytes. */
export const ioctlOut = struct('fuse_ioctl_out', 16, { result: i32, flags: u32, in_iovs: u32, out_iovs: u32 })
export const pollOut = struct('fuse_poll_out', 8, { revents: u32, padding: pad32 })
export const lseekOut = struct('fuse_lseek_out', 8, { offset: fileOffset })
/** The reply to COPY_FILE_RANGE_64 (7.45); COPY_FILE_RANGE answers writeOut. */
export const copyFileRangeOut = struct('fuse_copy_file_range_out', 8, { bytes_copied: u64 })
export const direntplus = struct('fuse_direntplus', 152, { entry_out: entryOut, dirent })

export const notifyPollWakeupOut = struct('fuse_notify_poll_wakeup_out', 8, { kh: big64 })
/** A negative `off` drops attributes only; `len` of 0 or less means to the end of the file. */
export const notifyInvalInodeOut = struct('fuse_notify_inval_inode_out', 24, { ino: u64, off: i64, len: i64 })
/** Followed by the name and a NUL that `namelen` does not count. `flags` are FUSE_EXPIRE_ONLY (7.38). */
export const notifyInvalEntryOut = struct('fuse_notify_inval_entry_out', 16, {
  parent: u64,
  namelen: u32,
  flags: u32,
})
/** Followed by the name and a NUL that `namelen` does not count. */
export const notifyDeleteOut = struct('fuse_notify_delete_out', 24, {
  parent: u64,
  child: u64,
  namelen: u32,
  padding: pad32,
})
/** Followed by `size` bytes. */
export const notifyStoreOut = struct('fuse_notify_store_out', 24, {
  nodeid: u64,
  offset: fileOffset,
  size: u32,
  padding: pad32,
})
export const notifyRetrieveOut = struct('fuse_notify_retrieve_out', 32, {
  notify_unique: big64,
  nodeid: u64,
  offset: fileOffset,
  size: u32,
  padding: pad32,
})
/** The body of NOTIFY_REPLY, as long as writeIn; followed by `size` bytes. */
export const notifyRetrieveIn = struct('fuse_notify_retrieve_in', 40, {
  dummy1: pad64,
  offset: fileOffset,
  size: u32,
  dummy2: pad32,
  dummy3: pad64,
  dummy4: pad64,
})
/** Followed by `count` 64-bit nodeids (7.45). */
export const notifyPruneOut = struct('fuse_notify_prune_out', 16, {
  count: u32,
  padding: pad32,
  spare: pad64,
})

/** The argument of the ioctl FUSE_DEV_IOC_BACKING_OPEN on the device (7.40). */
export const backingMap = struct('fuse_backing_map', 16, { fd: i32, flags: u32, padding: pad64 })
