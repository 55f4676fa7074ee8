import { assert } from '../lib/assert.js'
import type { LeaseLevel, LeaseMode, LeaseState } from './types.js'

/**
 * What a lease is at the moment. There is one object for each combination, and all such leases share it: four
 * properties cost a lease the memory of one.
 */
export interface Standing {
  readonly mode: LeaseMode
  readonly level: LeaseLevel
  readonly state: LeaseState
  readonly notifyOnly: boolean
}

const MODES: readonly LeaseMode[] = ['read', 'write']
const LEVELS: readonly LeaseLevel[] = ['normal', 'exclusive']
const STATES: readonly LeaseState[] = ['active', 'breaking', 'zombie', 'revoked']
const STANDINGS: readonly Standing[] = MODES.flatMap((mode) =>
  LEVELS.flatMap((level) =>
    STATES.flatMap((state) => [false, true].map((notifyOnly) => ({ mode, level, state, notifyOnly }))),
  ),
)

export function standingOf(
  mode: LeaseMode,
  level: LeaseLevel,
  state: LeaseState,
  notifyOnly: boolean,
): Standing {
  const index =
    (mode === 'read' ? 0 : 16) + (level === 'normal' ? 0 : 8) + 2 * indexOf(state) + (notifyOnly ? 1 : 0)
  const standing = STANDINGS[index]
  assert(standing !== undefined, 'a lease has properties that do not exist')
  return standing
}

/** Every step asks for one: comparing is faster than looking up names. */
function indexOf(state: LeaseState): number {
  if (state === 'active') return 0
  if (state === 'breaking') return 1
  return state === 'zombie' ? 2 : 3
}
