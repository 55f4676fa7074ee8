/** R1: everybody sees their own processes and files; root sees all. */
import type { LeaseInfo, PinInfo } from '../../lease/index.js'
import type { FileId } from '../../lib/ids.js'
import type { LeaseService, WaitingOperation } from './lease-service.js'

function maySeeFile(service: LeaseService, uid: number, file: FileId): boolean {
  return uid === 0 || service.ownerOf(file) === uid
}

export function maySeeLease(service: LeaseService, uid: number, lease: LeaseInfo): boolean {
  if (uid === Number(lease.user) || maySeeFile(service, uid, lease.file)) return true
  return lease.owners.some((owner) => service.processes.uidOf(owner) === uid)
}

export function maySeePin(service: LeaseService, uid: number, pin: PinInfo): boolean {
  if (uid === Number(pin.user) || maySeeFile(service, uid, pin.file)) return true
  return pin.holder.kind === 'process' && service.processes.uidOf(pin.holder.process) === uid
}

/** Also seen by those whose leases it may be waiting for: they are told of it by an event as well. */
export function maySeeWaiting(service: LeaseService, uid: number, waiting: WaitingOperation): boolean {
  if (maySeeFile(service, uid, waiting.file)) return true
  if (waiting.process !== null && service.processes.uidOf(waiting.process) === uid) return true
  for (const lease of service.rules.leasesOf(waiting.file)) if (maySeeLease(service, uid, lease)) return true
  return false
}
