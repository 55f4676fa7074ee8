/** The worlds that a run plays its scenarios in, and why one of them cannot be had here. */
import { modelWorld } from './model/index.js'
import type { WorldMaker } from './world.js'

export interface Stage {
  /** A column of the table. */
  readonly title: string
  /** Or why nothing is measured there. */
  readonly maker: WorldMaker | { readonly missing: string }
  /** How long what happens by itself may take there. */
  readonly patienceMs: number
}

const MOUNT_PATIENCE_MS = 5_000

export function modelStage(): Stage {
  return { title: 'model', maker: modelWorld(), patienceMs: 0 }
}

/** Loaded only when it is wanted: it starts processes and mounts, and knows libc. */
export async function mountStages(): Promise<Stage[]> {
  const stages: Stage[] = []
  for (const passthrough of [true, false]) {
    const title = passthrough ? 'mount' : 'without passthrough'
    stages.push({ title, maker: await mountMaker(passthrough), patienceMs: MOUNT_PATIENCE_MS })
  }
  return stages
}

async function mountMaker(passthrough: boolean): Promise<Stage['maker']> {
  if (process.getuid?.() !== 0) return { missing: 'mounting needs root' }
  // A name that is not known to the compiler: the module may not be there.
  const module = './mount/index.js'
  try {
    const loaded: unknown = await import(module)
    if (!hasMountWorld(loaded)) return { missing: 'this build has no mount world' }
    return await loaded.mountWorld({ passthrough })
  } catch (error) {
    if (isNotFound(error)) return { missing: 'this build has no mount world' }
    return { missing: error instanceof Error ? error.message : String(error) }
  }
}

interface MountModule {
  mountWorld(options: { passthrough: boolean }): Promise<WorldMaker>
}

function hasMountWorld(loaded: unknown): loaded is MountModule {
  return typeof loaded === 'object' && loaded !== null && 'mountWorld' in loaded
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
}
