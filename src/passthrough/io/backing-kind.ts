/** What kind of file system is below: how long its calls may take depends on it. */

import * as raw from '../../linux/raw.js'
import { STATFS_SIZE } from '../../linux/stat.js'

/** f_type of statfs(2). */
const TMPFS = 0x0102_1994
const OVERLAYFS = 0x794c_7630
const BTRFS = 0x9123_683e

/**
 * File systems on a disk of this machine, or in its memory. Everything else (a network, another FUSE file system,
 * what nobody has heard of) may take as long as somebody else likes.
 */
const LOCAL = new Set([
  OVERLAYFS,
  BTRFS,
  0x8584_58f6, // ramfs
  0xef53, // ext2, ext3, ext4
  0x5846_5342, // XFS
  0xf2f5_2010, // F2FS
  0xca45_1a4e, // bcachefs
  0x2fc1_2fc1, // ZFS
  0x3153_464a, // JFS
  0x5265_4973, // ReiserFS
  0x3434, // NILFS2
  0x4d44, // FAT
  0x2011_bab0, // exFAT
  0x7366_746e, // NTFS (ntfs3)
  0x4244, // HFS
  0x482b, // HFS+
  0x1501_3346, // UDF
  0x9660, // ISO 9660
  0x7371_7368, // SquashFS
  0xe0f5_e1e2, // EROFS
  0x28cd_3d45, // cramfs
])

export type BackingKind = 'local' | 'memory' | 'remote'

/** @param rootFd may be an O_PATH descriptor. */
export function backingKind(rootFd: number): BackingKind {
  const bytes = Buffer.alloc(STATFS_SIZE)
  if (raw.fstatfs(rootFd, bytes) < 0) return 'remote'
  const type = bytes.readUInt32LE(0)
  if (type === TMPFS) return 'memory'
  return LOCAL.has(type) ? 'local' : 'remote'
}
