/**
 * The mount as root makes it: detached at first, so that nobody sees it before it works, and with a second copy to
 * attach when somebody pulls the first away.
 */
import * as c from '../../linux/constants.js'
import { close, open, statFd } from '../../linux/files.js'
import { FuseDevice } from '../../linux/fuse-device.js'
import { removeMount } from '../../linux/fusermount.js'
import { attach, cloneTree, mountIdOf } from '../../linux/mounts.js'
import { type Attachment, Mountpoint, removeById } from './attachment.js'

export interface AttachmentOptions {
  /** O_PATH descriptor of the file or directory to serve; it is taken over. */
  readonly targetFd: number
  /** Where to show it; the same descriptor if that is over itself. */
  readonly attachFd: number
  /** The control directory. */
  readonly source: string
  /** MOUNT_ATTR_* */
  readonly attributes: number
}

export class RootAttachment implements Attachment {
  readonly device: FuseDevice
  readonly rootFd: number
  readonly mountpoint: Mountpoint
  mountId = -1
  /** A second, detached copy of our own mount, to attach when the first was pulled away. */
  #spareFd: number

  /** Throws a LinuxError. */
  constructor(options: AttachmentOptions) {
    this.mountpoint = new Mountpoint(options.targetFd, options.attachFd)
    this.rootFd = cloneTree(options.targetFd, '')
    this.device = FuseDevice.open()
    this.#spareFd = this.device.createMount({
      subtype: 'holdfast',
      source: Buffer.from(options.source),
      rootMode: statFd(options.targetFd).mode,
      attributes: options.attributes,
      allowOther: true,
      defaultPermissions: true,
    })
  }

  /** Puts the mount in place, on top of the backing file wherever that is now. Throws a LinuxError. */
  attach(): void {
    this.#attachTo(this.mountpoint.fd)
  }

  /** If the name it was on is gone, but another of the same file has taken its place, it goes there. */
  attachAgain(): void {
    try {
      this.attach()
    } catch (error) {
      const fd = this.#sameFileAt(this.mountpoint.path) ?? this.#sameFileAt(this.mountpoint.givenPath)
      if (fd === null) throw error
      this.mountpoint.move(fd)
      this.attach()
    }
  }

  #sameFileAt(path: Buffer): number | null {
    let fd: number
    try {
      fd = open(path, c.O_PATH | c.O_NOFOLLOW)
    } catch {
      return null // Nothing has that name any more.
    }
    const [was, is] = [statFd(this.rootFd), statFd(fd)]
    if (was.ino === is.ino && was.devMajor === is.devMajor && was.devMinor === is.devMinor) return fd
    close(fd)
    return null
  }

  #attachTo(fd: number): void {
    const spare = cloneTree(this.#spareFd, '')
    try {
      attach(this.#spareFd, fd)
    } catch (error) {
      close(spare)
      throw error
    }
    this.mountId = mountIdOf(this.#spareFd)
    // A descriptor of the mount would keep it busy: only the detached copy is kept.
    close(this.#spareFd)
    this.#spareFd = spare
  }

  detach(): void {
    try {
      removeById(this.mountId, (path) => removeMount(path, { lazy: true }))
    } finally {
      this.letGo()
    }
  }

  get canBeAttached(): boolean {
    return this.#spareFd >= 0
  }

  letGo(): void {
    if (this.#spareFd < 0) return
    close(this.#spareFd)
    this.#spareFd = -1
    this.mountpoint.letGo()
  }
}
