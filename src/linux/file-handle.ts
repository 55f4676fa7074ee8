import * as c from './constants.js'
import * as raw from './raw.js'

const EMPTY_PATH = Buffer.from('\0')
const HANDLE_BYTES_MAX = 128

/**
 * The handle of the file behind a descriptor, which leads to it as long as it exists (name_to_handle_at(2)).
 * @param flags besides AT_EMPTY_PATH.
 * @returns struct file_handle, or a negative errno: -EOPNOTSUPP where the file system has none.
 */
export function takeHandle(fd: number, flags = 0): Buffer | number {
  const handle = Buffer.alloc(8 + HANDLE_BYTES_MAX)
  handle.writeUInt32LE(HANDLE_BYTES_MAX, 0)
  const result = raw.nameToHandleAt(fd, EMPTY_PATH, handle, Buffer.alloc(8), c.AT_EMPTY_PATH | flags)
  return result < 0 ? result : Buffer.from(handle.subarray(0, 8 + handle.readUInt32LE(0)))
}
