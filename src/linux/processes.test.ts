import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import * as c from './constants.js'
import { close, open } from './files.js'
import { mountIdOf } from './mounts.js'
import {
  openPidfd,
  readDescriptor,
  readDescriptorPath,
  readMappings,
  readNamespace,
  readStartTime,
  readStatus,
  readStrings,
} from './processes.js'
import { testDirectory } from './test-directory.js'
import { TestShell } from './test-shell.js'

const directory = testDirectory()

function gonePid(): number {
  return spawnSync('true').pid
}

/** A shell that has given itself another command name. */
async function named(name: Buffer): Promise<TestShell> {
  const octal = [...name].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
  const shell = new TestShell('printf "$1" >/proc/$$/comm; echo named; read x', [octal])
  await shell.line()
  return shell
}

describe('readStatus', () => {
  test('says who we are', () => {
    expect(readStatus(process.pid)).toMatchObject({
      tgid: process.pid,
      parentPid: process.ppid,
      state: 'R',
      tracerPid: 0,
    })
    expect(process.getgroups?.()).toEqual(
      expect.arrayContaining([...(readStatus(process.pid)?.groups ?? [])]),
    )
    expect(readStatus(process.pid)?.uids).toEqual([
      process.getuid?.(),
      process.geteuid?.(),
      process.geteuid?.(),
      process.geteuid?.(),
    ])
  })

  test('resolves a thread to its process', () => {
    const threads = execFileSync('ls', [`/proc/${process.pid}/task`], { encoding: 'utf8' })
      .trim()
      .split('\n')
    const thread = threads.map(Number).find((tid) => tid !== process.pid)
    expect(readStatus(thread ?? 0)?.tgid).toBe(process.pid)
  })

  test('the capabilities agree with those that the kernel shows', () => {
    const shown = /^CapEff:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    expect(readStatus(process.pid)?.effectiveCapabilities).toBe(BigInt(`0x${shown}`))
  })

  for (const [title, name, shown] of [
    ['UTF-8', Buffer.from('größe'), 'größe'],
    ['bytes that are not UTF-8', Buffer.from([0x61, 0xff]), 'a\\xff'],
    ['a colon and spaces', Buffer.from('a: b'), 'a: b'],
    ['an escape sequence', Buffer.from('\x1b[31mred'), '\\x1b[31mred'],
  ] as const) {
    test(`a command name with ${title} arrives as text`, async () => {
      await using shell = await named(name)
      expect(readStatus(shell.pid)?.command).toBe(shown)
    })
  }

  test('null for a process that is gone', () => {
    expect(readStatus(gonePid())).toBeNull()
  })
})

describe('readStartTime', () => {
  test('is the same at every look, and later for a process that was started later', async () => {
    const ours = readStartTime(process.pid)
    expect(readStartTime(process.pid)).toBe(ours)
    await using shell = new TestShell('read x')
    expect(readStartTime(shell.pid)).toBeGreaterThan(ours ?? Number.POSITIVE_INFINITY)
  })

  for (const name of ['a) b (c', ')', '(', ') R 1 1 1', 'a\nb) c']) {
    test(`a command name like ${JSON.stringify(name)} does not shift the fields`, async () => {
      await using shell = new TestShell('echo up; read x')
      await shell.line()
      const before = readStartTime(shell.pid)
      await using other = await named(Buffer.from(name))
      const start = readStartTime(other.pid) ?? -1
      expect(start).toBeGreaterThanOrEqual(before ?? Number.POSITIVE_INFINITY)
      expect(start - (before ?? 0)).toBeLessThan(1000)
    })
  }

  test('null for a process that is gone', () => {
    expect(readStartTime(gonePid())).toBeNull()
  })
})

describe('readStrings', () => {
  test('gives arguments as bytes, with empty ones, the last included', async () => {
    await using shell = new TestShell('echo up; read x', ['', 'b c', 'größe', ''])
    await shell.line()
    expect(readStrings(shell.pid, 'cmdline').slice(3).map(String)).toEqual(['sh', '', 'b c', 'größe', ''])
  })

  test('gives the environment a process was started with, byte for byte', () => {
    const output = execFileSync(
      '/usr/bin/env',
      ['-i', 'A=1', 'not-an-identifier=2', 'EMPTY=', '/bin/cat', '/proc/self/environ'],
      { encoding: 'latin1' },
    )
    expect(output).toBe('A=1\0not-an-identifier=2\0EMPTY=\0')
    expect(readStrings('self', 'environ').length).toBeGreaterThan(0)
  })

  test('nothing for a process that is gone, and for a kernel thread', () => {
    expect(readStrings(gonePid(), 'cmdline')).toEqual([])
    expect(readStrings(2, 'cmdline')).toEqual([])
  })
})

describe('readMappings', () => {
  test('lists a mapped file by inode and by the bytes of the file', () => {
    const program = realProgram()
    const { ino } = statSync(program, { bigint: true })
    const parts = readMappings(process.pid).filter((mapping) => mapping.ino === ino)
    expect(parts.length).toBeGreaterThan(0)
    for (const { start, end } of parts) expect(end).toBeGreaterThan(start)
    expect(Math.min(...parts.map(({ start }) => start))).toBe(0)
    const lines = readFileSync('/proc/self/maps', 'utf8').split('\n')
    expect(lines.filter((line) => line.includes(` ${ino} `)).length).toBe(parts.length)
  })

  test('leaves out what is no file: stack, heap, vdso', () => {
    for (const { ino } of readMappings(process.pid)) expect(ino).not.toBe(0n)
  })

  test('nothing for a process that is gone', () => {
    expect(readMappings(gonePid())).toEqual([])
  })

  function realProgram(): string {
    return execFileSync('readlink', ['-f', process.execPath], { encoding: 'utf8' }).trim()
  }
})

describe('readDescriptor', () => {
  test('says mount, inode and flags of a descriptor', () => {
    const file = path.join(directory, 'described')
    writeFileSync(file, '')
    const fd = open(file, c.O_RDWR | c.O_APPEND)
    const descriptor = readDescriptor(process.pid, fd)
    expect(descriptor).toMatchObject({ mountId: mountIdOf(fd), ino: statSync(file, { bigint: true }).ino })
    expect((descriptor?.flags ?? 0) & (c.O_ACCMODE | c.O_APPEND | c.O_CLOEXEC)).toBe(
      c.O_RDWR | c.O_APPEND | c.O_CLOEXEC,
    )
    expect(readDescriptorPath('self', fd)).toEqual(Buffer.from(file))
    close(fd)
    expect(readDescriptor(process.pid, fd)).toBeNull()
    expect(readDescriptorPath('self', fd)).toBeNull()
  })

  test('asks about another process too', async () => {
    const file = path.join(directory, 'elsewhere')
    writeFileSync(file, '')
    await using shell = new TestShell('exec 7<"$1"; echo open; read x', [file])
    await shell.line()
    expect(readDescriptor(shell.pid, 7)?.ino).toBe(statSync(file, { bigint: true }).ino)
    expect(readDescriptorPath(shell.pid, 7)).toEqual(Buffer.from(file))
    expect(readDescriptor(shell.pid, 6)).toBeNull()
  })
})

test('readNamespace: children share ours; null for a process that is gone', async () => {
  await using shell = new TestShell('read x')
  expect(readNamespace(shell.pid, 'mnt')).toBe(readNamespace('self', 'mnt'))
  expect(readNamespace('self', 'user')).toMatch(/^user:\[\d+\]$/)
  expect(readNamespace(gonePid(), 'mnt')).toBeNull()
})

test('openPidfd: null for a process that is gone, and for a thread that is no process', () => {
  expect(openPidfd(gonePid())).toBeNull()
  const threads = execFileSync('ls', [`/proc/${process.pid}/task`], { encoding: 'utf8' })
    .trim()
    .split('\n')
  expect(openPidfd(threads.map(Number).find((tid) => tid !== process.pid) ?? 0)).toBeNull()
})
