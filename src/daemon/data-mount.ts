/**
 * One backing file or directory under Holdfast: the clone of the backing tree, the FUSE connection, and the
 * mount on top, with what it takes to find it, to attach it again and to remove it.
 */
import { createNotifier, FuseSession } from '../fuse/index.js'
import { assert } from '../lib/assert.js'
import * as c from '../linux/constants.js'
import { LinuxError } from '../linux/error.js'
import { close, open, statFd } from '../linux/files.js'
import { FuseDevice } from '../linux/fuse-device.js'
import { attach, cloneTree, type MountInfo, mountIdOf, readMounts, unmount } from '../linux/mounts.js'
import { waitReadable } from '../linux/poller.js'
import { readDescriptorPath } from '../linux/processes.js'
import { createPassthrough, type IoThreads, type Passthrough } from '../passthrough/index.js'
import type { Ioctls } from './ioctls.js'
import { LeaseGate } from './lease-gate.js'
import type { LeaseService } from './lease-service.js'

export interface DataMountOptions {
  readonly index: number
  /** O_PATH descriptor of the file or directory to put Holdfast over; the mount takes it over. */
  readonly targetFd: number
  /** Where to attach it; the same descriptor unless it is shown at another place. */
  readonly attachFd: number
  /** MOUNT_ATTR_* beyond those of the mount below. */
  readonly attributes: number
  readonly source: string
  readonly service: LeaseService
  readonly ioctls: Ioctls
  readonly io: IoThreads
  readonly passthrough: boolean
  readonly debug: ((line: string) => void) | undefined
  readonly reportBug: (error: unknown) => void
}

/** What the kernel appends to the path of a name that is gone. */
const DELETED = Buffer.from(' (deleted)')

/** Restrictions of the backing mount that the new one must have as well. */
function attributesOf(backing: MountInfo): number {
  const has = (option: string) => backing.options.includes(option)
  const isReadOnly = has('ro') || backing.superOptions.includes('ro')
  return (
    (isReadOnly ? c.MOUNT_ATTR_RDONLY : 0) |
    (has('nosuid') ? c.MOUNT_ATTR_NOSUID : 0) |
    (has('nodev') ? c.MOUNT_ATTR_NODEV : 0) |
    (has('noexec') ? c.MOUNT_ATTR_NOEXEC : 0)
  )
}

/** The kernel sends INIT by itself as soon as the mount is made. */
const INIT_PATIENCE_MS = 5000

export class DataMount {
  readonly index: number
  readonly device: FuseDevice
  readonly session: FuseSession
  readonly fileSystem: Passthrough
  readonly gate: LeaseGate
  readonly backingType: string
  /** Path of the mountpoint as it was last known. */
  #mountpoint: Buffer
  /** Where it was put at first. A name that was moved away may be back there when the moved one is gone. */
  readonly #givenPath: Buffer
  /** No program can reach it any more, and none ever will. */
  isGone = false
  readonly rootFd: number
  /** The backing file or directory as it was named, below the mount. */
  readonly targetFd: number
  #attachFd: number
  /** What leads to the mount below ours: `targetFd` and `#attachFd`, as long as they are open. */
  readonly #placeFds: Set<number>
  #mountId = -1
  /** A second, detached copy of our own mount, to attach when the first was pulled away. */
  #spareFd: number

  constructor(options: DataMountOptions) {
    this.index = options.index
    this.targetFd = options.targetFd
    this.#attachFd = options.attachFd
    this.#placeFds = new Set([options.targetFd, options.attachFd])
    const backingId = mountIdOf(options.targetFd)
    const backing = readMounts().find((mount) => mount.id === backingId)
    this.backingType = backing?.type ?? 'unknown'
    this.#mountpoint = readDescriptorPath('self', options.attachFd) ?? Buffer.from('?')
    this.#givenPath = this.#mountpoint
    this.rootFd = cloneTree(options.targetFd, '')
    this.device = FuseDevice.open()
    const notifier = createNotifier(this.device, options.debug)
    this.gate = new LeaseGate({
      service: options.service,
      ioctls: options.ioctls,
      index: options.index,
      notifier: () => notifier,
      mountpoint: () => this.mountpoint,
    })
    // An overlay below is a stack of its own; the kernel allows two levels in all.
    const maxStackDepth = this.backingType === 'overlay' ? 2 : 1
    this.fileSystem = createPassthrough({
      rootFd: this.rootFd,
      gate: this.gate,
      io: options.io,
      fuseFd: this.device.fd,
      options: { passthrough: options.passthrough, maxStackDepth, nowMs: () => performance.now() },
    })
    const wanted = this.fileSystem.wantedInit
    this.session = new FuseSession({
      transport: this.device,
      fileSystem: this.fileSystem,
      wantedFlags: wanted.flags,
      maxWrite: wanted.maxWriteBytes,
      ...(options.passthrough ? { maxStackDepth } : {}),
      reportBug: options.reportBug,
      ...(options.debug === undefined ? {} : { debug: options.debug }),
    })
    this.#spareFd = this.device.createMount({
      subtype: 'holdfast',
      source: Buffer.from(options.source),
      rootMode: statFd(options.targetFd).mode,
      attributes: options.attributes | (backing === undefined ? 0 : attributesOf(backing)),
      allowOther: true,
      defaultPermissions: true,
    })
    this.#negotiate()
  }

  /** INIT comes before the mount is attached: a kernel that is too old is found out while nobody sees it. */
  #negotiate(): void {
    const deadline = performance.now() + INIT_PATIENCE_MS
    while (this.session.negotiated === null && performance.now() < deadline) {
      if (waitReadable(this.device.fd, INIT_PATIENCE_MS)) this.session.receive()
      if (this.session.initError !== null) throw this.session.initError
    }
    assert(this.session.negotiated !== null, 'the kernel did not start the FUSE protocol')
  }

  /** Path of the mountpoint as the kernel has it now: renames above it are followed. */
  get mountpoint(): Buffer {
    const path = this.#attachFd < 0 ? null : readDescriptorPath('self', this.#attachFd)
    if (path !== null && !path.subarray(-DELETED.length).equals(DELETED)) this.#mountpoint = path
    return this.#mountpoint
  }

  get mountId(): number {
    return this.#mountId
  }

  /** Puts the mount in place, on top of the backing file wherever that is now. Throws a LinuxError. */
  attach(): void {
    this.#attachTo(this.#attachFd)
  }

  /**
   * Puts the mount back in place after somebody pulled it away. If the name it was on is gone, but another of
   * the same file has taken its place, it goes there.
   */
  attachAgain(): void {
    try {
      this.#attachTo(this.#attachFd)
    } catch (error) {
      const fd = this.#sameFileAt(this.#mountpoint) ?? this.#sameFileAt(this.#givenPath)
      if (fd === null) throw error
      close(this.#attachFd)
      this.#placeFds.delete(this.#attachFd)
      this.#placeFds.add(fd)
      this.#attachFd = fd
      this.#attachTo(fd)
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
    this.#mountId = mountIdOf(this.#spareFd)
    // A descriptor of the mount would keep it busy: only the detached copy is kept.
    close(this.#spareFd)
    this.#spareFd = spare
  }

  isAttached(mounts: readonly MountInfo[]): boolean {
    return mounts.some(({ id }) => id === this.#mountId)
  }

  /**
   * Removes the mount, also while files on it are open: those go on working, and the kernel says ENODEV on
   * the device when the last is closed.
   */
  detach(): void {
    const mount = readMounts().find(({ id }) => id === this.#mountId)
    try {
      if (mount !== undefined) unmount(mount.mountpoint, c.MNT_DETACH)
    } catch (error) {
      // Somebody else unmounted it in between; that is what was wanted.
      if (!(error instanceof LinuxError && error.code === 'EINVAL')) throw error
    } finally {
      this.dropSpare()
    }
  }

  /** False once it was given up to attach it again. */
  get canBeAttached(): boolean {
    return this.#spareFd >= 0
  }

  /**
   * Gives up attaching again: with the last open file the connection ends. Where the mount below was pulled away
   * together with ours (its mountpoint was removed in another mount namespace), ours hangs on it as long as a
   * descriptor leads there: so those go as well.
   */
  dropSpare(): void {
    if (this.#spareFd < 0) return
    this.#mountpoint = this.mountpoint
    for (const fd of [this.#spareFd, ...this.#placeFds]) close(fd)
    this.#placeFds.clear()
    this.#spareFd = -1
    this.#attachFd = -1
  }
}
