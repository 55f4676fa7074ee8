import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Errno } from '../lib/errno.js'
import * as c from './constants.js'
import {
  close,
  isOpenElsewhere,
  isWriteLocked,
  lock,
  open,
  pipe,
  readAll,
  readFile,
  readFileIfAny,
  readlink,
  reopen,
  statFd,
  statPath,
  tryWriteLock,
  writeAll,
} from './files.js'
import { mapForReading } from './mapping.js'
import * as raw from './raw.js'
import { testDirectory } from './test-directory.js'
import { TestShell } from './test-shell.js'

const directory = testDirectory()

function file(name: string, content = ''): string {
  const place = path.join(directory, name)
  writeFileSync(place, content)
  return place
}

describe('opening', () => {
  test('every descriptor is close-on-exec', () => {
    const fd = open(file('cloexec'), c.O_RDONLY)
    const { readEnd, writeEnd } = pipe()
    for (const each of [fd, readEnd, writeEnd]) {
      expect(raw.fcntl(each, c.F_GETFD, 0)).toBe(c.FD_CLOEXEC)
      close(each)
    }
  })

  test('a name that is not UTF-8 is an ordinary name', () => {
    const name = Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0xff, 0xfe])])
    close(open(name, c.O_RDWR | c.O_CREAT | c.O_EXCL, 0o600))
    expect(statPath(name, { follow: true }).mode & 0o777).toBe(0o600)
    expect(execFileSync('ls', ['-b', directory], { encoding: 'latin1' })).toContain('\\377\\376')
  })

  test('a failure names the path', () => {
    const missing = path.join(directory, 'missing')
    expect(() => open(missing, c.O_RDONLY)).toThrow(
      expect.objectContaining({ code: 'ENOENT', path: Buffer.from(missing) }),
    )
  })

  test('reopen gives an O_PATH descriptor the rights that were asked for', () => {
    const anchor = open(file('anchor', 'abc'), c.O_PATH)
    const fd = reopen(anchor, c.O_RDONLY)
    expect(readAll(fd).toString()).toBe('abc')
    close(fd)
    close(anchor)
  })

  test('closing what is not open is an error', () => {
    expect(() => close(-1)).toThrow(expect.objectContaining({ errno: Errno.EBADF }))
  })
})

describe('reading and writing', () => {
  test('readAll reads what is longer than one piece, and files of /proc that have no size', () => {
    const content = 'x'.repeat(200_000)
    expect(readFile(file('long', content)).toString()).toBe(content)
    expect(readFile('/proc/self/status').toString()).toContain(`Pid:\t${process.pid}\n`)
  })

  test('readFileIfAny: null for a file or process that is gone, an error for anything else', () => {
    expect(readFileIfAny(path.join(directory, 'missing'))).toBeNull()
    const gone = spawnSync('true')
    expect(readFileIfAny(`/proc/${gone.pid}/status`)).toBeNull()
    expect(() => readFileIfAny(directory)).toThrow(expect.objectContaining({ code: 'EISDIR' }))
  })

  test('readFileIfAny: null when the process ends between open and read (ESRCH)', async () => {
    await using shell = new TestShell('read x')
    const fd = open(`/proc/${shell.pid}/stat`, c.O_RDONLY)
    await shell.kill()
    expect(() => readAll(fd)).toThrow(expect.objectContaining({ code: 'ESRCH' }))
    close(fd)
    expect(readFileIfAny(`/proc/${shell.pid}/stat`)).toBeNull()
  })

  test('writeAll waits for a full pipe that does not block', async () => {
    const { readEnd, writeEnd } = pipe()
    close(readEnd)
    close(writeEnd)
    const fifo = path.join(directory, 'fifo')
    execFileSync('mkfifo', [fifo])
    await using shell = new TestShell('exec 3<"$1"; echo open; sleep 0.1; wc -c <&3', [fifo])
    const fd = open(fifo, c.O_RDWR | c.O_NONBLOCK)
    expect(await shell.line()).toBe('open')
    writeAll(fd, Buffer.alloc(300_000))
    close(fd)
    expect(await shell.line()).toBe('300000')
  })

  test('readlink gives the bytes of a target of any length', () => {
    const target = 'y'.repeat(3000)
    const link = path.join(directory, 'link')
    symlinkSync(target, link)
    expect(readlink(link).toString()).toBe(target)
  })

  test('a mapping stays when its descriptor is closed', () => {
    const fd = open(file('mapped', 'mapped bytes'), c.O_RDONLY)
    const view = mapForReading(fd, 0, 12)
    close(fd)
    expect(Buffer.from(view).toString()).toBe('mapped bytes')
  })
})

describe('statPath and statFd', () => {
  test('follow decides between a symlink and what it leads to', () => {
    const link = path.join(directory, 'to-long')
    symlinkSync(file('target'), link)
    expect(statPath(link, { follow: false }).mode & c.S_IFMT).toBe(c.S_IFLNK)
    expect(statPath(link, { follow: true }).mode & c.S_IFMT).toBe(c.S_IFREG)
  })

  test('statFd of a closed descriptor is EBADF, and names no path', () => {
    expect(() => statFd(1_000_000)).toThrow(expect.objectContaining({ code: 'EBADF', path: undefined }))
  })
})

describe('locks between processes', () => {
  test('a write lock is one open file description’s: another neither gets it nor may claim it is free', () => {
    const place = file('lock1')
    const [holder, other] = [open(place, c.O_RDWR), open(place, c.O_RDWR)]
    expect(tryWriteLock(holder)).toBe(true)
    expect(tryWriteLock(other)).toBe(false)
    expect(isWriteLocked(other)).toBe(true)
    close(holder)
    expect(isWriteLocked(other)).toBe(false)
    expect(tryWriteLock(other)).toBe(true)
    close(other)
  })

  test('who may only read the file can ask, and cannot pretend to hold it', () => {
    const place = file('lock2')
    const [reader, asker] = [open(place, c.O_RDONLY), open(place, c.O_RDONLY)]
    expect(() => tryWriteLock(reader)).toThrow(expect.objectContaining({ code: 'EBADF' }))
    const READ_LOCK =
      'import fcntl, sys; fcntl.lockf(sys.stdin, fcntl.LOCK_SH); print("locked"); sys.stdout.flush()'
    expect(
      execFileSync('python3', ['-c', READ_LOCK], { stdio: [reader, 'pipe', 'inherit'] }).toString(),
    ).toBe('locked\n')
    expect(isWriteLocked(asker)).toBe(false)
    close(reader)
    close(asker)
  })

  test('lock waits until another process lets go', async () => {
    const place = file('lock4')
    await using shell = new TestShell('exec 9<>"$1"; flock -x 9; echo locked; sleep 0.1', [place])
    expect(await shell.line()).toBe('locked')
    const fd = open(place, c.O_RDONLY)
    const before = performance.now()
    lock(fd)
    expect(performance.now() - before).toBeGreaterThan(20)
    close(fd)
  })
})

describe('isOpenElsewhere', () => {
  test('false for the only descriptor; the momentary lease is gone afterwards', () => {
    const fd = open(file('alone'), c.O_RDONLY)
    expect(isOpenElsewhere(fd)).toBe(false)
    expect(raw.fcntl(fd, c.F_GETLEASE, 0)).toBe(c.F_UNLCK)
    close(fd)
  })

  test('true while another process has it open, for reading or for writing', async () => {
    for (const redirection of ['<', '>>']) {
      const place = file(`shared${redirection.length}`)
      await using shell = new TestShell(`exec 9${redirection}"$1"; echo open; read x`, [place])
      expect(await shell.line()).toBe('open')
      const fd = open(place, c.O_RDONLY)
      expect(isOpenElsewhere(fd)).toBe(true)
      await shell.kill()
      expect(isOpenElsewhere(fd)).toBe(false)
      close(fd)
    }
  })

  test('an O_PATH descriptor of it does not count', () => {
    const place = file('anchored')
    const anchor = open(place, c.O_PATH)
    const fd = open(place, c.O_RDONLY)
    expect(isOpenElsewhere(fd)).toBe(false)
    close(fd)
    close(anchor)
  })

  test('whoever opens it in between sends us no SIGIO, which would end us', async () => {
    const place = file('contended')
    let signals = 0
    const count = () => {
      signals++
    }
    process.on('SIGIO', count)
    await using opener = new TestShell('echo go; while :; do : <"$1"; done', [place])
    expect(await opener.line()).toBe('go')
    const fd = open(place, c.O_RDONLY)
    const answers = new Set<boolean | null>()
    for (let index = 0; index < 5000; index++) answers.add(isOpenElsewhere(fd))
    close(fd)
    await opener.kill()
    await setImmediate()
    process.off('SIGIO', count)
    expect(answers).not.toContain(null)
    expect(signals).toBe(0)
  })

  test('null for what has no leases', () => {
    const place = path.join(directory, 'subdirectory')
    mkdirSync(place)
    const fd = open(place, c.O_RDONLY)
    expect(isOpenElsewhere(fd)).toBeNull()
    close(fd)
  })
})
