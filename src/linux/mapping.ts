/** Mapped files, for programs that want to see a file as memory (mmap(2)). */
import koffi from 'koffi'
import { check } from './error.js'
import { bind } from './libc.js'

const PROT_READ = 1
const MAP_SHARED = 1

// The address comes back as a number: user space ends below 2^53 on every architecture we know.
const mmap = bind<[null, number, number, number, number, number]>('mmap', 'int64', [
  'ptr',
  'uint64',
  'int',
  'int',
  'int',
  'int64',
])

/**
 * Maps a part of a file, shared and for reading only. The mapping stays for the life of the process, also when
 * `fd` is closed. Touching a page behind the end of the file ends the process with SIGBUS.
 * @param offset A multiple of the page size, in bytes.
 * @param length Bytes; one view can hold at most 4 GiB on Node 20.
 */
export function mapForReading(fd: number, offset: number, length: number): Uint8Array {
  const address = check(mmap(null, length, PROT_READ, MAP_SHARED, fd, offset), 'mmap')
  return new Uint8Array(koffi.view(address, length))
}
