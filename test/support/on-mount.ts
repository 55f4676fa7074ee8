/**
 * Runs a Python program of test/programs beside a plain directory and a mount of its twin, on a fresh file system
 * in a mount namespace of its own; see on-mount.sh. The test process touches neither.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { holdfastServer, inPlace, makeWork, PLAIN_ENVIRONMENT } from './place.js'
import { HOLDFAST } from './programs.js'

export { holdfastServer }

const SUPPORT = import.meta.dirname
const PROGRAMS = path.join(SUPPORT, '..', 'programs')

export const FILE_SYSTEMS = ['ext4', 'xfs', 'btrfs', 'tmpfs', 'overlay'] as const
export type FileSystemKind = (typeof FILE_SYSTEMS)[number]

/** Whoever serves the mount: a command that gets the directory and the mountpoint as its last arguments. */
export type Server = readonly string[]

/** The plain passthrough of `src/passthrough`, without leases. */
export function plainServer(kind: FileSystemKind, ...options: string[]): Server {
  const stack = kind === 'overlay' ? ['--stack-depth', '2'] : []
  return [process.execPath, path.join(SUPPORT, 'serve-plain.js'), ...stack, ...options]
}

export interface OnMountOptions {
  readonly kind: FileSystemKind
  readonly server: Server
  /** Given to `sh -c`; finds $FILE_SYSTEM, $PLAIN, $BACKING, $MOUNT, $PROGRAMS and $HOLDFAST. */
  readonly script: string
  readonly sizeMib?: number
  readonly mkfsOptions?: string
  readonly timeoutS?: number
  /** Mount over the served directory itself; $BACKING is then a bind mount that was made before. */
  readonly overItself?: boolean
}

/** @returns what the script printed, line by line. Throws, quoting everything, if it or the mount failed. */
export function onMount(options: OnMountOptions): string[] {
  const work = makeWork('hf-plain-')
  const timeoutS = options.timeoutS ?? 100
  const [program = '', ...argv] = inPlace(work, options.kind, options.server, ['sh', '-c', options.script])
  try {
    const done = spawnSync(program, argv, {
      env: {
        ...PLAIN_ENVIRONMENT,
        PROGRAMS,
        HOLDFAST,
        OVER_ITSELF: options.overItself === true ? '1' : '',
        TIMEOUT_S: String(timeoutS),
        SIZE_MIB: String(options.sizeMib ?? 400),
        MKFS_OPTIONS: options.mkfsOptions ?? '',
      },
      encoding: 'latin1',
      timeout: (timeoutS + 30) * 1000,
      maxBuffer: 1 << 24,
    })
    if (done.status !== 0) {
      throw new Error(`ended with ${done.status ?? done.signal}:\n${done.stdout}\n${done.stderr}`)
    }
    return done.stdout.split('\n').filter((line) => line !== '')
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
