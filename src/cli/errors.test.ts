import { readFileSync, readSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import { LinuxError } from '../linux/error.js'
import { statFd } from '../linux/files.js'
import { CommandError, explain } from './errors.js'

function thrown(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

describe('explain', () => {
  for (const [title, error, line] of [
    ['what a command says is said as it is', new CommandError('x: not a directory'), 'x: not a directory'],
    [
      'a file that is not there',
      new LinuxError(Errno.ENOENT, 'openat', '/nowhere'),
      '/nowhere: No such file or directory (nothing was done: check the name)',
    ],
    [
      'a path that is not UTF-8 is readable',
      new LinuxError(Errno.EACCES, 'openat', Buffer.from([0x2f, 0xff])),
      '/\\xff: Permission denied',
    ],
    [
      'no FUSE in the kernel: what to do',
      new LinuxError(Errno.ENOENT, 'openat', '/dev/fuse'),
      "/dev/fuse: No such file or directory (this kernel has no FUSE device: load it with 'modprobe fuse')",
    ],
    [
      'no right to mount: what to do',
      new LinuxError(Errno.EPERM, 'fsopen'),
      "fsopen: Operation not permitted (not allowed to mount: run it with 'sudo')",
    ],
    [
      'a system call that the kernel does not have',
      new LinuxError(Errno.ENOSYS, 'open_tree'),
      'open_tree: Function not implemented (this kernel is too old: Holdfast needs Linux 5.4)',
    ],
    ['a thing without an error', 'just text', 'just text'],
  ] as const) {
    test(title, () => expect(explain(error)).toBe(line))
  }

  test('a failed call on a descriptor names the call, since there is no path', () => {
    expect(explain(thrown(() => statFd(1_000_000)))).toBe('statx: Bad file descriptor')
  })

  test("an error of Node's own calls is no bug of ours", () => {
    expect(explain(thrown(() => readFileSync('/nowhere')))).toBe('/nowhere: No such file or directory')
    expect(explain(thrown(() => readSync(1_000_000, Buffer.alloc(1))))).toBe('read: Bad file descriptor')
  })

  test('anything else is a bug, and shows where', () => {
    expect(explain(new TypeError('oops'))).toMatch(/^this is a bug in Holdfast: TypeError: oops\n +at /)
  })
})

test('CommandError: 1 it failed, 2 wrong usage', () => {
  expect([new CommandError('x').exitCode, new CommandError('x', 2).exitCode]).toEqual([1, 2])
})
