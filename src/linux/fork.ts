/** fork(2) and execve(2) of a Node program that blocks in system calls and never returns to its event loop. */
import * as c from './constants.js'
import { check, LinuxError } from './error.js'
import { close, open } from './files.js'
import { addressOf, cstr } from './libc.js'
import * as raw from './raw.js'

/**
 * Node must have been started with these to be forked: the child has only the thread that forked, so there must be
 * no work that V8 gives to another.
 */
export const FORKABLE = ['--single-threaded', '--v8-pool-size=0']

const MADV_DOFORK = 11
const PASSES_MAX = 50
const NEWLINE = 0x0a
const DASH = 0x2d
const SPACE = 0x20
const FLAGS = Buffer.from('\nVmFlags:')
const DO_NOT_COPY = Buffer.from(' dc')

const smaps = Buffer.alloc(4 * 1024 * 1024)

/** A hexadecimal number in `smaps` that ends with the byte `end`. */
function hexAt(at: number, end: number): number {
  let value = 0
  for (let index = at; smaps[index] !== end; index++) {
    const char = smaps[index] ?? 0
    value = value * 16 + (char >= 0x61 ? char - 0x57 : char - 0x30)
  }
  return value
}

/**
 * V8 keeps its heap out of forked children (MADV_DONTFORK), which would crash at once without it. This takes that
 * back. Nothing is allocated between looking and forking that could make the heap grow: hence the bare bytes.
 * @returns how many parts of the memory had been kept out.
 */
function letHeapBeCopied(fd: number): number {
  let length = 0
  for (;;) {
    const count = check(raw.pread(fd, smaps.subarray(length), smaps.length - length, length), 'pread')
    if (count === 0) break
    length += count
  }
  let kept = 0
  for (let at = 0; at < length; ) {
    const flags = smaps.indexOf(FLAGS, at)
    if (flags < 0 || flags >= length) break
    const end = smaps.indexOf(NEWLINE, flags + 1)
    const mark = smaps.indexOf(DO_NOT_COPY, flags)
    if (mark >= 0 && mark < end) {
      const from = hexAt(at, DASH)
      const to = hexAt(smaps.indexOf(DASH, at) + 1, SPACE)
      // What belongs to a device refuses, and is nothing that V8 needs.
      if (raw.madvise(from, to - from, MADV_DOFORK) === 0) kept++
    }
    at = end + 1
  }
  return kept
}

/**
 * fork(2). The child goes on with this thread alone: it may compute and make system calls, but nothing
 * asynchronous. @returns the child's pid; 0 in the child.
 */
export function forkProcess(): number {
  const fd = open('/proc/self/smaps', c.O_RDONLY)
  for (let pass = 0; pass < PASSES_MAX && letHeapBeCopied(fd) > 0; pass++);
  const pid = raw.fork()
  close(fd)
  return check(pid, 'fork')
}

function pointers(strings: readonly string[]): { array: BigUint64Array; keep: Buffer[] } {
  const keep = strings.map((text) => cstr(text))
  return { array: new BigUint64Array([...keep.map(addressOf), 0n]), keep }
}

/** Becomes another program; returns only by throwing. Descriptors without close-on-exec stay open. */
export function execProgram(path: string, argv: readonly string[], environment: readonly string[]): never {
  const args = pointers(argv)
  const env = pointers(environment)
  const result = raw.execve(cstr(path), args.array, env.array)
  throw new LinuxError(-result, `execve of ${args.keep.length + env.keep.length} strings`, path)
}
