/** The mount as fusermount3 makes it for an ordinary user: in place at once, for this user alone, and only once. */
import { Errno } from '../../lib/errno.js'
import * as c from '../../linux/constants.js'
import { check, LinuxError, showPath } from '../../linux/error.js'
import type { FuseDevice } from '../../linux/fuse-device.js'
import { mountWithFusermount, removeMount } from '../../linux/fusermount.js'
import { type MountInfo, mountIdOf, readMounts } from '../../linux/mounts.js'
import * as raw from '../../linux/raw.js'
import { type Attachment, Mountpoint, removeById } from './attachment.js'
import type { AttachmentOptions } from './root-attachment.js'

/** Mounts and finds what was mounted. Throws a FusermountError. */
export function mountAsUser(options: {
  readonly mountpoint: Buffer
  /** `fuse.SUBTYPE` */
  readonly type: string
  readonly source: string
  readonly attributes: number
}): { device: FuseDevice; mount: MountInfo } {
  const { mountpoint, type, source, attributes } = options
  const subtype = type.slice('fuse.'.length)
  const device = mountWithFusermount({ mountpoint, subtype, source, attributes })
  // The last one is on top. The mountpoint is not asked: whoever asks waits for us.
  const mount = readMounts().findLast(
    (entry) =>
      entry.type === type && entry.source.toString() === source && entry.mountpoint.equals(mountpoint),
  )
  if (mount !== undefined) return { device, mount }
  device.close()
  throw new Error(`${showPath(mountpoint)} was unmounted at once`)
}

export class UserAttachment implements Attachment {
  readonly device: FuseDevice
  /**
   * Only root could clone the mount below. A descriptor from before the mount leads past it as well: what is
   * opened relative to it never goes up, nor through the name that is mounted over.
   */
  readonly rootFd: number
  readonly mountpoint: Mountpoint
  readonly mountId: number
  canBeAttached = true

  /** Throws a FusermountError. */
  constructor(options: AttachmentOptions, type: string) {
    const { targetFd, attachFd, source, attributes } = options
    this.mountpoint = new Mountpoint(targetFd, attachFd)
    this.rootFd = check(raw.fcntl(targetFd, c.F_DUPFD_CLOEXEC, 0), 'fcntl')
    const path = this.mountpoint.path
    const { device, mount } = mountAsUser({ mountpoint: path, type, source, attributes })
    this.device = device
    this.mountId = mount.id
    // fusermount3 takes a path, and somebody may have given that to something else since we opened it.
    if (mount.parent === mountIdOf(attachFd) && this.mountpoint.path.equals(path)) return
    this.detach()
    throw new LinuxError(Errno.ESTALE, 'mount', path)
  }

  attach(): void {}

  attachAgain(): void {
    throw new Error('what fusermount3 has mounted can be mounted only once')
  }

  detach(): void {
    try {
      removeById(this.mountId, (path) => removeMount(path, { lazy: true }))
    } finally {
      this.letGo()
    }
  }

  letGo(): void {
    if (!this.canBeAttached) return
    this.canBeAttached = false
    this.mountpoint.letGo()
  }
}
