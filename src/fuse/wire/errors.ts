import { Errno, errnoName } from '../../lib/errno.js'

/**
 * Bytes from the kernel that do not follow the protocol, or a number in them that Holdfast cannot hold. The
 * request is answered with `errno`; the session goes on.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly errno: Errno

  constructor(message: string, errno: Errno = Errno.EINVAL) {
    super(`${message} (${errnoName(errno)})`)
    this.errno = errno
  }
}
