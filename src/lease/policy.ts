/** Limits and times of one mount (B1, B5, L9), and how they are checked. */
import type { LeasePolicy } from './types.js'

/** B1: no mount may make a breaker wait longer for one lease. */
export const MAX_BREAK_TIME_MS = 60_000

/**
 * B5: how long an owner that was killed may take to exit before its lease is revoked after all. It covers
 * owners that the engine may not kill, and processes stuck in the kernel.
 */
export const KILL_GRACE_MS = 1_000

/**
 * What a mount gets that asks for nothing. The maxima are per user: 100,000 leases cost less than 100 MB, so
 * one user cannot exhaust the engine, and no known program comes near them.
 */
export const DEFAULT_POLICY: LeasePolicy = {
  breakTimeMs: 10_000,
  leaseCountMax: 100_000,
  pinCountMax: 100_000,
  onTimeout: 'revoke',
}

/** Is this a policy the rules can work with? */
export function isPolicyValid(policy: LeasePolicy): boolean {
  return (
    isCount(policy.breakTimeMs) &&
    policy.breakTimeMs <= MAX_BREAK_TIME_MS &&
    isCount(policy.leaseCountMax) &&
    isCount(policy.pinCountMax)
  )
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
