/**
 * What this kernel's FUSE can do, found out by asking it: a mount that is thrown away at once. Root's is attached
 * nowhere, that of an ordinary user in the run directory.
 */
import { mkdtempSync, realpathSync, rmdirSync } from 'node:fs'
import { INIT_FLAGS, structs } from '../fuse/index.js'
import * as c from '../linux/constants.js'
import { close } from '../linux/files.js'
import { FuseDevice } from '../linux/fuse-device.js'
import { needsFusermount, removeMount } from '../linux/fusermount.js'
import { waitReadable } from '../linux/poller.js'
import { runDirectory, withRunLock } from './registry.js'
import { mountAsUser } from './user-attachment.js'

const PATIENCE_MS = 2000

export interface FuseAbility {
  /** `7.45` */
  readonly protocol: string
  /** Reads, writes and mappings can go past the daemon. */
  readonly passthrough: boolean
  /** The kernel can be asked to send unanswered requests again after a crash. */
  readonly resend: boolean
}

/** Throws a LinuxError or a FusermountError where mounting is not possible; null if the kernel does not ask for INIT in time. */
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

function readInit(device: FuseDevice): FuseAbility | null {
  const buffer = Buffer.alloc(1 << 17)
  const length = waitReadable(device.fd, PATIENCE_MS) ? device.read(buffer) : 0
  const { initIn, inHeader } = structs
  if (length < inHeader.size + initIn.size) return null
  const init = initIn.decode(buffer, inHeader.size)
  const flags = BigInt(init.flags) | (BigInt(init.flags2) << 32n)
  return {
    protocol: `${init.major}.${init.minor}`,
    passthrough: (flags & INIT_FLAGS.FUSE_PASSTHROUGH) !== 0n,
    resend: (flags & INIT_FLAGS.FUSE_HAS_RESEND) !== 0n,
  }
}
