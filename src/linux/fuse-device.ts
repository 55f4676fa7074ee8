/** /dev/fuse: opening it, mounting a file system that it serves, reading requests and writing replies. */
import { Errno } from '../lib/errno.js'
import * as c from './constants.js'
import { check, LinuxError } from './error.js'
import { close, open } from './files.js'
import { addressOf, cstr } from './libc.js'
import * as raw from './raw.js'

const FSOPEN_CLOEXEC = 1
const FSCONFIG_SET_FLAG = 0
const FSCONFIG_SET_STRING = 1
const FSCONFIG_CMD_CREATE = 6
const FSMOUNT_CLOEXEC = 1
const IOV_MAX = 64

export interface FuseMountOptions {
  /** Shown as `fuse.SUBTYPE` in mount tables. */
  readonly subtype: string
  readonly source: Uint8Array
  /** st_mode of the root: a directory or a regular file. */
  readonly rootMode: number
  /** MOUNT_ATTR_* */
  readonly attributes: number
  readonly allowOther: boolean
  readonly defaultPermissions: boolean
}

/** A descriptor of /dev/fuse. Each stands for one connection, from mount to unmount. */
export class FuseDevice {
  readonly fd: number
  readonly #iovec = new BigUint64Array(2 * IOV_MAX)

  private constructor(fd: number) {
    this.fd = fd
  }

  /** Throws a LinuxError: ENOENT or ENODEV without a FUSE device, EACCES without privilege. */
  static open(): FuseDevice {
    return new FuseDevice(open('/dev/fuse', c.O_RDWR | c.O_NONBLOCK))
  }

  /** Takes over a descriptor that somebody else opened (fusermount3). */
  static adopt(fd: number): FuseDevice {
    return new FuseDevice(fd)
  }

  /**
   * Makes a mount of this connection that is not attached anywhere yet (fsmount(2)).
   * @returns its descriptor.
   */
  createMount(options: FuseMountOptions): number {
    const context = check(raw.fsopen(cstr('fuse'), FSOPEN_CLOEXEC), 'fsopen')
    try {
      const set = (key: string, value: string | Uint8Array) =>
        check(raw.fsconfig(context, FSCONFIG_SET_STRING, cstr(key), cstr(value), 0), 'fsconfig', key)
      const flag = (key: string) =>
        check(raw.fsconfig(context, FSCONFIG_SET_FLAG, cstr(key), null, 0), 'fsconfig', key)
      set('subtype', options.subtype)
      set('source', options.source)
      set('fd', String(this.fd))
      set('rootmode', options.rootMode.toString(8))
      set('user_id', '0')
      set('group_id', '0')
      if (options.allowOther) flag('allow_other')
      if (options.defaultPermissions) flag('default_permissions')
      const created = raw.fsconfig(context, FSCONFIG_CMD_CREATE, null, null, 0)
      // It is our own descriptor that the kernel does not take: what was opened is some other device.
      if (created === -Errno.EINVAL) throw new LinuxError(Errno.ENODEV, 'open', '/dev/fuse')
      check(created, 'fsconfig')
      return check(raw.fsmount(context, FSMOUNT_CLOEXEC, options.attributes), 'fsmount')
    } finally {
      close(context)
    }
  }

  /** One request into `buffer`. @returns its size; 0 if there is none now; a negative errno. */
  read(buffer: Buffer): number {
    const result = raw.read(this.fd, buffer, buffer.length)
    // ENOENT: the request was interrupted before it was read (fuse(4)); the next one may be there already.
    if (result === -Errno.EAGAIN || result === -Errno.EINTR || result === -Errno.ENOENT) return 0
    return result
  }

  /** One message made of parts. @returns 0 or a negative errno; ENOENT: nobody waits for it any more. */
  write(parts: readonly Uint8Array[]): number {
    const only = parts[0]
    if (parts.length === 1 && only !== undefined) {
      const result = raw.write(this.fd, only, only.length)
      return Math.min(result, 0)
    }
    if (parts.length > IOV_MAX) throw new LinuxError(Errno.EINVAL, 'writev')
    let count = 0
    for (const part of parts) {
      if (part.length === 0) continue
      this.#iovec[2 * count] = addressOf(part)
      this.#iovec[2 * count + 1] = BigInt(part.length)
      count++
    }
    const result = raw.writev(this.fd, this.#iovec, count)
    return Math.min(result, 0)
  }

  close(): void {
    close(this.fd)
  }
}
