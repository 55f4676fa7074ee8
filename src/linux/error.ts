import { errnoMessage, errnoName } from '../lib/errno.js'

/** A failed system call, with the properties that Node's own system errors have. */
export class LinuxError extends Error {
  override readonly name = 'LinuxError'
  /** `ENOENT`, ... */
  readonly code: string
  /** Positive. */
  readonly errno: number
  readonly syscall: string
  /** What the call was about; undefined if that was no path but a descriptor. Show it with `showPath`. */
  readonly path: Buffer | undefined

  /** @param path with or without a final NUL. */
  constructor(errno: number, syscall: string, path: Uint8Array | string = '') {
    const given = typeof path === 'string' ? Buffer.from(path) : Buffer.from(path)
    const bytes = given.at(-1) === 0 ? given.subarray(0, -1) : given
    const about = bytes.length === 0 ? '' : ` '${showPath(bytes)}'`
    super(`${syscall}${about}: ${errnoMessage(errno)}`)
    this.code = errnoName(errno)
    this.errno = errno
    this.syscall = syscall
    this.path = bytes.length === 0 ? undefined : bytes
  }
}

/** Turns the result of a raw call into a value or a LinuxError. */
export function check(result: number, syscall: string, path?: Uint8Array | string): number {
  if (result < 0) throw new LinuxError(-result, syscall, path)
  return result
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

const UNPRINTABLE_TEXT = /\p{Cc}/gu
const UNPRINTABLE_BYTES = /[^ -~]/g

function escapeChar(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
}

/** Bytes of a path for a person or a log: control characters, and whatever is no UTF-8, appear as `\xHH`. */
export function showPath(bytes: Uint8Array): string {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return Buffer.from(bytes).toString('latin1').replace(UNPRINTABLE_BYTES, escapeChar)
  }
  return text.replace(UNPRINTABLE_TEXT, escapeChar)
}
