/**
 * Mounting by an ordinary user: fusermount3, a program of Debian's fuse3 that is set-user-ID root, opens /dev/fuse,
 * mounts, and sends the descriptor over a Unix socket (`_FUSE_COMMFD`, as libfuse has it from it).
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, lstatSync } from 'node:fs'
import * as c from './constants.js'
import { check, showPath } from './error.js'
import { close } from './files.js'
import { FuseDevice } from './fuse-device.js'
import { bind } from './libc.js'
import { MSG_CMSG_CLOEXEC, receiveDescriptor } from './messages.js'
import { unmount } from './mounts.js'
import * as raw from './raw.js'

const AF_UNIX = 1
const SOCK_STREAM = 1
/** Where the child finds its end of the socket. */
const CHILD_SOCKET = 3
/** It only makes one system call or two; a mountpoint on a file system that hangs is not worth hanging for. */
const PATIENCE_MS = 10_000
const DIRECTORIES = ['/usr/bin', '/bin', '/usr/local/bin', '/usr/sbin', '/sbin']

const socketpair = bind<[number, number, number, Uint8Array]>('socketpair', 'int', [
  'int',
  'int',
  'int',
  'ptr',
])

/** Does this process need fusermount3? Root makes its mounts by itself, and gets more from the kernel for it. */
export function needsFusermount(): boolean {
  return process.geteuid?.() !== 0
}

/** Why fusermount3 did not do what it was asked for. */
export class FusermountError extends Error {
  override readonly name = 'FusermountError'
  readonly path: Buffer
  /** What fusermount3 said, without its name; null if there is no fusermount3. */
  readonly complaint: string | null

  constructor(path: Buffer, complaint: string | null) {
    super(`fusermount3 ${showPath(path)}: ${complaint ?? 'not found'}`)
    this.path = path
    this.complaint = complaint
  }
}

/** The program; null if it is not installed. */
export function findFusermount(): string | null {
  const candidates = [...DIRECTORIES, ...(process.env.PATH ?? '').split(':')].map(
    (dir) => `${dir}/fusermount3`,
  )
  return candidates.find((path) => path.startsWith('/') && isExecutable(path)) ?? null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** Node hands on arguments as UTF-8. The shell makes others from octal digits; `_` saves a newline at the end. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's.
const BYTES_SCRIPT = 'path=$(printf %b_ "$1"); shift; exec "$@" -- "${path%_}"'

function commandLine(program: string, options: readonly string[], path: Buffer): [string, string[]] {
  const text = path.toString()
  if (Buffer.from(text).equals(path)) return [program, [...options, '--', text]]
  const octal = [...path].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('')
  return ['/bin/sh', ['-c', BYTES_SCRIPT, 'sh', octal, program, ...options]]
}

/** Runs it to its end. */
function call(path: Buffer, options: readonly string[], socket: number | null): void {
  const program = findFusermount()
  if (program === null) throw new FusermountError(path, null)
  const done = spawnSync(...commandLine(program, options, path), {
    stdio: ['ignore', 'ignore', 'pipe', ...(socket === null ? [] : [socket])],
    // Its complaints are told apart by their words.
    env: { LC_ALL: 'C', ...(socket === null ? {} : { _FUSE_COMMFD: String(CHILD_SOCKET) }) },
    cwd: '/',
    encoding: 'latin1',
    timeout: PATIENCE_MS,
    killSignal: 'SIGKILL',
  })
  if (done.status === 0) return
  const complaint = (done.stderr ?? '')
    .split('\n')
    .map((line) => line.replace(/^\S*fusermount3: /, '').trim())
    .find((line) => line !== '')
  throw new FusermountError(
    path,
    complaint ?? done.error?.message ?? `ended with ${done.status ?? done.signal}`,
  )
}

export interface FusermountOptions {
  /** Path of the directory or regular file to mount over. */
  readonly mountpoint: Buffer
  /** Shown as `fuse.SUBTYPE` in mount tables. */
  readonly subtype: string
  readonly source: string
  /** MOUNT_ATTR_*; nosuid and nodev are set in any case. */
  readonly attributes: number
}

/**
 * Mounts for the user of this process alone, with `default_permissions`. Nobody else, root included, can look into
 * it. Throws a FusermountError; nothing is mounted then.
 */
export function mountWithFusermount(options: FusermountOptions): FuseDevice {
  const { attributes } = options
  // A comma ends an option, and a backslash takes that meaning from it.
  const source = options.source.replace(/[\\,]/g, '\\$&')
  const words = [`fsname=${source}`, `subtype=${options.subtype}`, 'default_permissions']
  if ((attributes & c.MOUNT_ATTR_RDONLY) !== 0) words.push('ro')
  if ((attributes & c.MOUNT_ATTR_NOEXEC) !== 0) words.push('noexec')
  const pair = Buffer.alloc(8)
  check(socketpair(AF_UNIX, SOCK_STREAM | c.O_CLOEXEC, 0, pair), 'socketpair')
  const [ours, theirs] = [pair.readInt32LE(0), pair.readInt32LE(4)]
  let fd: number
  try {
    call(options.mountpoint, ['-o', words.join(',')], theirs)
    // So that waiting for a message that was never sent ends.
    raw.fcntl(ours, c.F_SETFL, c.O_NONBLOCK)
    fd = check(receiveDescriptor(ours, MSG_CMSG_CLOEXEC), 'recvmsg')
  } finally {
    close(ours)
    close(theirs)
  }
  check(raw.fcntl(fd, c.F_SETFL, c.O_RDWR | c.O_NONBLOCK), 'fcntl')
  return FuseDevice.adopt(fd)
}

/**
 * Takes a mount away as this user can; `lazy`: also while files on it are open. Throws a LinuxError, or for an
 * ordinary user a FusermountError.
 */
export function removeMount(mountpoint: Buffer, options: { lazy: boolean }): void {
  if (needsFusermount()) call(mountpoint, options.lazy ? ['-u', '-z'] : ['-u'], null)
  else unmount(mountpoint, options.lazy ? c.MNT_DETACH : 0)
}
