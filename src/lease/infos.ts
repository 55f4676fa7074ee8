/** Snapshots of leases and pins for events and reports. */
import type { Lease } from './lease.js'
import type { Pin } from './records.js'
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
    owners: lease.owners.keys(),
    pinCount: lease.pinCount,
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
