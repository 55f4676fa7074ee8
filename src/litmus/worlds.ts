/** The worlds that a run plays its scenarios in, and why one of them cannot be had here. */
import { modelWorld } from './model/index.js'
import { LitmusError } from './select.js'
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
  try {
    const { mountWorld } = await import('./mount/index.js')
    return await mountWorld({ passthrough })
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) }
  }
}

/** Mounts to compare the model with. @throws LitmusError if there are none. */
export async function randomWorlds(): Promise<{ maker: WorldMaker; passthrough: boolean }[]> {
  const worlds: { maker: WorldMaker; passthrough: boolean }[] = []
  for (const passthrough of [true, false]) {
    const maker = await mountMaker(passthrough)
    if ('missing' in maker) throw new LitmusError(`no mount to compare with: ${maker.missing}`)
    worlds.push({ maker, passthrough })
  }
  return worlds
}
