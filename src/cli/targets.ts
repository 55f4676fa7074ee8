/** The FILEs that a user names: opened by the name they have now, and found under the mounts that are there. */
import { DATA_TYPE, liveEngines } from '../daemon/main.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { LinuxError, showPath } from '../linux/error.js'
import { close, open } from '../linux/files.js'
import { mountOf } from '../linux/mounts.js'
import { readDescriptorPath } from '../linux/processes.js'
import { pathBytes } from './arguments.js'
import { CommandError } from './errors.js'
import { isRegularFile, openTarget } from './launching.js'

/** File systems whose files have no bytes of their own: the kernel makes them up while they are read. */
const WITHOUT_LAYOUT = new Set([
  'proc',
  'sysfs',
  'cgroup',
  'cgroup2',
  'debugfs',
  'tracefs',
  'securityfs',
  'bpf',
])

export interface Target {
  readonly fd: number
  readonly path: Buffer
  /** Control directory of the engine that has it under a mount already. */
  readonly control: string | null
}

/** All or nothing: a FILE that cannot be opened fails the whole before anything is mounted. */
export function openTargets(files: readonly string[]): Target[] {
  const targets: Target[] = []
  for (const file of files) {
    const fd = openTarget(pathBytes(file))
    const path = readDescriptorPath('self', fd) ?? pathBytes(file)
    if (!isRegularFile(fd)) {
      throw new CommandError(`${showPath(path)}: not a regular file; for a directory use 'holdfast mount'`)
    }
    const type = mountOf(fd)?.type ?? ''
    if (WITHOUT_LAYOUT.has(type)) {
      throw new CommandError(`${showPath(path)}: a file of ${type} has no blocks that could be held`)
    }
    targets.push({ fd, path, control: null })
  }
  return targets
}

/** The control directory behind the Holdfast mount that shows this path; null if there is none. */
export function controlOf(path: Buffer): string | null {
  let fd: number
  try {
    fd = open(path, c.O_PATH | c.O_NOFOLLOW)
  } catch (error) {
    if (error instanceof LinuxError && error.errno === Errno.ENOENT) return null
    throw error
  }
  try {
    const mount = mountOf(fd)
    if (mount?.type !== DATA_TYPE) return null
    const control = mount.source.toString()
    return liveEngines().includes(control) ? control : null
  } finally {
    close(fd)
  }
}
