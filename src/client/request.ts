/** The ioctls, as calls that throw a HoldfastError. */
import type { FileHandle } from 'node:fs/promises'
import * as abi from '../control/formats/abi.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { check, showPath } from '../linux/error.js'
import { close, open } from '../linux/files.js'
import * as raw from '../linux/raw.js'
import { asHoldfastError, HoldfastError } from './error.js'

/** A path, or a file that is open already and then stays its owner's to close. */
export type FileSource = string | Buffer | FileHandle

/** A range in bytes; without `length` it goes to the end of the file, wherever that is. */
export interface RangeOption {
  readonly start?: number
  readonly length?: number
}

/** @throws HoldfastError EINVAL for what is no range of bytes. */
export function toRange(range: RangeOption): { start: number; end: number } {
  const start = range.start ?? 0
  const length = range.length ?? 0
  if (![start, length, start + length].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    throw new HoldfastError(Errno.EINVAL, `range of ${length} bytes at ${start}`)
  }
  return { start, end: length === 0 ? Number.POSITIVE_INFINITY : start + length }
}

export interface OpenSource {
  readonly fd: number
  readonly name: string | undefined
  /** Closes the descriptor if it is ours. */
  close(): void
}

export function openSource(file: FileSource, flags = c.O_RDONLY): OpenSource {
  if (typeof file !== 'string' && !Buffer.isBuffer(file)) {
    if (typeof file?.fd === 'number' && file.fd >= 0) return { fd: file.fd, name: undefined, close: () => {} }
    throw new TypeError('the file must be a path (string or Buffer) or an open FileHandle')
  }
  const name = typeof file === 'string' ? file : showPath(file)
  const fd = asHoldfastError('open', name, () => open(file, flags))
  return { fd, name, close: () => close(fd) }
}

/** @param argument is read and, where the request says so, written by the kernel. */
export function request(what: string, fd: number, number: number, argument: Buffer, path?: string): void {
  asHoldfastError(what, path, () => check(raw.ioctl(fd, number, argument), what))
}

export function readInfo(source: OpenSource): abi.Info {
  const bytes = Buffer.alloc(abi.INFO_SIZE)
  request('INFO', source.fd, abi.INFO, bytes, source.name)
  return abi.decodeInfo(bytes)
}

/** Does something with a file that is opened for it, unless it is open already. */
export function withSource<T>(file: FileSource, action: (source: OpenSource) => T): T {
  const source = openSource(file)
  try {
    return action(source)
  } finally {
    source.close()
  }
}

/** The control directory of the mount that a file is on. Throws ENOTTY if it is not under Holdfast. */
export function controlOf(file: FileSource): string {
  return withSource(file, (source) => readInfo(source).control.toString())
}
