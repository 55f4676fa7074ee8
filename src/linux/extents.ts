/** Where a file has blocks, and where something was written to them. */
import { Errno } from '../lib/errno.js'
import type { Range } from '../lib/range.js'
import { O_NONBLOCK, O_RDONLY, SEEK_DATA, SEEK_HOLE } from './constants.js'
import { LinuxError } from './error.js'
import { close, reopen } from './files.js'
import * as raw from './raw.js'

const FS_IOC_FIEMAP = 0xc020660b
const FIEMAP_EXTENT_LAST = 0x1
const FIEMAP_EXTENT_DELALLOC = 0x4
const FIEMAP_EXTENT_UNWRITTEN = 0x800
/** struct fiemap and fiemap_extent. */
const HEADER_BYTES = 32
const EXTENT_BYTES = 56
const BATCH = 256
/** Of a file that lies in more pieces, nothing is told: reading the list would keep everybody waiting. */
const EXTENT_COUNT_MAX = 4096
const BLOCK_BYTES = 4096

/** Ranges in order, none of which touches the next. */
export interface Extents {
  /** Blocks belong to these bytes, or will when what is in memory is written back. */
  readonly allocated: readonly Range[]
  /** And they are on the disk with contents of their own: they are not zeroes that nobody has written yet. */
  readonly written: readonly Range[]
}

const request = Buffer.alloc(HEADER_BYTES + EXTENT_BYTES * BATCH)

/**
 * @param pathFd closed afterwards; may be an O_PATH descriptor.
 * @returns null if the file cannot be read (an ordinary user may have a lease on what they cannot read), or as below.
 */
export function extentsOf(pathFd: number, size: number): Extents | null {
  try {
    if (size === 0) return { allocated: [], written: [] }
    const fd = reopen(pathFd, O_RDONLY | O_NONBLOCK)
    try {
      return readExtents(fd, size)
    } finally {
      close(fd)
    }
  } catch (error) {
    if (error instanceof LinuxError && error.errno !== Errno.EBADF) return null
    throw error
  } finally {
    close(pathFd)
  }
}

/**
 * @param fd open for reading.
 * @param size of the file: what is allocated behind its end is left out.
 * @returns null if the file lies in too many pieces, or the file system does not tell.
 */
export function readExtents(fd: number, size: number): Extents | null {
  const allocated: Range[] = []
  const written: Range[] = []
  let count = 0
  for (let start = 0; start < size; ) {
    request.fill(0, 0, HEADER_BYTES)
    request.writeBigUInt64LE(BigInt(start), 0)
    request.writeBigUInt64LE(BigInt(size - start), 8)
    request.writeUInt32LE(BATCH, 24)
    const result = raw.ioctl(fd, FS_IOC_FIEMAP, request)
    if (result === -Errno.EOPNOTSUPP || result === -Errno.ENOTTY) return readData(fd, size)
    const mapped = request.readUInt32LE(20)
    count += mapped
    if (result < 0 || count > EXTENT_COUNT_MAX) return null
    if (mapped === 0) break
    let flags = 0
    for (let index = 0; index < mapped; index++) {
      const at = HEADER_BYTES + index * EXTENT_BYTES
      const logical = Number(request.readBigUInt64LE(at))
      const end = logical + Number(request.readBigUInt64LE(at + 16))
      flags = request.readUInt32LE(at + 40)
      append(allocated, logical, end, size)
      if ((flags & (FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNWRITTEN)) === 0) {
        append(written, logical, end, size)
      }
      start = end
    }
    if ((flags & FIEMAP_EXTENT_LAST) !== 0) break
  }
  return { allocated, written }
}

/** tmpfs knows no extents; its data does not turn into holes by itself. */
function readData(fd: number, size: number): Extents | null {
  const data: Range[] = []
  for (let at = 0; at < size; ) {
    const start = raw.lseek(fd, at, SEEK_DATA)
    if (start === -Errno.ENXIO) break
    const end = start < 0 ? start : raw.lseek(fd, start, SEEK_HOLE)
    if (end < 0 || data.length >= EXTENT_COUNT_MAX) return null
    append(data, start, end, size)
    at = end
  }
  return { allocated: data, written: data }
}

/** In whole blocks: a small file may be kept in its inode, to the byte, and move to a block later. */
function append(ranges: Range[], start: number, end: number, size: number): void {
  const from = Math.floor(start / BLOCK_BYTES) * BLOCK_BYTES
  const to = Math.min(Math.ceil(end / BLOCK_BYTES) * BLOCK_BYTES, Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES)
  if (from >= to) return
  const last = ranges.at(-1)
  if (last !== undefined && from <= last.end)
    ranges[ranges.length - 1] = { start: last.start, end: Math.max(last.end, to) }
  else ranges.push({ start: from, end: to })
}
