/** Mounting, and reading what is mounted. Every function throws a LinuxError when the kernel refuses. */
import * as c from './constants.js'
import { check } from './error.js'
import { type Path, readFile } from './files.js'
import { cstr } from './libc.js'
import * as raw from './raw.js'

/** One line of /proc/PID/mountinfo (proc(5)). Paths are bytes. */
export interface MountInfo {
  readonly id: number
  readonly parent: number
  readonly major: number
  readonly minor: number
  /** The directory or file of the file system that is mounted here. */
  readonly root: Buffer
  readonly mountpoint: Buffer
  readonly options: readonly string[]
  readonly type: string
  readonly source: Buffer
  readonly superOptions: readonly string[]
}

/** mountinfo writes space, tab, newline and backslash as three octal digits. */
function unescapeField(field: string): Buffer {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
  return Buffer.from(bytes, 'latin1')
}

export function parseMountInfo(bytes: Buffer): MountInfo[] {
  const mounts: MountInfo[] = []
  for (const line of bytes.toString('latin1').split('\n')) {
    const fields = line.split(' ')
    const dash = fields.indexOf('-', 6)
    const [id, parent, device, root, mountpoint, options] = fields
    const [type, source, superOptions] = fields.slice(dash + 1)
    if (dash < 0 || device === undefined || type === undefined) continue
    const [major, minor] = device.split(':').map(Number)
    mounts.push({
      id: Number(id),
      parent: Number(parent),
      major: major ?? 0,
      minor: minor ?? 0,
      root: unescapeField(root ?? ''),
      mountpoint: unescapeField(mountpoint ?? ''),
      options: (options ?? '').split(','),
      type,
      source: unescapeField(source ?? ''),
      superOptions: (superOptions ?? '').split(','),
    })
  }
  return mounts
}

export function readMounts(pid: number | 'self' = 'self'): MountInfo[] {
  return parseMountInfo(readFile(`/proc/${pid}/mountinfo`))
}

export function unmount(target: Path, flags: number): void {
  check(raw.umount2(cstr(target), flags | c.UMOUNT_NOFOLLOW), 'umount2', target)
}

/**
 * A detached copy of the mount that shows `path`, reaching only what is below it (open_tree(2)). What is
 * mounted on top later does not show in it.
 */
export function cloneTree(dirfd: number, path: Path): number {
  const flags = c.OPEN_TREE_CLONE | c.OPEN_TREE_CLOEXEC | c.AT_EMPTY_PATH | c.AT_NO_AUTOMOUNT
  return check(raw.openTree(dirfd, cstr(path), flags), 'open_tree', path)
}

/** Attaches a detached mount on top of the file or directory behind `targetFd` (move_mount(2)). */
export function attach(treeFd: number, targetFd: number): void {
  const flags = c.MOVE_MOUNT_F_EMPTY_PATH | c.MOVE_MOUNT_T_EMPTY_PATH
  check(raw.moveMount(treeFd, cstr(''), targetFd, cstr(''), flags), 'move_mount')
}

/** The mount that a descriptor leads to. Asks no file system. */
export function mountOf(fd: number, mounts = readMounts()): MountInfo | undefined {
  const id = mountIdOf(fd)
  return mounts.find((mount) => mount.id === id)
}

/** The id by which mountinfo lists the mount that a descriptor leads to. Asks no file system. */
export function mountIdOf(fd: number): number {
  const text = readFile(`/proc/self/fdinfo/${fd}`).toString('latin1')
  return Number(/^mnt_id:\s*(\d+)/m.exec(text)?.[1] ?? -1)
}
