/** `holdfast revoke`: takes a lease away from its owners, through the control directory of its engine. */
import type { LeaseRecord, ProcessRecord } from '../control/formats/records.js'
import { liveEngines } from '../daemon/main.js'
import { errnoMessage } from '../lib/errno.js'
import * as c from '../linux/constants.js'
import { showPath } from '../linux/error.js'
import { close, open, readAll } from '../linux/files.js'
import { waitReadable } from '../linux/poller.js'
import { openPidfd } from '../linux/processes.js'
import * as raw from '../linux/raw.js'
import { explainSilent, findSilent } from './answering.js'
import { CommandError } from './errors.js'
import { holderOf, resolve } from './listings.js'
import { print } from './output.js'
import { type Report, readReportOf } from './report.js'
import { controlOf } from './targets.js'

export interface RevokeOptions {
  readonly kill?: boolean | undefined
}

/** How long those who were killed may take to end before the command says that they have not. */
const END_PATIENCE_MS = 5000

/** @param path picks the mount where several have a lease of that number. */
export function revoke(id: string, path: string | undefined, options: RevokeOptions): void {
  if (!/^[1-9]\d{0,14}$/.test(id)) throw new CommandError(`${id}: not a lease id`, 2)
  const { control, lease, report } = find(Number(id), path)
  const isKill = options.kill === true
  const watched = isKill ? victimsOf(lease, report).map(({ pid }) => openPidfd(pid)) : []
  const answer = command(control, `revoke ${lease.id}${isKill ? ' kill' : ''}`)
  if (answer.errno !== 0) {
    throw new CommandError(`lease ${lease.id} on ${lease.file}: ${answer.reason}`)
  }
  const deadline = performance.now() + END_PATIENCE_MS
  const alive = watched.filter(
    (pidfd) => pidfd !== null && !waitReadable(pidfd, Math.max(0, deadline - performance.now())),
  )
  if (alive.length > 0) {
    throw new CommandError(
      `lease ${lease.id} on ${lease.file}: its owners are killed, but ${alive.length} of them have not ended yet`,
    )
  }
  print(`lease ${lease.id} on ${lease.file}: revoked${isKill ? ', its owners are killed' : ''}`)
}

interface Found {
  readonly control: string
  readonly lease: LeaseRecord
  readonly report: Report
}

function find(id: number, path: string | undefined): Found {
  const engines = path === undefined ? liveEngines() : [engineOf(path)]
  for (const silent of findSilent(engines)) {
    throw new CommandError(
      `${explainSilent(silent)}; for a lease ${id} elsewhere, name the file too: 'holdfast revoke ${id} FILE'`,
    )
  }
  const found: Found[] = []
  for (const control of engines) {
    const report = readReportOf(control)
    const lease = report.leases.find((one) => one.id === id)
    if (lease !== undefined) found.push({ control, lease, report })
  }
  const [only, another] = found
  if (only === undefined) {
    throw new CommandError(
      `lease ${id}: there is none with this number that you may see; 'holdfast leases' lists them`,
    )
  }
  if (another === undefined) return only
  const files = found.map(({ lease }) => lease.file).join(', ')
  throw new CommandError(
    `lease ${id}: there is one on each of ${files}; name the file too: 'holdfast revoke ${id} ${only.lease.file}'`,
  )
}

function engineOf(path: string): string {
  const resolved = resolve(path)
  const control = controlOf(resolved)
  if (control !== null) return control
  throw new CommandError(`${showPath(resolved)}: not under a Holdfast mount`)
}

/** Whom the engine will kill, as far as we know: to wait for their end. */
function victimsOf(lease: LeaseRecord, report: Report): ProcessRecord[] {
  const pins = report.pins.filter((pin) => pin.lease === lease.id && pin.holder.kind === 'process')
  return [...lease.owners, ...pins.map(holderOf)]
}

/** Writes one line to a control file `ctl`. Its own answer has the reason, the errno of the write only the kind. */
function command(control: string, line: string): { readonly errno: number; readonly reason: string } {
  const fd = open(`${control}/ctl`, c.O_RDWR)
  try {
    const bytes = Buffer.from(`${line}\n`)
    const result = raw.write(fd, bytes, bytes.length)
    if (result >= 0) return { errno: 0, reason: '' }
    const [, reason = errnoMessage(-result)] = /^E\w+ (.*)$/.exec(readAll(fd).toString().trim()) ?? []
    return { errno: -result, reason }
  } finally {
    close(fd)
  }
}
