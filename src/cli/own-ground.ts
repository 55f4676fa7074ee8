/** What Holdfast runs from itself must stay reachable: an engine that meets its own mount waits for itself. */
import { readFileSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { runDirectory } from '../daemon/main.js'
import { showPath } from '../linux/error.js'
import { needsFusermount } from '../linux/fusermount.js'
import { CommandError } from './errors.js'

/**
 * Files and directories that an engine, the supervisor that tidies up behind it, and the next holdfast command
 * use. Were they under a mount whose engine has died, nothing could remove that mount any more.
 */
function ownGround(): Buffer[] {
  const programs = ['/bin/sh', process.execPath, process.argv[1] ?? '/'].map((name) => {
    try {
      return realpathSync.native(name, 'buffer')
    } catch {
      return Buffer.from(name)
    }
  })
  const [, , main = Buffer.from('/')] = programs
  const checkout = dirname(dirname(main.toString('latin1')))
  const launcher = Buffer.from(`${checkout}/bin/holdfast`, 'latin1')
  const system = ['/proc/self', '/proc/sys/fs/fuse', '/dev/fuse', '/sys/fs/cgroup', runDirectory()]
  return [...programs, launcher, ...mappedFiles(), ...system.map((name) => Buffer.from(name))]
}

/** The libraries of this process, which are the shell's as well. */
function mappedFiles(): Buffer[] {
  const lines = readFileSync('/proc/self/maps', 'latin1').split('\n')
  const paths = lines
    .map((line) => /^(?:\S+ +){5}(\/.*)$/.exec(line)?.[1])
    .filter((path) => path !== undefined)
  return [...new Set(paths)].map((path) => Buffer.from(path, 'latin1'))
}

function isBelow(path: Buffer, directory: Buffer): boolean {
  const prefix = directory.equals(Buffer.from('/')) ? directory : Buffer.concat([directory, Buffer.from('/')])
  return path.subarray(0, prefix.length).equals(prefix)
}

/**
 * Root's engine sees the backing tree without what is mounted in it. An ordinary user's goes through such mounts, and
 * would wait for itself in its own.
 */
export function refuseOwnMounts(directory: Buffer, place: Buffer): void {
  if (!needsFusermount()) return
  const within = [place, Buffer.from(runDirectory())].find((path) => isBelow(path, directory))
  if (within === undefined) return
  throw new CommandError(
    `${showPath(directory)}: ${showPath(within)}, where Holdfast would mount, is inside of it: only root can do that; choose another directory`,
  )
}

/** Refuses to mount over this place, a directory or a file, if Holdfast itself stands on it. */
export function refuseOwnGround(place: Buffer): void {
  for (const used of ownGround()) {
    if (!used.equals(place) && !isBelow(used, place)) continue
    const what = used.equals(place) ? 'it' : showPath(used)
    throw new CommandError(
      `${showPath(place)}: Holdfast itself needs ${what} to run and to unmount: choose a directory or file beside it`,
    )
  }
}
