/** Reads what the engines report about themselves. */

import type {
  LeaseRecord,
  MountRecord,
  PinRecord,
  ReportRecord,
  WaitingRecord,
} from '../control/formats/records.js'
import { liveEngines } from '../daemon/main.js'
import { LinuxError } from '../linux/error.js'
import { readFile } from '../linux/files.js'
import { findSilent, type SilentEngine } from './answering.js'

/** The records of one engine, as far as this user may see them. */
function readReport(control: string): ReportRecord[] {
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
  readonly waiting: readonly WaitingRecord[]
}

/** For whoever asks about something that no engine has. */
export const NOTHING: Report = { mounts: [], leases: [], pins: [], waiting: [] }

/** What a report fails with whose engine has ended since it was found, or that is not for us. */
const NOT_THERE = new Set(['ENOENT', 'ENOTCONN', 'ECONNABORTED', 'EACCES'])

/** Like `readReport`, but nothing if there is nothing for us. */
export function readReportIfAny(control: string): ReportRecord[] {
  try {
    return readReport(control)
  } catch (error) {
    if (error instanceof LinuxError && NOT_THERE.has(error.code)) return []
    throw error
  }
}

/** Of all engines that live, but for those that do not answer. */
export function readReports(): Report & { readonly silent: readonly SilentEngine[] } {
  const engines = liveEngines()
  const silent = findSilent(engines)
  const answering = engines.filter((engine) => !silent.some(({ control }) => control === engine))
  return { ...sorted(answering.flatMap(readReportIfAny)), silent }
}

/** Of one engine: ids of leases and pins are counted by each for itself. */
export function readReportOf(control: string): Report {
  return sorted(readReportIfAny(control))
}

function sorted(records: readonly ReportRecord[]): Report {
  return {
    mounts: records.filter((record) => record.type === 'mount'),
    leases: records.filter((record) => record.type === 'lease'),
    pins: records.filter((record) => record.type === 'pin'),
    waiting: records.filter((record) => record.type === 'waiting'),
  }
}
