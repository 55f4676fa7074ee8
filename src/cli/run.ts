/** `holdfast run`: puts a mount over each FILE, or joins the one that is there, and plans the rest. */
import { type Engine, launcherFds, leaveLauncher, removeDead, withRunLock } from '../daemon/main.js'
import * as c from '../linux/constants.js'
import { close, open, writeAll } from '../linux/files.js'
import { readStrings } from '../linux/processes.js'
import { CommandError } from './errors.js'
import {
  createEngine,
  findUnheard,
  findWaysPast,
  findWaysPastMount,
  type LaunchOptions,
  launcherPid,
  openDebugLog,
  parseCache,
  parseWithout,
  serve,
  tellLimits,
  tellWaysPast,
} from './launching.js'
import { refuseOwnGround } from './own-ground.js'
import { readReportIfAny } from './report.js'
import { type HeldFile, runPlan } from './run-plan.js'
import { controlOf, openTargets, type Target } from './targets.js'

export interface RunOptions {
  readonly strict?: boolean | undefined
  readonly passthrough: boolean
  readonly without?: string | undefined
  readonly debug?: string | undefined
  readonly cache?: string | undefined
}

export async function run(
  files: readonly string[],
  command: readonly string[],
  options: RunOptions,
): Promise<void> {
  const launcher = launcherPid()
  const without = parseWithout(options)
  const cache = parseCache(options.cache)
  const environment = readStrings(launcher, 'environ')
  const usedFds = launcherFds(launcher)
  // Relative paths must be opened before we leave the caller's directory.
  removeDead()
  const targets = openTargets(files)
  const debugFd = openDebugLog(options.debug)
  leaveLauncher(launcher)
  const { engine, warnings, unheard } = withRunLock(() =>
    prepare(targets, launcher, { without, cache, debugFd }, options),
  )
  try {
    tellWaysPast(warnings, options.strict === true)
    for (const line of unheard) writeAll(2, Buffer.from(`${line}\n`))
    const [first] = engine?.mounts ?? []
    if (engine !== null && first !== undefined) tellLimits(engine, first.mountpoint)
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
    request: (fd) => `hold ${fd}`,
    environment,
    usedFds,
    isCommandAmbiguous: command[0]?.includes('=') ?? false,
  })
  if (engine !== null) return serve(engine, plan)
  writeAll(1, plan.bytes)
}

/** Under the run lock: nobody else mounts or goes away between the look and the mount. */
function prepare(
  targets: Target[],
  launcher: number,
  options: Omit<LaunchOptions, 'kind'>,
  given: RunOptions,
): { engine: Engine | null; warnings: string[]; unheard: string[] } {
  let engine: Engine | null = null
  const warnings: string[] = []
  const unheard: string[] = []
  const seen = new Map<string, Target>()
  try {
    for (const [index, target] of targets.entries()) {
      // The descriptor may lead below a mount that was put there since it was opened: look at the path anew.
      const control = controlOf(target.path)
      const same = seen.get(target.path.toString('latin1'))
      if (control !== null && same === undefined) {
        join(control, launcher)
        unheard.push(...findUnheard(target.path, readReportIfAny(control), given))
        warnings.push(...findWaysPastMount(target.path, control))
        targets[index] = { ...target, control }
      }
      if (control !== null || same !== undefined) continue
      seen.set(target.path.toString('latin1'), target)
      refuseOwnGround(target.path)
      engine ??= createEngine({ kind: 'run', ...options })
      const mount = engine.addMount(target.fd)
      warnings.push(...findWaysPast(mount.rootFd, target.path, engine.control))
    }
    if (engine !== null && !engine.expect(launcher)) throw new CommandError('the launcher has ended')
    return { engine, warnings, unheard }
  } catch (error) {
    engine?.abandon()
    throw error
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
