/** What /proc says of processes, and descriptors that stand for them. */
import { readdirSync } from 'node:fs'
import { Errno } from '../lib/errno.js'
import * as c from './constants.js'
import { check, LinuxError, showPath } from './error.js'
import { readFileIfAny, readlink } from './files.js'
import { cstr } from './libc.js'
import * as raw from './raw.js'

/** A file of a process; null if it is gone, or may not be looked into (one with more capabilities than we have). */
function readProcess(path: string): Buffer | null {
  try {
    return readFileIfAny(path)
  } catch (error) {
    if (error instanceof LinuxError && (error.code === 'EACCES' || error.code === 'EPERM')) return null
    throw error
  }
}

export interface ProcessStatus {
  readonly tgid: number
  readonly parentPid: number
  /** One letter of proc(5): `T` is stopped by a signal, `t` by whoever traces it. */
  readonly state: string
  /** Who traces it, as a debugger does; 0 for nobody. */
  readonly tracerPid: number
  /** First 15 bytes of the command name, as text (see `showPath`). */
  readonly command: string
  /** Real, effective, saved, file system. */
  readonly uids: readonly number[]
  readonly groups: readonly number[]
  readonly effectiveCapabilities: bigint
}

/** @param pid of a process or a thread. @returns null if it is gone. */
export function readStatus(pid: number): ProcessStatus | null {
  const bytes = readProcess(`/proc/${pid}/status`)
  if (bytes === null) return null
  const fields = new Map<string, string>()
  for (const line of bytes.toString('latin1').split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  const numbers = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter(Boolean).map(Number)
  return {
    tgid: Number(fields.get('Tgid')),
    parentPid: Number(fields.get('PPid')),
    state: (fields.get('State') ?? '').slice(0, 1),
    tracerPid: Number(fields.get('TracerPid')),
    command: showPath(Buffer.from(fields.get('Name') ?? '', 'latin1')),
    uids: numbers('Uid'),
    groups: numbers('Groups'),
    effectiveCapabilities: BigInt(`0x${fields.get('CapEff') ?? '0'}`),
  }
}

/** Why this process does not go on, as a sentence goes on behind its name; null if nobody keeps it from that. */
export function explainStop({ tgid, state, tracerPid }: ProcessStatus): string | null {
  if (state === 'T') return `is stopped: 'kill -CONT ${tgid}' lets it go on`
  return state === 't' ? `is held by a debugger (pid ${tracerPid}), which must let it go on` : null
}

/** Field 22 of /proc/PID/stat: clock ticks after boot. With the pid it names a process for good. */
export function readStartTime(pid: number): number | null {
  const bytes = readProcess(`/proc/${pid}/stat`)
  if (bytes === null) return null
  // The command name may contain anything, parentheses too: fields are counted from the last one.
  const rest = bytes.toString('latin1')
  const fields = rest.slice(rest.lastIndexOf(')') + 2).split(' ')
  return Number(fields[19])
}

/** The environment or arguments a process was started with: NUL-terminated byte strings. */
export function readStrings(pid: number | 'self', what: 'environ' | 'cmdline'): Buffer[] {
  const bytes = readProcess(`/proc/${pid}/${what}`)
  if (bytes === null) return []
  const strings: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    let end = bytes.indexOf(0, start)
    if (end < 0) end = bytes.length
    strings.push(bytes.subarray(start, end))
    start = end + 1
  }
  return strings
}

/** A descriptor that becomes readable when the process ends. @returns null if there is no such process. */
export function openPidfd(pid: number): number | null {
  const fd = raw.pidfdOpen(pid, 0)
  // A thread that is no process: EINVAL, or ENOENT on newer kernels.
  if (fd === -Errno.ESRCH || fd === -Errno.EINVAL || fd === -Errno.ENOENT) return null
  return check(fd, 'pidfd_open')
}

/** What the receiver of a queued signal is told besides its number. */
export interface QueuedSignal {
  /** `si_value.sival_int`: 32 bits. */
  readonly value: number
  readonly senderPid: number
  readonly senderUid: number
}

const SIGINFO_SIZE = 128
const SI_QUEUE = -1

/**
 * Queues a signal to the process behind a pidfd, as sigqueue(3) does: never to another one that has its pid by now.
 * @returns 0, or the errno: ESRCH if it has ended, EPERM, EAGAIN if too many signals are queued for its user.
 */
export function queueSignal(
  pidfd: number,
  signo: number,
  { value, senderPid, senderUid }: QueuedSignal,
): number {
  const info = Buffer.alloc(SIGINFO_SIZE)
  info.writeInt32LE(signo, 0)
  info.writeInt32LE(SI_QUEUE, 8)
  info.writeInt32LE(senderPid, 16)
  info.writeUInt32LE(senderUid, 20)
  info.writeInt32LE(value, 24)
  return -raw.pidfdSendSignal(pidfd, signo, info, 0)
}

/** SIGKILL to the process behind a pidfd. @returns 0, or the errno: ESRCH if it has ended, EPERM. */
export function killProcess(pidfd: number): number {
  return -raw.pidfdSendSignal(pidfd, c.SIGKILL, null, 0)
}

/** A part of a file that a process maps: bytes of the file, `end` exclusive. */
export interface FileMapping {
  readonly ino: bigint
  readonly major: number
  readonly minor: number
  readonly start: number
  readonly end: number
  /** As the kernel names it, with a newline as `\\012`. */
  readonly path: Buffer
}

/** The file mappings of a process (proc(5), maps). Empty if it is gone or may not be looked at. */
export function readMappings(pid: number): FileMapping[] {
  const bytes = readProcess(`/proc/${pid}/maps`)
  const mappings: FileMapping[] = []
  if (bytes === null) return mappings
  for (const line of bytes.toString('latin1').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$/.exec(line)
    if (match === null) continue
    const [, from = '', to = '', offset = '', major = '', minor = '', ino = '0', path = ''] = match
    if (ino === '0') continue
    const start = Number.parseInt(offset, 16)
    mappings.push({
      ino: BigInt(ino),
      major: Number.parseInt(major, 16),
      minor: Number.parseInt(minor, 16),
      start,
      end: start + Number.parseInt(to, 16) - Number.parseInt(from, 16),
      path: Buffer.from(path, 'latin1'),
    })
  }
  return mappings
}

/** One descriptor of a process, from /proc/PID/fdinfo/N. */
export interface DescriptorInfo {
  readonly mountId: number
  readonly ino: bigint
  readonly flags: number
}

/** Asks the kernel about a descriptor without touching the file system behind it. */
export function readDescriptor(pid: number, fd: number): DescriptorInfo | null {
  const bytes = readProcess(`/proc/${pid}/fdinfo/${fd}`)
  if (bytes === null) return null
  const text = bytes.toString('latin1')
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1]
  return {
    mountId: Number(field('mnt_id') ?? -1),
    ino: BigInt(field('ino') ?? 0),
    flags: Number.parseInt(field('flags') ?? '0', 8),
  }
}

/** Which namespace of a kind a process lives in, as /proc names it; null if it is gone or hidden. */
export function readNamespace(pid: number | 'self', kind: 'mnt' | 'user' | 'pid'): string | null {
  const buffer = Buffer.alloc(64)
  const length = raw.readlinkat(c.AT_FDCWD, cstr(`/proc/${pid}/ns/${kind}`), buffer, buffer.length)
  return length < 0 ? null : buffer.toString('latin1', 0, length)
}

/** The processes there are now. */
export function listProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** The descriptors a process has open; none if it has ended or is not ours to look into. */
export function listDescriptors(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map(Number)
  } catch {
    return []
  }
}

/** What a descriptor of a process leads to, as the kernel names it; null if it is gone or hidden. */
export function readDescriptorPath(pid: number | 'self', fd: number | string): Buffer | null {
  try {
    return readlink(`/proc/${pid}/fd/${fd}`)
  } catch {
    // Between listing and reading, descriptors and processes go away; that is an answer, not a failure.
    return null
  }
}
