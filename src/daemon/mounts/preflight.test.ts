import { linkSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { O_PATH } from '../../linux/constants.js'
import { close, open } from '../../linux/files.js'
import { testDirectory } from '../../linux/test-directory.js'
import { TestShell } from '../../linux/test-shell.js'
import { findHardLinks, findOpeners, findUsers, warning } from './preflight.js'

const directory = testDirectory()

function file(): string {
  const place = path.join(mkdtempSync(path.join(directory, 'd')), 'file')
  writeFileSync(place, 'x'.repeat(4096))
  return place
}

/** Runs a finder on an O_PATH descriptor, as the mount has one. */
function on(place: string, find: (fd: number, path: Buffer) => string | null): string | null {
  const fd = open(place, O_PATH)
  try {
    return find(fd, Buffer.from(place))
  } finally {
    close(fd)
  }
}

describe('findOpeners (L10)', () => {
  test('nobody has a fresh file open', () => {
    expect(on(file(), findOpeners)).toBeNull()
  })

  test('names the process that has it open, until it closes it', async () => {
    const place = file()
    await using shell = new TestShell('exec 7<"$1"; echo open; read x; exec 7<&-; echo closed; read x', [
      place,
    ])
    await shell.line()
    expect(on(place, findOpeners)).toContain(`${shell.pid}(sh)`)
    shell.write('')
    await shell.line()
    expect(on(place, findOpeners)).toBeNull()
  })

  test('finds it under another name of the same file too, but then cannot name the process', async () => {
    const place = file()
    linkSync(place, `${place}-link`)
    await using shell = new TestShell('exec 7<"$1"; echo open; read x', [`${place}-link`])
    await shell.line()
    expect(on(place, findOpeners)).toContain('in a process that /proc does not show')
  })
})

describe('findUsers (L10)', () => {
  test('names who has a file open below a directory, and not who has one beside it', async () => {
    const parent = path.dirname(file())
    mkdirSync(`${parent}/in/deep`, { recursive: true })
    writeFileSync(`${parent}/in/deep/file`, '')
    writeFileSync(`${parent}/in-beside`, '')
    await using inside = new TestShell('exec 7<"$1"; echo open; read x', [`${parent}/in/deep/file`])
    await using beside = new TestShell('exec 7<"$1"; echo open; read x', [`${parent}/in-beside`])
    await inside.line()
    await beside.line()
    const found = findUsers(Buffer.from(`${parent}/in`))
    expect(found).toContain(`${inside.pid}(sh)`)
    expect(found).not.toContain(String(beside.pid))
  })

  test('null for a directory that nobody uses', () => {
    expect(findUsers(Buffer.from(path.dirname(file())))).toBeNull()
  })
})

test('findHardLinks: counts the other names', () => {
  const place = file()
  expect(on(place, findHardLinks)).toBeNull()
  linkSync(place, `${place}-1`)
  expect(on(place, findHardLinks)).toBe('has 1 more hard link, which goes past Holdfast')
  linkSync(place, `${place}-2`)
  expect(on(place, findHardLinks)).toBe('has 2 more hard links, which go past Holdfast')
})

test('warning: one line, whatever the path is', () => {
  expect(warning(Buffer.from('/a\nb'), 'is open')).toBe('holdfast: /a\\x0ab is open')
})
