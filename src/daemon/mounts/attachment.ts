/** How a data mount comes to its place in the tree of mounts and leaves it again: by root, or by fusermount3. */
import { close } from '../../linux/files.js'
import type { FuseDevice } from '../../linux/fuse-device.js'
import { readMounts } from '../../linux/mounts.js'
import { readDescriptorPath } from '../../linux/processes.js'

export interface Attachment {
  readonly device: FuseDevice
  /** O_PATH descriptor of the backing file or directory, from which nothing leads through the mount. */
  readonly rootFd: number
  /** The id by which mountinfo lists the mount; -1 before it is attached. */
  readonly mountId: number
  readonly mountpoint: Mountpoint
  /** False once that was given up. */
  readonly canBeAttached: boolean
  /** Makes the mount visible, if it is not yet. */
  attach(): void
  /** Puts the mount back after somebody pulled it away. Throws if that is not possible. */
  attachAgain(): void
  /** Removes the mount, also while files on it are open: those go on working until the last is closed. */
  detach(): void
  /** Gives up attaching again: with the last open file the connection ends. */
  letGo(): void
}

/** What the kernel appends to the path of a name that is gone. */
const DELETED = Buffer.from(' (deleted)')

/** The directory or file that is mounted over, reached by descriptors that lead below the mount. */
export class Mountpoint {
  /** Where it was at first. A name that was moved away may be back there when the moved one is gone. */
  readonly givenPath: Buffer
  #path: Buffer
  #fd: number
  readonly #fds: Set<number>

  /** Takes over both descriptors: of what is served, and of where it is shown. */
  constructor(targetFd: number, attachFd: number) {
    this.#fd = attachFd
    this.#fds = new Set([targetFd, attachFd])
    this.#path = readDescriptorPath('self', attachFd) ?? Buffer.from('?')
    this.givenPath = this.#path
  }

  get fd(): number {
    return this.#fd
  }

  /** Its path as the kernel has it now: renames above it are followed. */
  get path(): Buffer {
    const path = this.#fd < 0 ? null : readDescriptorPath('self', this.#fd)
    if (path !== null && !path.subarray(-DELETED.length).equals(DELETED)) this.#path = path
    return this.#path
  }

  /** Another name of the same file has taken its place. */
  move(fd: number): void {
    close(this.#fd)
    this.#fds.delete(this.#fd)
    this.#fds.add(fd)
    this.#fd = fd
  }

  /**
   * Where the mount below was pulled away together with ours (its mountpoint was removed in another mount
   * namespace), ours hangs on it as long as a descriptor leads there.
   */
  letGo(): void {
    this.#path = this.path
    for (const fd of this.#fds) close(fd)
    this.#fds.clear()
    this.#fd = -1
  }
}

/** Takes away the mount with this id, wherever it is now, by `unmount`. Nothing is left to do if it is gone. */
export function removeById(mountId: number, unmount: (mountpoint: Buffer) => void): void {
  const find = () => readMounts().find(({ id }) => id === mountId)
  const mount = find()
  try {
    if (mount !== undefined) unmount(mount.mountpoint)
  } catch (error) {
    // Somebody else unmounted it in between; that is what was wanted.
    if (find() !== undefined) throw error
  }
}
