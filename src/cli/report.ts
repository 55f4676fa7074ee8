/** Reads what the engines report about themselves. */

import type { LeaseRecord, MountRecord, PinRecord, ReportRecord } from '../control/formats/records.js'
import { liveEngines } from '../daemon/main.js'
import { readFile } from '../linux/files.js'

/** The records of one engine, as far as this user may see them. */
export function readReport(control: string): ReportRecord[] {
  return readFile(`${control}/report`)
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ReportRecord)
}

export interface Report {
  readonly mounts: readonly MountRecord[]
  readonly leases: readonly LeaseRecord[]
  readonly pins: readonly PinRecord[]
}

/** Of all engines that live. */
export function readReports(): Report {
  const records = liveEngines().flatMap(readReport)
  return {
    mounts: records.filter((record) => record.type === 'mount'),
    leases: records.filter((record) => record.type === 'lease'),
    pins: records.filter((record) => record.type === 'pin'),
  }
}
