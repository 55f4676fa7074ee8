/** The mount of a control directory: a small FUSE connection of its own beside those of the data. */
import { realpathSync } from 'node:fs'
import { type ControlFs, type ControlSource, createControlFs } from '../../control/control-fs.js'
import { createNotifier, FuseSession, INIT_FLAGS } from '../../fuse/index.js'
import * as c from '../../linux/constants.js'
import { close, open } from '../../linux/files.js'
import { FuseDevice } from '../../linux/fuse-device.js'
import { needsFusermount, removeMount } from '../../linux/fusermount.js'
import { attach, mountIdOf } from '../../linux/mounts.js'
import { waitReadable } from '../../linux/poller.js'
import { CONTROL_TYPE } from '../places/registry.js'
import { removeById } from './attachment.js'
import { mountAsUser } from './user-attachment.js'

export interface ControlMountOptions {
  /** The control directory, which is the mountpoint and the source. */
  readonly directory: string
  readonly source: ControlSource
  readonly reportBug: (error: unknown) => void
  readonly debug: ((line: string) => void) | undefined
}

/** Threads that wait for an answer at the same time; closes, which nobody waits for, come on top. */
const CALLERS_MAX = 256

/** How long whoever still has a control file open may take to notice that the engine ends. */
const LAST_READERS_MS = 500

const ATTRIBUTES = c.MOUNT_ATTR_NOSUID | c.MOUNT_ATTR_NODEV | c.MOUNT_ATTR_NOEXEC

interface Mounted {
  readonly device: FuseDevice
  readonly mountId: number
}

function mountControl(directory: string): Mounted {
  const device = FuseDevice.open()
  const mountFd = device.createMount({
    subtype: CONTROL_TYPE.slice('fuse.'.length),
    source: Buffer.from(directory),
    rootMode: c.S_IFDIR | 0o755,
    attributes: ATTRIBUTES,
    allowOther: true,
    defaultPermissions: true,
  })
  const target = open(directory, c.O_PATH | c.O_DIRECTORY)
  try {
    attach(mountFd, target)
    return { device, mountId: mountIdOf(mountFd) }
  } finally {
    close(target)
    close(mountFd)
  }
}

function mountControlAsUser(directory: string): Mounted {
  const mountpoint = Buffer.from(realpathSync(directory))
  const { device, mount } = mountAsUser({
    mountpoint,
    type: CONTROL_TYPE,
    source: directory,
    attributes: ATTRIBUTES,
  })
  return { device, mountId: mount.id }
}

export class ControlMount {
  /** mnt_id: descriptors of control files are found by it. */
  readonly mountId: number
  readonly #device: FuseDevice
  readonly #session: FuseSession
  readonly #fileSystem: ControlFs
  #isReceiving = false

  /** Mounts it. Throws a LinuxError. */
  constructor(options: ControlMountOptions) {
    const { device, mountId } = needsFusermount()
      ? mountControlAsUser(options.directory)
      : mountControl(options.directory)
    this.#device = device
    this.mountId = mountId
    const notifier = createNotifier(this.#device, options.debug)
    this.#fileSystem = createControlFs(options.source, () => notifier)
    this.#session = new FuseSession({
      transport: this.#device,
      fileSystem: this.#fileSystem,
      wantedFlags: INIT_FLAGS.FUSE_ATOMIC_O_TRUNC | INIT_FLAGS.FUSE_MAX_PAGES | INIT_FLAGS.FUSE_ABORT_ERROR,
      reportBug: options.reportBug,
      ...(options.debug === undefined ? {} : { debug: options.debug }),
    })
  }

  /** Readable when `receive` has something to do. */
  get fd(): number {
    return this.#device.fd
  }

  /**
   * How many requests can have been waiting when one begins to look: whoever reads the control files without a
   * pause would otherwise keep an engine that takes in "all there is" from everything else.
   */
  get waitingCountMax(): number {
    return this.#fileSystem.openCount + CALLERS_MAX
  }

  /** Within a request of its own it does nothing: those are in order already. */
  receive(): 'handled' | 'idle' | 'unmounted' {
    if (this.#isReceiving) return 'idle'
    this.#isReceiving = true
    try {
      return this.#session.receive()
    } finally {
      this.#isReceiving = false
    }
  }

  refreshReaders(): void {
    this.#fileSystem.refreshReaders()
  }

  /**
   * Takes the mount away. Readers of events get the end of the stream if it was closed before; the kernel says
   * when the last of them has noticed.
   */
  remove(): void {
    try {
      removeById(this.mountId, (path) => removeMount(path, { lazy: true }))
    } finally {
      this.#serveLastReaders()
      this.#device.close()
    }
  }

  #serveLastReaders(): void {
    const deadline = performance.now() + LAST_READERS_MS
    while (performance.now() < deadline) {
      if (waitReadable(this.fd, LAST_READERS_MS) && this.receive() === 'unmounted') return
    }
  }
}
