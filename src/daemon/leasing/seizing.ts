/** X4: taking leases away by command. Who may is judged here, what happens then is the rules' business. */
import type { Credentials } from '../../control/control-fs.js'
import type { LeaseInfo } from '../../lease/index.js'
import { Errno } from '../../lib/errno.js'
import type { LeaseId } from '../../lib/ids.js'
import { failedWith, type LeaseService } from './lease-service.js'
import { maySeeLease } from './visibility.js'

/**
 * Revokes a lease for root or the owner of its file. With `kill`, its owners and the
 * processes with pins are killed, if the caller may kill(2) every one of them; else nobody is.
 */
export function revokeLease(
  service: LeaseService,
  caller: Credentials,
  id: LeaseId,
  kill: boolean,
): Errno | 0 {
  service.takeExits()
  const lease = service.rules.lease(id)
  if (lease === undefined || !maySeeLease(service, caller.uid, lease)) return Errno.ENOENT
  if (!mayRevoke(service, caller, lease)) return Errno.EPERM
  if (kill) {
    const victims = service.rules.victimsOf(id)
    if (!victims.every((victim) => service.processes.mayBeKilledBy(victim, caller))) return Errno.EPERM
  }
  return failedWith(service.step({ kind: 'revoke', lease: id, kill })) ?? 0
}

function mayRevoke(service: LeaseService, { uid }: Credentials, lease: LeaseInfo): boolean {
  return uid === 0 || uid === service.ownerOf(lease.file)
}

/**
 * Revokes every lease that `user` has taken, for that user or root. All or none, as an OFD releases its leases:
 * pins keep the one they are on, and so the others as well (EBUSY).
 */
export function releaseAll(service: LeaseService, caller: Credentials, user: number): Errno | 0 {
  if (caller.uid !== 0 && caller.uid !== user) return Errno.EPERM
  service.takeExits()
  const leases = [...service.rules.leases()].filter((lease) => Number(lease.user) === user)
  if (leases.some((lease) => lease.pinCount > 0)) return Errno.EBUSY
  for (const { id } of leases) service.step({ kind: 'revoke', lease: id, kill: false })
  return 0
}
