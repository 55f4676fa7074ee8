/**
 * A cgroup of the engine's own, so that killing the command's cgroup does not take the engine along and leave
 * the file at "Transport endpoint is not connected".
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { readMounts } from '../../linux/mounts.js'

/**
 * Moves this process into a cgroup of its own where there is a cgroup2 tree we may write to; elsewhere it
 * stays where it is.
 * @returns what to call before the process ends, to remove the cgroup again.
 */
export function enterOwnCgroup(name: string): () => void {
  const nothing = () => {}
  const root = readMounts()
    .find((mount) => mount.type === 'cgroup2')
    ?.mountpoint.toString()
  if (root === undefined) return nothing
  const directory = `${root}/${name}`
  try {
    mkdirSync(directory, { recursive: true })
    writeFileSync(`${directory}/cgroup.procs`, String(process.pid))
  } catch {
    // Not ours to change (a container, an ordinary user): everything works as before, but a kill of the whole
    // cgroup reaches us too. `holdfast doctor` says so.
    return nothing
  }
  return () => {
    try {
      writeFileSync(`${root}/cgroup.procs`, String(process.pid))
      // The supervisor is in it as well until it has seen us go.
      for (const pid of readFileSync(`${directory}/cgroup.procs`, 'latin1').split('\n').filter(Boolean)) {
        writeFileSync(`${root}/cgroup.procs`, pid)
      }
      rmdirSync(directory)
    } catch {
      // An empty cgroup that stays behind holds nothing; the next engine of this name uses it again.
    }
  }
}
