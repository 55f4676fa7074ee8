/**
 * Who a thread is towards the backing file system.
 *
 * Permission is the kernel's business (`default_permissions`): before a request reaches us it has been checked
 * against the caller. What we do for callers therefore needs no permission checks of its own, and the thread
 * keeps its capabilities. But a new file belongs to somebody, inherits groups and loses mode bits depending on
 * who makes it; a file that is written loses its setgid bit depending on the writer's groups; and ext4 lends reserved
 * blocks to whoever has fsuid 0, CAP_SYS_RESOURCE, or a group of the administrator's choice. So the thread takes on the
 * ids of the caller where they matter, and never has CAP_SYS_RESOURCE. CAP_FSETID, which keeps setuid bits alive
 * through writes and truncations, is raised only around single calls.
 *
 * The ids stay until somebody else's are needed: one user's work switches once. Everything here is per thread
 * (raw system calls), but for the umask, which is the whole process's.
 */
import { CAP_FSETID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../../linux/constants.js'
import { check } from '../../linux/error.js'
import { readNamespace, readStatus } from '../../linux/processes.js'
import * as raw from '../../linux/raw.js'
import type { Features } from '../features.js'

const CAPABILITY_VERSION_3 = 0x20080522

/** Capabilities of the calling thread, as capget(2) lays them out. */
class ThreadCapabilities {
  private readonly header = Buffer.alloc(8)
  private readonly data = Buffer.alloc(24)
  private readonly effectiveLow: number

  constructor(withoutMask: number) {
    this.header.writeUInt32LE(CAPABILITY_VERSION_3, 0)
    check(raw.capget(this.header, this.data), 'capget')
    this.effectiveLow = (this.data.readUInt32LE(0) & ~withoutMask) >>> 0
  }

  /** Makes the kept capabilities effective again, but for `without`, and `extra` where it is permitted. */
  apply({ extra = 0, without = 0 }: { readonly extra?: number; readonly without?: number } = {}): void {
    const permittedLow = this.data.readUInt32LE(4)
    this.data.writeUInt32LE(((this.effectiveLow & ~without) | (extra & permittedLow)) >>> 0, 0)
    check(raw.capset(this.header, this.data), 'capset')
  }
}

/** Whoever something is done for. */
export interface Caller {
  readonly uid: number
  readonly gid: number
}

export class Identity {
  /** An ordinary user's daemon serves that user only: it has nobody else to become. */
  private readonly isPrivileged: boolean
  private readonly capabilities: ThreadCapabilities | null
  private readonly groupBytes = Buffer.alloc(4)
  private uid: number
  private gid: number
  /** The only supplementary group, -1 for none. */
  private group = -1
  private umask = -1
  /** The umask that the process had before it took on somebody else's. */
  private daemonUmask = -1

  constructor() {
    this.uid = process.geteuid?.() ?? 0
    this.gid = process.getegid?.() ?? 0
    this.isPrivileged = this.uid === 0
    if (this.isPrivileged) {
      // A thread begins with the ids of the one that started it, which may just have been somebody else.
      raw.setfsgid(this.gid)
      raw.setfsuid(this.uid)
    }
    this.capabilities = this.isPrivileged
      ? new ThreadCapabilities((1 << CAP_FSETID) | (1 << CAP_SYS_RESOURCE))
      : null
    if (this.isPrivileged) check(raw.setgroups(0, null), 'setgroups')
    this.capabilities?.apply()
  }

  /**
   * Takes on the ids of whoever something is done for: all of them, since one that is left from somebody else would
   * decide whose bits stay and whose blocks are taken.
   * @param group the only supplementary group, null for none; it decides whether a new file may have the setgid bit.
   */
  become({ uid, gid }: Caller, group: number | null = null): void {
    if (!this.isPrivileged) return
    if (gid !== this.gid) {
      raw.setfsgid(gid)
      this.gid = gid
    }
    const wanted = group ?? -1
    if (wanted !== this.group) {
      if (wanted >= 0) this.groupBytes.writeUInt32LE(wanted, 0)
      check(raw.setgroups(wanted < 0 ? 0 : 1, this.groupBytes), 'setgroups')
      this.group = wanted
    }
    if (uid === this.uid) return
    raw.setfsuid(uid)
    this.uid = uid
    // The kernel lowers file capabilities when fsuid leaves 0, and raises them all when it returns.
    this.capabilities?.apply()
  }

  /** Back to what the process is, before anything outside of the backing file system is made. */
  becomeDaemon(): void {
    this.become({ uid: 0, gid: 0 })
    if (this.daemonUmask >= 0) this.setUmask(this.daemonUmask)
  }

  /** The umask for what is created next. */
  setUmask(umask: number): void {
    if (umask === this.umask) return
    const before = raw.umask(umask)
    if (this.daemonUmask < 0) this.daemonUmask = before
    this.umask = umask
  }

  /** Runs `action` with the right to set and to keep setuid and setgid bits, as callers with CAP_FSETID have. */
  keepingSetid<T>(action: () => T): T {
    return this.withChanged({ extra: 1 << CAP_FSETID }, action)
  }

  /** Runs `action` without the right to see what only administrators may. */
  asNoAdministrator<T>(action: () => T): T {
    return this.withChanged({ without: 1 << CAP_SYS_ADMIN }, action)
  }

  private withChanged<T>(change: Parameters<ThreadCapabilities['apply']>[0], action: () => T): T {
    this.capabilities?.apply(change)
    try {
      return action()
    } finally {
      this.capabilities?.apply()
    }
  }
}

let mine: Identity | null = null

/** The identity of the calling thread: there is one, however many file systems it serves. */
export function threadIdentity(): Identity {
  mine ??= new Identity()
  return mine
}

/**
 * Is the caller in this group, apart from its own gid? Only for kernels that do not say it in the request
 * (FUSE_CREATE_SUPP_GROUP, Linux 6.3).
 */
export function isInGroup(pid: number, gid: number): boolean {
  if (pid === 0) return false
  return readStatus(pid)?.groups.includes(gid) ?? false
}

/**
 * Do setuid bits stay when the caller writes or truncates?
 * @param isKilling what the request says, which only counts with FUSE_HANDLE_KILLPRIV_V2. Elsewhere the kernel sends
 *   a mode without the bits ahead of what it knows to take them, but not for O_TRUNC, and not for what it has cached
 *   a wrong mode of: the caller is looked at, as the file system below would.
 */
export function keepsSetid(
  features: Features,
  caller: { readonly pid: number; readonly uid: number },
  isKilling: boolean,
): boolean {
  return features.has('handle-killpriv-v2') ? !isKilling : hasCapability(caller, CAP_FSETID)
}

let myUserNamespace: string | null = null

/**
 * Has the caller this capability towards the whole machine? The kernel tells it for writes and truncations only.
 * Costs two reads below /proc: ask only where it makes a difference. Of a caller in a pid namespace that cannot be
 * seen from here, only the uid is known.
 */
export function hasCapability(
  caller: { readonly pid: number; readonly uid: number },
  capability: number,
): boolean {
  const { pid, uid } = caller
  const status = pid === 0 ? null : readStatus(pid)
  if (status === null) return uid === 0
  if (((status.effectiveCapabilities >> BigInt(capability)) & 1n) === 0n) return false
  // Whoever is root in a user namespace of his own is no more than he was here.
  myUserNamespace ??= readNamespace('self', 'user')
  return readNamespace(status.tgid, 'user') === myUserNamespace
}
