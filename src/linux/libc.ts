/**
 * The one place that loads libc through koffi. A function made here returns what the kernel would: the
 * result, or a negative errno. Nothing here throws for a failed call.
 *
 * koffi hands out the live C errno, so it is read in the statement after the call and nowhere else.
 * Paths and names are given as Buffers that end in NUL (`cstr`): they are bytes, never text.
 */
import koffi from 'koffi'
import { Errno } from '../lib/errno.js'
import { LinuxError } from './error.js'

const libc = koffi.load(null)

export type Arg = number | bigint | string | Uint8Array | BigUint64Array | null
type ArgType = 'int' | 'uint' | 'int64' | 'uint64' | 'ptr'

const TYPES: Record<ArgType, string> = {
  int: 'int',
  uint: 'uint32_t',
  int64: 'int64_t',
  uint64: 'uint64_t',
  ptr: 'void *',
}

/** Binds a libc function whose failure is -1 with errno set. */
export function bind<Args extends Arg[]>(
  name: string,
  result: 'int' | 'int64',
  args: readonly ArgType[],
): (...args: Args) => number {
  const call = libc.func(
    name,
    TYPES[result],
    args.map((type) => TYPES[type]),
  ) as unknown as Call
  return withErrno(call, args.length) as (...args: Args) => number
}

type Call = (...args: unknown[]) => number

/**
 * Turns -1 into a negative errno. One function for each count of arguments: handing on a rest array costs more
 * than many a system call.
 */
function withErrno(call: Call, count: number): Call {
  const result = (value: number) => (value === -1 ? -koffi.errno() : value)
  switch (count) {
    case 0:
      return () => result(call())
    case 1:
      return (a) => result(call(a))
    case 2:
      return (a, b) => result(call(a, b))
    case 3:
      return (a, b, c) => result(call(a, b, c))
    case 4:
      return (a, b, c, d) => result(call(a, b, c, d))
    case 5:
      return (a, b, c, d, e) => result(call(a, b, c, d, e))
    default:
      return (...args) => result(call(...args))
  }
}

/** System call numbers that glibc has no (per-thread) wrapper for. From 424 on all architectures agree. */
const NUMBERS: Record<string, Record<'x64' | 'arm64', number>> = {
  setfsuid: { x64: 122, arm64: 151 },
  setfsgid: { x64: 123, arm64: 152 },
  setgroups: { x64: 116, arm64: 159 },
  capget: { x64: 125, arm64: 90 },
  capset: { x64: 126, arm64: 91 },
  fsopen: { x64: 430, arm64: 430 },
  fsconfig: { x64: 431, arm64: 431 },
  fsmount: { x64: 432, arm64: 432 },
  openat2: { x64: 437, arm64: 437 },
  open_tree: { x64: 428, arm64: 428 },
  move_mount: { x64: 429, arm64: 429 },
  pidfd_open: { x64: 434, arm64: 434 },
  pidfd_send_signal: { x64: 424, arm64: 424 },
}

/** Binds a system call by number; the calling thread alone is affected. */
export function bindSyscall<Args extends Arg[]>(
  name: string,
  args: readonly ArgType[],
): (...args: Args) => number {
  const number = NUMBERS[name]?.[process.arch as 'x64' | 'arm64']
  if (number === undefined) throw new Error(`holdfast knows no number for ${name}(2) on ${process.arch}`)
  const call = libc.func('syscall', 'int64_t', [
    'int64_t',
    ...args.map((type) => TYPES[type]),
  ]) as unknown as Call
  const bound: Call = (...rest) => call(number, ...rest)
  return withErrno(bound, args.length) as (...args: Args) => number
}

/** Gives free memory of malloc's back to the system (malloc_trim(3)); musl does that by itself and has no such call. */
export function trimHeap(): void {
  let trim: Call
  try {
    trim = libc.func('malloc_trim', 'int', ['size_t']) as unknown as Call
  } catch {
    // Not in this C library.
    return
  }
  trim(0)
}

/** The address of a Buffer's bytes, for iovecs. The Buffer must stay referenced while it is used. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes)
}

/**
 * Ends a path or name with the NUL that system calls expect. One inside would silently name something else, so
 * that throws a LinuxError (EINVAL).
 */
export function cstr(path: string | Uint8Array): Buffer {
  const bytes = typeof path === 'string' ? Buffer.from(path) : path
  if (bytes.includes(0)) throw new LinuxError(Errno.EINVAL, 'path', bytes)
  const withNul = Buffer.allocUnsafe(bytes.length + 1)
  withNul.set(bytes)
  withNul[bytes.length] = 0
  return withNul
}

/** The bytes before the first NUL. */
export function fromCstr(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}
