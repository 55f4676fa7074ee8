/**
 * Since Linux 6.14 an administrator may limit how old a FUSE request becomes (sysctl fs.fuse). The kernel does
 * not end such a request but the whole connection, so whatever waits must be answered well before.
 */
import type { LeasePolicy } from '../../lease/index.js'
import { readFileIfAny } from '../../linux/files.js'

const DIRECTORY = '/proc/sys/fs/fuse'

/** The limit in force for a new connection, in milliseconds; null if there is none. */
export function readRequestTimeoutMs(): number | null {
  const seconds = ['default_request_timeout', 'max_request_timeout']
    .map((name) => Number(readFileIfAny(`${DIRECTORY}/${name}`)?.toString('latin1') ?? 0))
    .filter((value) => value > 0)
  return seconds.length === 0 ? null : Math.min(...seconds) * 1000
}

/** A change waits at most for the break time; half the limit leaves room for a second one behind it. */
export function withinTimeout(policy: LeasePolicy, requestAgeMaxMs: number | null): LeasePolicy {
  if (requestAgeMaxMs === null) return policy
  return {
    ...policy,
    breakTimeMs: Math.max(1, Math.min(policy.breakTimeMs, Math.floor(requestAgeMaxMs / 2))),
  }
}
