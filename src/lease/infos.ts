/** Snapshots of leases and pins for events and reports. */
import type { ProcessKey } from '../lib/ids.js'
import type { Lease, Pin } from './records.js'
import { pinCountOf } from './records.js'
import type { LeaseInfo, PinInfo } from './types.js'

export function leaseInfo(lease: Lease): LeaseInfo {
  return {
    id: lease.id,
    file: lease.file.id,
    ofd: lease.ofd === null ? null : lease.ofd.id,
    user: lease.user,
    range: lease.range,
    mode: lease.mode,
    level: lease.level,
    state: lease.state,
    notifyOnly: lease.notifyOnly,
    owners: ownerKeys(lease),
    pinCount: pinCountOf(lease),
    takenAt: lease.takenAt,
    deadline: lease.leaseBreak === null ? null : lease.leaseBreak.deadline,
  }
}

export function pinInfo(pin: Pin): PinInfo {
  return {
    id: pin.id,
    lease: pin.lease.id,
    file: pin.lease.file.id,
    range: pin.range,
    holder: pin.holder,
    count: pin.count,
    user: pin.user,
  }
}

/** Nearly every lease has one owner, and a snapshot is taken for every event. */
function ownerKeys(lease: Lease): readonly ProcessKey[] {
  const [first] = lease.owners
  if (first !== undefined && lease.owners.length === 1) return [first.process.key]
  return lease.owners.map((owner) => owner.process.key)
}
