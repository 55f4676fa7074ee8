/**
 * The rules about layout leases and pins (docs/SEMANTICS.md) as a state machine without I/O, clock or chance.
 *
 *     const rules = createLeaseRules(DEFAULT_POLICY)
 *     const { answer, effects } = rules.step({ kind: 'acquire', ... }, now)
 */
import { TableRules } from './step.js'
import type { LeasePolicy, LeaseRules } from './types.js'

export { DEFAULT_POLICY, KILL_GRACE_MS, MAX_BREAK_TIME_MS } from './policy.js'
export type * from './types.js'

/**
 * Rules for one mount, with no leases yet.
 * @param policy Throws an AssertionError if a number in it is negative, no integer, or above
 *   MAX_BREAK_TIME_MS; `set-policy` answers EINVAL for the same.
 */
export function createLeaseRules(policy: LeasePolicy): LeaseRules {
  return new TableRules(policy)
}
