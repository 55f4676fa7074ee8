import { errnoMessage, errnoName } from '../lib/errno.js'
import { LinuxError, showPath } from '../linux/error.js'

/** A refused or failed request, with the properties that Node's own system errors have. */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  /** `ETXTBSY`, ... */
  readonly code: string
  /** Positive. */
  readonly errno: number
  readonly syscall: string
  readonly path: string | undefined

  constructor(errno: number, syscall: string, path?: string) {
    super(`${syscall}${path === undefined ? '' : ` '${path}'`}: ${errnoMessage(errno)}`)
    this.code = errnoName(errno)
    this.errno = errno
    this.syscall = syscall
    this.path = path
  }
}

/** Runs system calls for a caller of the client: what fails becomes a HoldfastError. */
export function asHoldfastError<T>(what: string, path: string | undefined, action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error
    throw new HoldfastError(
      error.errno,
      what,
      path ?? (error.path === undefined ? undefined : showPath(error.path)),
    )
  }
}
