/**
 * Processes as the rules know them: a key for each (pid, start time), so that a reused pid is a stranger.
 * Those that own a lease or a pin are watched through a pidfd until they end.
 */

import type { Credentials } from '../../control/control-fs.js'
import type { ProcessRecord } from '../../control/formats/records.js'
import type { OwnerSignal } from '../../lease/index.js'
import type { ProcessKey } from '../../lib/ids.js'
import { CAP_FOWNER, CAP_KILL } from '../../linux/constants.js'
import { close } from '../../linux/files.js'
import { ReadinessSet } from '../../linux/poller.js'
import {
  killProcess,
  openPidfd,
  type ProcessStatus,
  queueSignal,
  readNamespace,
  readStartTime,
  readStatus,
} from '../../linux/processes.js'

const FOWNER = 1n << BigInt(CAP_FOWNER)
const KILL = 1n << BigInt(CAP_KILL)
/** Names of processes that nobody watches are kept this long, for events that mention them. */
const REMEMBERED_MAX = 4096

/** Who made a request, read from /proc when it was made. */
export interface Caller {
  readonly key: ProcessKey
  readonly pid: number
  readonly parentPid: number
  readonly command: string
  /** CAP_FOWNER in our own user namespace (L8). */
  readonly mayOverrideOwner: boolean
  readonly credentials: Credentials
}

interface Entry {
  readonly pid: number
  readonly startTime: number
  command: string
  /** Real uid when it was last looked at. */
  uid: number
  pidfd: number | null
}

export class ProcessTable {
  readonly #entries = new Map<ProcessKey, Entry>()
  readonly #keys = new Map<string, ProcessKey>()
  readonly #byPidfd = new Map<number, ProcessKey>()
  readonly #exits = new ReadinessSet()
  readonly #userNamespace = readNamespace('self', 'user')
  #nextKey = 1

  /** Readable while the exit of a watched process waits to be taken by `takeExits`. */
  get exitFd(): number {
    return this.#exits.fd
  }

  /**
   * Resolves the thread of a request header.
   * @returns null for pid 0 (another pid namespace) and for one that is gone already.
   */
  identify(tid: number): Caller | null {
    if (tid === 0) return null
    const status = readStatus(tid)
    if (status === null || status.tgid === 0) return null
    return this.#caller(status)
  }

  #caller(status: ProcessStatus): Caller | null {
    const startTime = readStartTime(status.tgid)
    if (startTime === null) return null
    const [realUid = 0, uid = realUid] = status.uids
    const has = status.effectiveCapabilities & (FOWNER | KILL)
    // Capabilities in a user namespace of one's own are none over files and processes outside of it.
    const inOurs = has !== 0n && readNamespace(status.tgid, 'user') === this.#userNamespace
    return {
      key: this.#intern(status.tgid, startTime, status.command, realUid),
      pid: status.tgid,
      parentPid: status.parentPid,
      command: status.command,
      mayOverrideOwner: inOurs && (has & FOWNER) !== 0n,
      credentials: { uid, realUid, mayKillAll: inOurs && (has & KILL) !== 0n },
    }
  }

  #intern(pid: number, startTime: number, command: string, uid: number): ProcessKey {
    const name = `${pid}:${startTime}`
    const known = this.#keys.get(name)
    if (known !== undefined) {
      const entry = this.#entries.get(known)
      // exec and setuid change what it is called and whose it is, but not the process.
      if (entry !== undefined) Object.assign(entry, { command, uid })
      return known
    }
    const key = this.#nextKey++ as ProcessKey
    this.#remember(key, { pid, startTime, command, uid, pidfd: null })
    this.#forgetOldest()
    return key
  }

  #forgetOldest(): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size - this.#byPidfd.size <= REMEMBERED_MAX) return
      this.#forget(key, entry)
      // Not the oldest any more: else thousands that are watched would be passed over for each one that is not.
      if (entry.pidfd !== null) this.#remember(key, entry)
    }
  }

  #remember(key: ProcessKey, entry: Entry): void {
    this.#entries.set(key, entry)
    this.#keys.set(`${entry.pid}:${entry.startTime}`, key)
  }

  #forget(key: ProcessKey, entry: Entry): void {
    this.#entries.delete(key)
    this.#keys.delete(`${entry.pid}:${entry.startTime}`)
  }

  /** Watches a process for its end. @returns false if it has ended already. */
  watch(key: ProcessKey): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return false
    if (entry.pidfd !== null) return true
    const pidfd = openPidfd(entry.pid)
    if (pidfd === null) return false
    if (readStartTime(entry.pid) !== entry.startTime) {
      close(pidfd)
      return false
    }
    try {
      this.#exits.add(pidfd)
    } catch (error) {
      close(pidfd)
      throw error
    }
    entry.pidfd = pidfd
    this.#byPidfd.set(pidfd, key)
    return true
  }

  unwatch(key: ProcessKey): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.pidfd === null) return
    this.#exits.remove(entry.pidfd)
    this.#byPidfd.delete(entry.pidfd)
    close(entry.pidfd)
    entry.pidfd = null
  }

  /** Keys of watched processes that have ended since the last call. They are no longer watched. */
  takeExits(): ProcessKey[] {
    const ended: ProcessKey[] = []
    if (this.#byPidfd.size === 0) return ended
    for (;;) {
      const ready = this.#exits.ready()
      if (ready.length === 0) return ended
      for (const pidfd of ready) {
        const key = this.#byPidfd.get(pidfd)
        if (key === undefined) continue
        this.#rememberName(key)
        this.unwatch(key)
        ended.push(key)
      }
    }
  }

  /** It may have executed something else since it was last looked at. As long as nobody has waited for it, it has a name. */
  #rememberName(key: ProcessKey): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || readStartTime(entry.pid) !== entry.startTime) return
    const command = this.#look(entry)?.command
    if (command !== undefined) entry.command = command
  }

  get watchedCount(): number {
    return this.#byPidfd.size
  }

  /** For reports: the command is read again where the process lives, since exec changes it. */
  describe(key: ProcessKey | null): ProcessRecord {
    const entry = key === null ? undefined : this.#entries.get(key)
    if (entry === undefined) return { pid: 0, command: '?' }
    return { pid: entry.pid, command: this.#look(entry)?.command ?? entry.command }
  }

  /** Of a process that is watched. Between its end and the report of that, its pid may be another's. */
  #look(entry: Entry): ProcessStatus | null {
    return entry.pidfd === null ? null : readStatus(entry.pid)
  }

  /**
   * L5: sends a watched process the signal that it was registered for, if whoever registered it could do so now.
   * Who sends is the engine, on behalf of that user: so it says the engine's pid and the user's uid.
   * @returns whether it was sent. That it was not is no failure: there are other ways to be told.
   */
  signal(key: ProcessKey, { signo, value, registrar, registrarRealUid, mayKillAll }: OwnerSignal): boolean {
    const uid = Number(registrar)
    const realUid = Number(registrarRealUid ?? registrar)
    if (!this.mayBeKilledBy(key, { uid, realUid, mayKillAll: mayKillAll === true })) return false
    const pidfd = this.#entries.get(key)?.pidfd ?? null
    if (pidfd === null) return false
    return queueSignal(pidfd, signo, { value, senderPid: process.pid, senderUid: realUid }) === 0
  }

  /** SIGKILL to a watched process, as far as the engine may. */
  kill(key: ProcessKey): boolean {
    const pidfd = this.#entries.get(key)?.pidfd ?? null
    return pidfd !== null && killProcess(pidfd) === 0
  }

  /** kill(2)'s rule, asked for somebody else: their real or effective user is the target's real or saved one. */
  mayBeKilledBy(key: ProcessKey, { uid, realUid, mayKillAll }: Credentials): boolean {
    if (mayKillAll) return true
    const entry = this.#entries.get(key)
    const status = entry === undefined ? null : this.#look(entry)
    if (status === null) return false
    const [real, , saved] = status.uids
    return [uid, realUid].some((sender) => sender === real || sender === saved)
  }

  uidOf(key: ProcessKey): number | null {
    return this.#entries.get(key)?.uid ?? null
  }

  pidOf(key: ProcessKey): number | null {
    return this.#entries.get(key)?.pid ?? null
  }
}
