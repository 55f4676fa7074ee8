/** `holdfast run`: puts a mount over each FILE, or joins the one that is there, and plans the rest. */
import {
  DATA_TYPE,
  type Engine,
  launcherFds,
  leaveLauncher,
  liveEngines,
  removeDead,
  withRunLock,
} from '../daemon/main.js'
import { Errno } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { LinuxError, showPath } from '../linux/error.js'
import { close, open, writeAll } from '../linux/files.js'
import { mountIdOf, readMounts } from '../linux/mounts.js'
import { readDescriptorPath, readStrings } from '../linux/processes.js'
import { pathBytes } from './arguments.js'
import { CommandError } from './errors.js'
import { createEngine, findWaysPast, isRegularFile, launcherPid, openTarget, serve } from './launching.js'
import { type HeldFile, runPlan } from './run-plan.js'

export interface RunOptions {
  readonly strict?: boolean | undefined
  readonly passthrough: boolean
  readonly debug?: string | undefined
}

interface Target {
  readonly fd: number
  readonly path: Buffer
  /** Control directory of the engine that has it under a mount already. */
  readonly control: string | null
}

export async function run(
  files: readonly string[],
  command: readonly string[],
  options: RunOptions,
): Promise<void> {
  const launcher = launcherPid()
  const environment = readStrings(launcher, 'environ')
  const usedFds = launcherFds(launcher)
  // Relative paths must be opened before we leave the caller's directory.
  removeDead()
  const targets = openTargets(files)
  leaveLauncher(launcher)
  const { engine, warnings } = withRunLock(() => prepare(targets, launcher, options))
  try {
    if (warnings.length > 0 && options.strict === true) {
      throw new CommandError(`${warnings.map((line) => line.replace(/^holdfast: /, '')).join('\nholdfast: ')}
holdfast: refused because of --strict`)
    }
    for (const line of warnings) writeAll(2, Buffer.from(`${line}\n`))
  } catch (error) {
    engine?.abandon()
    throw error
  }
  const held = targets.map((target): HeldFile => {
    const mount = engine?.mounts.find(({ targetFd }) => targetFd === target.fd)
    return {
      path: mount?.mountpoint ?? target.path,
      control: Buffer.from(target.control ?? engine?.control ?? ''),
    }
  })
  const plan = runPlan({
    files: held,
    environment,
    usedFds,
    isCommandAmbiguous: command[0]?.includes('=') ?? false,
  })
  if (engine !== null) return serve(engine, plan)
  writeAll(1, plan.bytes)
}

/** All or nothing: a FILE that cannot be opened fails the whole before anything is mounted. */
function openTargets(files: readonly string[]): Target[] {
  const targets: Target[] = []
  for (const file of files) {
    const fd = openTarget(pathBytes(file))
    const path = readDescriptorPath('self', fd) ?? pathBytes(file)
    if (!isRegularFile(fd)) {
      throw new CommandError(`${showPath(path)}: not a regular file; for a directory use 'holdfast mount'`)
    }
    targets.push({ fd, path, control: null })
  }
  return targets
}

/** Under the run lock: nobody else mounts or goes away between the look and the mount. */
function prepare(
  targets: Target[],
  launcher: number,
  options: RunOptions,
): { engine: Engine | null; warnings: string[] } {
  let engine: Engine | null = null
  const warnings: string[] = []
  const seen = new Map<string, Target>()
  try {
    for (const [index, target] of targets.entries()) {
      // The descriptor may lead below a mount that was put there since it was opened: look at the path anew.
      const control = controlOf(target.path)
      const same = seen.get(target.path.toString('latin1'))
      if (control !== null && same === undefined) {
        join(control, launcher)
        targets[index] = { ...target, control }
      }
      if (control !== null || same !== undefined) continue
      seen.set(target.path.toString('latin1'), target)
      engine ??= createEngine({ kind: 'run', ...options })
      const mount = engine.addMount(target.fd)
      warnings.push(...findWaysPast(mount.rootFd, target.path, engine.control))
    }
    if (engine !== null && !engine.expect(launcher)) throw new CommandError('the launcher has ended')
    return { engine, warnings }
  } catch (error) {
    engine?.abandon()
    throw error
  }
}

/** The control directory behind the Holdfast mount that shows this path; null if there is none. */
function controlOf(path: Buffer): string | null {
  let fd: number
  try {
    fd = open(path, c.O_PATH | c.O_NOFOLLOW)
  } catch (error) {
    if (error instanceof LinuxError && error.errno === Errno.ENOENT) return null
    throw error
  }
  try {
    const id = mountIdOf(fd)
    const mounts = readMounts()
    const mount = mounts.find((entry) => entry.id === id)
    if (mount?.type !== DATA_TYPE) return null
    const control = mount.source.toString()
    return liveEngines(mounts).includes(control) ? control : null
  } finally {
    close(fd)
  }
}

/** Asks a running engine to stay until this launcher has taken its lease. */
function join(control: string, launcher: number): void {
  const fd = open(`${control}/ctl`, c.O_WRONLY)
  try {
    writeAll(fd, Buffer.from(`expect ${launcher}\n`))
  } finally {
    close(fd)
  }
}
