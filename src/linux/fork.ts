/** fork(2) and execve(2) of a Node program that blocks in system calls and never returns to its event loop. */
import { Errno } from '../lib/errno.js'
import * as c from './constants.js'
import { check, LinuxError } from './error.js'
import { close, open, pipe } from './files.js'
import { addressOf, cstr } from './libc.js'
import * as raw from './raw.js'

/**
 * Node must have been started with these to be forked. The child has only the thread that forked, so there must be
 * no work that V8 gives to another; and a heap that does not grow at the wrong moment.
 */
export const FORKABLE = ['--single-threaded', '--v8-pool-size=0', '--min-semi-space-size=16']

const MADV_DOFORK = 11
const PASSES_MAX = 20
const TRIES_MAX = 10
const NEWLINE = 0x0a
const DASH = 0x2d
const SPACE = 0x20
const MAPS_BYTES = 512 * 1024

/** Two looks at /proc/self/maps, which are equal when no memory has come in between. */
let looks: readonly [Buffer, Buffer] | undefined

function readMaps(fd: number, into: Buffer): number {
  let length = 0
  for (;;) {
    const count = check(raw.pread(fd, into.subarray(length), into.length - length, length), 'pread')
    if (count === 0) return length
    length += count
  }
}

/** A hexadecimal number that ends with the byte `end`. */
function hexAt(bytes: Buffer, at: number, end: number): number {
  let value = 0
  for (let index = at; bytes[index] !== end; index++) {
    const char = bytes[index] ?? 0
    value = value * 16 + (char >= 0x61 ? char - 0x57 : char - 0x30)
  }
  return value
}

/**
 * V8 keeps its heap out of forked children (MADV_DONTFORK), which would crash at once without it. This takes that
 * back, for all memory there is; it ends when none has come while it was busy.
 */
function letHeapBeCopied(fd: number): void {
  looks ??= [Buffer.alloc(MAPS_BYTES), Buffer.alloc(MAPS_BYTES)]
  const [now, after] = looks
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const length = readMaps(fd, now)
    for (let at = 0; at < length; at = now.indexOf(NEWLINE, at) + 1) {
      const from = hexAt(now, at, DASH)
      const to = hexAt(now, now.indexOf(DASH, at) + 1, SPACE)
      // What belongs to a device refuses, and is nothing that V8 needs.
      raw.madvise(from, to - from, MADV_DOFORK)
    }
    if (readMaps(fd, after) === length && now.equals(after)) return
  }
}

/**
 * fork(2). The child goes on with this thread alone: it may compute and make system calls, but nothing
 * asynchronous. @returns the child's pid; 0 in the child.
 */
export function forkProcess(): number {
  const maps = open('/proc/self/maps', c.O_RDONLY)
  try {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      // A child that lacks a part of the heap, because it grew at the last moment, does not get to say a word.
      const { readEnd, writeEnd } = pipe()
      letHeapBeCopied(maps)
      const pid = check(raw.fork(), 'fork')
      if (pid === 0) {
        check(raw.write(writeEnd, WORD, WORD.length), 'write')
        close(readEnd)
        close(writeEnd)
        return 0
      }
      close(writeEnd)
      const isThere = raw.read(readEnd, Buffer.alloc(1), 1) === 1
      close(readEnd)
      if (isThere) return pid
      check(raw.waitpid(pid, null, 0), 'waitpid')
    }
  } finally {
    close(maps)
  }
  throw new LinuxError(Errno.EAGAIN, 'fork')
}

const WORD = Buffer.from('x')

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
