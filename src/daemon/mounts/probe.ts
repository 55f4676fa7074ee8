/**
 * What this kernel's FUSE can do, found out by asking it: a mount that is thrown away at once. Root's is attached
 * nowhere, that of an ordinary user in the run directory.
 */
import { mkdtempSync, realpathSync, rmdirSync } from 'node:fs'
import { FuseSession } from '../../fuse/index.js'
import * as c from '../../linux/constants.js'
import { close } from '../../linux/files.js'
import { FuseDevice } from '../../linux/fuse-device.js'
import { needsFusermount, removeMount } from '../../linux/fusermount.js'
import { waitReadable } from '../../linux/poller.js'
import { DEFAULT_OPTIONS, type Features, featuresOf, wantedInit } from '../../passthrough/index.js'
import { runDirectory } from '../places/run-directory.js'
import { withRunLock } from '../places/run-lock.js'
import { mountAsUser } from './user-attachment.js'

const PATIENCE_MS = 2000

export interface FuseAbility {
  /** `7.45` */
  readonly protocol: string
  /** What there is of what Holdfast uses. */
  readonly features: Features
}

/** Throws a LinuxError, a FusermountError, KernelTooOldError or KernelLacksError where mounting is not possible; null if the kernel does not ask for INIT in time. */
export function probeFuse(): FuseAbility | null {
  if (needsFusermount()) return withRunLock(probeAsUser)
  const device = FuseDevice.open()
  try {
    const mountFd = device.createMount({
      subtype: 'holdfast-probe',
      source: Buffer.from('holdfast'),
      rootMode: c.S_IFDIR | 0o755,
      attributes: c.MOUNT_ATTR_NOSUID,
      allowOther: false,
      defaultPermissions: true,
    })
    try {
      return readInit(device)
    } finally {
      close(mountFd)
    }
  } finally {
    device.close()
  }
}

function probeAsUser(): FuseAbility | null {
  const directory = realpathSync(mkdtempSync(`${runDirectory()}/probe-`))
  try {
    const mountpoint = Buffer.from(directory)
    const { device } = mountAsUser({
      mountpoint,
      type: 'fuse.holdfast-probe',
      source: directory,
      attributes: 0,
    })
    try {
      return readInit(device)
    } finally {
      removeMount(mountpoint, { lazy: true })
      device.close()
    }
  } finally {
    rmdirSync(directory)
  }
}

/** INIT as a mount exchanges it. Throws what a mount is refused with. */
function readInit(device: FuseDevice): FuseAbility | null {
  const { without } = DEFAULT_OPTIONS
  const session = new FuseSession({
    transport: device,
    fileSystem: {},
    ...wantedInit(DEFAULT_OPTIONS),
    reportBug(error) {
      throw error
    },
  })
  if (waitReadable(device.fd, PATIENCE_MS)) session.receive()
  if (session.initError !== null) throw session.initError
  const { negotiated } = session
  if (negotiated === null) return null
  return { protocol: `7.${negotiated.minor}`, features: featuresOf(negotiated, without) }
}
