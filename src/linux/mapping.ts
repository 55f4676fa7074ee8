/** Mapped files, for programs that want to see a file as memory (mmap(2)). */
import koffi from 'koffi'
import { check } from './error.js'
import * as raw from './raw.js'

const PROT_READ = 1
const MAP_SHARED = 1

/** A part of a file in memory. Touching a page behind the end of the file ends the process with SIGBUS. */
export interface Mapping {
  readonly address: number
  readonly bytes: Uint8Array
}

/**
 * Maps a part of a file, shared and for reading only, until `unmap`.
 * @param offset A multiple of the page size, in bytes.
 * @param length Bytes; one view can hold at most 4 GiB on Node 20.
 */
export function map(fd: number, offset: number, length: number): Mapping {
  const address = check(raw.mmap(null, length, PROT_READ, MAP_SHARED, fd, offset), 'mmap')
  return { address, bytes: new Uint8Array(koffi.view(address, length)) }
}

/** Nothing may look at its bytes any more. */
export function unmap({ address, bytes }: Mapping): void {
  check(raw.munmap(address, bytes.length), 'munmap')
}

/** A mapping that stays for the life of the process, also when `fd` is closed: see `map`. */
export function mapForReading(fd: number, offset: number, length: number): Uint8Array {
  return map(fd, offset, length).bytes
}
