import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { ProcessKey, Uid } from '../../lib/ids.js'
import { POLLIN } from '../../linux/constants.js'
import { Poller, waitReadable } from '../../linux/poller.js'
import { readStartTime } from '../../linux/processes.js'
import { TestShell } from '../../linux/test-shell.js'
import { ProcessTable } from './processes.js'

function keyOf(table: ProcessTable, pid: number): ProcessKey {
  const caller = table.identify(pid)
  if (caller === null) throw new Error(`process ${pid} is not there`)
  return caller.key
}

const descriptorCount = () => readdirSync('/proc/self/fd').length

describe('identify', () => {
  test('says who calls', () => {
    const table = new ProcessTable()
    expect(table.identify(process.pid)).toMatchObject({
      pid: process.pid,
      parentPid: process.ppid,
      credentials: { uid: process.getuid?.(), realUid: process.getuid?.() },
    })
  })

  test('the same process has the same key, at every look and through every thread of it', () => {
    const table = new ProcessTable()
    const threads = execFileSync('ls', [`/proc/${process.pid}/task`], { encoding: 'utf8' })
      .trim()
      .split('\n')
    const keys = threads.map((tid) => keyOf(table, Number(tid)))
    expect(threads.length).toBeGreaterThan(1)
    expect(new Set(keys).size).toBe(1)
  })

  test('exec changes the command but not the process', async () => {
    await using shell = new TestShell('echo up; read x; exec sleep 10')
    const table = new ProcessTable()
    await shell.line()
    const before = table.identify(shell.pid)
    shell.write('')
    let after = table.identify(shell.pid)
    for (let tries = 0; after?.command !== 'sleep' && tries < 1000; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      after = table.identify(shell.pid)
    }
    expect([before?.command, after?.command]).toEqual(['sh', 'sleep'])
    expect(after?.key).toBe(before?.key)
    expect(table.describe(before?.key ?? null)).toEqual({ pid: shell.pid, command: 'sleep' })
  })

  test('a process is its pid and its start time: two processes have two keys', async () => {
    const table = new ProcessTable()
    await using first = new TestShell('read x')
    await using second = new TestShell('read x')
    expect(keyOf(table, first.pid)).not.toBe(keyOf(table, second.pid))
    expect(readStartTime(first.pid)).not.toBeNull()
  })

  test('pid 0 is a process of another namespace, and one that is gone is nobody', () => {
    const table = new ProcessTable()
    expect(table.identify(0)).toBeNull()
    expect(table.identify(spawnSync('true').pid)).toBeNull()
  })

  test.skipIf(process.getuid?.() !== 0)(
    'root overrides owners, an ordinary user does not (needs root)',
    async () => {
      const table = new ProcessTable()
      expect(table.identify(process.pid)?.mayOverrideOwner).toBe(true)
      await using shell = new TestShell('exec setpriv --reuid 65534 --clear-groups sh -c "echo up; read x"')
      await shell.line()
      expect(table.identify(shell.pid)).toMatchObject({
        mayOverrideOwner: false,
        credentials: { uid: 65534, realUid: 65534, mayKillAll: false },
      })
    },
  )

  test.skipIf(process.getuid?.() !== 0)(
    'root of another user namespace overrides nothing (needs root)',
    async () => {
      const table = new ProcessTable()
      await using shell = new TestShell('exec unshare --user --map-root-user sh -c "echo up; read x"')
      await shell.line()
      expect(table.identify(shell.pid)?.mayOverrideOwner).toBe(false)
    },
  )
})

describe('watch', () => {
  test('the end of a watched process is told once, also after SIGKILL', async () => {
    await using shell = new TestShell('read x')
    const table = new ProcessTable()
    const key = keyOf(table, shell.pid)
    expect(table.watch(key)).toBe(true)
    expect(table.watch(key)).toBe(true)
    expect(table.watchedCount).toBe(1)
    expect(table.takeExits()).toEqual([])
    await shell.kill()
    expect(table.takeExits()).toEqual([key])
    expect(table.takeExits()).toEqual([])
    expect(table.watchedCount).toBe(0)
  })

  test('the descriptor for a poll set becomes readable with the end, and is quiet once it was taken', async () => {
    await using shell = new TestShell('read x')
    const table = new ProcessTable()
    const key = keyOf(table, shell.pid)
    table.watch(key)
    const poller = new Poller()
    poller.add(table.exitFd, POLLIN, () => {})
    expect(poller.wait(0)).toBe(0)
    await shell.kill()
    expect(poller.wait(1000)).toBe(1)
    table.takeExits()
    expect(poller.wait(0)).toBe(0)
  })

  test('all ends are told at once, however many there are', async () => {
    const table = new ProcessTable()
    const shells = Array.from({ length: 80 }, () => new TestShell('read x'))
    const keys = shells.map(({ pid }) => keyOf(table, pid))
    for (const key of keys) table.watch(key)
    await Promise.all(shells.map((shell) => shell.kill()))
    expect(table.takeExits().sort((a, b) => a - b)).toEqual(keys)
  })

  test('a process that has ended cannot be watched', async () => {
    const shell = new TestShell('read x')
    const table = new ProcessTable()
    const key = keyOf(table, shell.pid)
    await shell.kill()
    expect(table.watch(key)).toBe(false)
    expect(table.watchedCount).toBe(0)
    expect(table.watch(12345 as ProcessKey)).toBe(false)
  })

  test('who is not watched any more is not told, and costs no descriptor', async () => {
    await using shell = new TestShell('read x')
    const table = new ProcessTable()
    const key = keyOf(table, shell.pid)
    const before = descriptorCount()
    table.watch(key)
    expect(descriptorCount()).toBe(before + 1)
    table.unwatch(key)
    table.unwatch(key)
    expect(descriptorCount()).toBe(before)
    await shell.kill()
    expect(table.takeExits()).toEqual([])
  })
})

describe('describe', () => {
  test('a process that ended keeps the name it had; nobody has none', async () => {
    await using shell = new TestShell('read x')
    const table = new ProcessTable()
    const key = keyOf(table, shell.pid)
    table.watch(key)
    await shell.kill()
    table.takeExits()
    expect(table.describe(key)).toEqual({ pid: shell.pid, command: 'sh' })
    expect(table.describe(null)).toEqual({ pid: 0, command: '?' })
    expect(table.pidOf(key)).toBe(shell.pid)
    expect(table.uidOf(key)).toBe(process.getuid?.())
  })
})

describe('signal, kill: through the pidfd', () => {
  test('a process that is not watched is never reached', async () => {
    await using shell = new TestShell('read x')
    const table = new ProcessTable()
    const key = table.identify(shell.pid)?.key
    if (key === undefined) throw new Error('the shell is gone')
    expect(table.signal(key, { signo: 10, value: 1, registrar: 0 as Uid, mayKillAll: true })).toBe(false)
    expect(table.kill(key)).toBe(false)
    expect(table.watch(key)).toBe(true)
    expect(table.kill(key)).toBe(true)
    expect(waitReadable(table.exitFd, 5000)).toBe(true)
    expect(table.takeExits()).toEqual([key])
    expect(table.kill(key)).toBe(false)
  })

  test.skipIf(process.getuid?.() !== 0)(
    "mayBeKilledBy: kill(2)'s rule: real or effective user of the sender, real or saved one of the target (needs root)",
    async () => {
      const drop = 'exec setpriv --ruid 4001 --euid 4002 --clear-groups sh -c "echo ready; read x"'
      await using shell = new TestShell(drop)
      await shell.line()
      const table = new ProcessTable()
      const key = table.identify(shell.pid)?.key
      if (key === undefined || !table.watch(key)) throw new Error('the shell is gone')
      const may = (uid: number, realUid: number, mayKillAll = false) =>
        table.mayBeKilledBy(key, { uid, realUid, mayKillAll })
      // exec makes the effective user the saved one as well.
      expect([may(4001, 1), may(1, 4001), may(4002, 1), may(1, 4002), may(1, 1, true)]).toEqual(
        Array(5).fill(true),
      )
      expect([may(4003, 1), may(0, 0)]).toEqual([false, false])
    },
  )
})
