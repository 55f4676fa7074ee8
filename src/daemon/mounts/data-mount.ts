/**
 * One backing file or directory under Holdfast: the FUSE connection, the file system that it serves, and the
 * mount on top (attachment.ts).
 */
import { createNotifier, FuseSession } from '../../fuse/index.js'
import { assert } from '../../lib/assert.js'
import * as c from '../../linux/constants.js'
import type { FuseDevice } from '../../linux/fuse-device.js'
import { needsFusermount } from '../../linux/fusermount.js'
import { type MountInfo, mountIdOf, readMounts } from '../../linux/mounts.js'
import { waitReadable } from '../../linux/poller.js'
import {
  CACHE_MODES,
  type CacheMode,
  createPassthrough,
  type Features,
  type IoThreads,
  type Passthrough,
} from '../../passthrough/index.js'
import type { Ioctls } from '../leasing/ioctls.js'
import { LeaseGate } from '../leasing/lease-gate.js'
import type { LeaseService } from '../leasing/lease-service.js'
import { DATA_TYPE } from '../places/registry.js'
import { NextLook } from '../process/next-look.js'
import type { Attachment } from './attachment.js'
import { type AttachmentOptions, RootAttachment } from './root-attachment.js'
import { UserAttachment } from './user-attachment.js'

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
  /** What of FUSE not to use although the kernel has it. */
  readonly without: Features
  readonly cache: CacheMode
  readonly debug: ((line: string) => void) | undefined
  readonly reportBug: (error: unknown) => void
}

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
  readonly session: FuseSession
  readonly fileSystem: Passthrough
  readonly gate: LeaseGate
  readonly backingType: string
  readonly nextLook = new NextLook()
  /** No program can reach it any more, and none ever will. */
  isGone = false
  /** The backing file or directory as it was named, below the mount. */
  readonly targetFd: number
  readonly #attachment: Attachment

  constructor(options: DataMountOptions) {
    this.index = options.index
    this.targetFd = options.targetFd
    const backingId = mountIdOf(options.targetFd)
    const backing = readMounts().find((mount) => mount.id === backingId)
    this.backingType = backing?.type ?? 'unknown'
    const place: AttachmentOptions = {
      targetFd: options.targetFd,
      attachFd: options.attachFd,
      source: options.source,
      attributes: options.attributes | (backing === undefined ? 0 : attributesOf(backing)),
    }
    this.#attachment = needsFusermount() ? new UserAttachment(place, DATA_TYPE) : new RootAttachment(place)
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
      options: {
        without: options.without,
        maxStackDepth,
        ...CACHE_MODES[options.cache],
        nowMs: () => performance.now(),
        wallMs: () => Date.now(),
      },
    })
    this.session = new FuseSession({
      transport: this.device,
      fileSystem: this.fileSystem,
      ...this.fileSystem.wantedInit,
      reportBug: options.reportBug,
      ...(options.debug === undefined ? {} : { debug: options.debug }),
    })
    try {
      this.#negotiate()
    } catch (error) {
      this.detach()
      throw error
    }
  }

  /** INIT comes before root's mount is attached: a kernel that is too old is found out while nobody sees it. */
  #negotiate(): void {
    const deadline = performance.now() + INIT_PATIENCE_MS
    while (this.session.negotiated === null && performance.now() < deadline) {
      if (waitReadable(this.device.fd, INIT_PATIENCE_MS)) this.session.receive()
      if (this.session.initError !== null) throw this.session.initError
    }
    assert(this.session.negotiated !== null, 'the kernel did not start the FUSE protocol')
  }

  get device(): FuseDevice {
    return this.#attachment.device
  }

  get rootFd(): number {
    return this.#attachment.rootFd
  }

  get mountpoint(): Buffer {
    return this.#attachment.mountpoint.path
  }

  get mountId(): number {
    return this.#attachment.mountId
  }

  attach(): void {
    this.#attachment.attach()
  }

  attachAgain(): void {
    this.#attachment.attachAgain()
  }

  isAttached(mounts: readonly MountInfo[]): boolean {
    return mounts.some(({ id }) => id === this.mountId)
  }

  /** The kernel says ENODEV on the device when the last open file on it is closed. */
  detach(): void {
    this.#attachment.detach()
  }

  get canBeAttached(): boolean {
    return this.#attachment.canBeAttached
  }

  dropSpare(): void {
    this.#attachment.letGo()
  }
}
