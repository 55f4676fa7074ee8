import { errnoMessage, errnoName } from '../lib/errno.js'
import { OLDEST_MINOR_VERSION } from './wire/flags.js'

/** The device failed in a way that is neither a passing condition nor the end of the mount. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly code = 'TRANSPORT'
  /** Positive. */
  readonly errno: number

  constructor(call: 'read' | 'write', errno: number) {
    super(`${call} of the FUSE device: ${errnoName(errno)} (${errnoMessage(errno)})`)
    this.errno = errno
  }
}

/** The kernel does not offer in INIT what the file system cannot do without. The mount cannot work. */
export class KernelLacksError extends Error {
  override readonly name = 'KernelLacksError'
  readonly code = 'KERNEL_LACKS'

  /** @param flags Of INIT, by name. */
  constructor(flags: readonly string[]) {
    super(`the kernel's FUSE does not offer ${flags.join(', ')}`)
  }
}

/** The kernel speaks a FUSE protocol older than 7.31 (Linux 5.4). The mount cannot work. */
export class KernelTooOldError extends Error {
  override readonly name = 'KernelTooOldError'
  readonly code = 'KERNEL_TOO_OLD'
  readonly major: number
  readonly minor: number

  constructor(major: number, minor: number) {
    super(`the kernel speaks FUSE ${major}.${minor}; 7.${OLDEST_MINOR_VERSION} (Linux 5.4) is needed`)
    this.major = major
    this.minor = minor
  }
}
