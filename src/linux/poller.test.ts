import { describe, expect, test } from 'vitest'
import { POLLHUP, POLLIN, POLLOUT } from './constants.js'
import { close, pipe, writeAll } from './files.js'
import { Poller, ReadinessSet } from './poller.js'
import { openPidfd } from './processes.js'
import * as raw from './raw.js'
import { TestShell } from './test-shell.js'

const BYTE = Buffer.from('x')

/** A pipe with something in it. */
function readable() {
  const ends = pipe()
  writeAll(ends.writeEnd, BYTE)
  return ends
}

function closeBoth({ readEnd, writeEnd }: { readEnd: number; writeEnd: number }) {
  close(readEnd)
  close(writeEnd)
}

describe('Poller', () => {
  test('nothing to wait for: the time passes and nothing is ready', () => {
    const before = performance.now()
    expect(new Poller().wait(20)).toBe(0)
    expect(performance.now() - before).toBeGreaterThanOrEqual(19)
  })

  test('calls the handlers of what is ready, with the events, and no other', () => {
    const poller = new Poller()
    const [full, empty] = [readable(), pipe()]
    const calls: string[] = []
    poller.add(full.readEnd, POLLIN, (revents) => calls.push(`full ${revents === POLLIN}`))
    poller.add(empty.readEnd, POLLIN, () => calls.push('empty'))
    poller.add(empty.writeEnd, POLLOUT, (revents) => calls.push(`writable ${revents === POLLOUT}`))
    expect(poller.wait(0)).toBe(2)
    expect(calls).toEqual(['full true', 'writable true'])
    closeBoth(full)
    closeBoth(empty)
  })

  test('a hangup is told without being asked for', () => {
    const poller = new Poller()
    const ends = pipe()
    const seen: number[] = []
    poller.add(ends.readEnd, POLLIN, (revents) => seen.push(revents))
    close(ends.writeEnd)
    poller.wait(0)
    poller.remove(ends.readEnd)
    close(ends.readEnd)
    poller.wait(0)
    expect(seen).toEqual([POLLHUP])
  })

  test('a handler that removes another one: that is not called any more', () => {
    const poller = new Poller()
    const [first, second] = [readable(), readable()]
    const calls: string[] = []
    poller.add(first.readEnd, POLLIN, () => {
      calls.push('first')
      poller.remove(second.readEnd)
    })
    poller.add(second.readEnd, POLLIN, () => calls.push('second'))
    expect(poller.wait(0)).toBe(2)
    expect(calls).toEqual(['first'])
    closeBoth(first)
    closeBoth(second)
  })

  test('a handler that replaces another one under the same number: what was ready is not told to the new one', () => {
    const poller = new Poller()
    const [first, second] = [readable(), readable()]
    const empty = pipe()
    const calls: string[] = []
    poller.add(first.readEnd, POLLIN, () => {
      calls.push('first')
      poller.remove(first.readEnd)
      poller.remove(second.readEnd)
      // The number now leads to a pipe with nothing in it.
      raw.dup3(empty.readEnd, second.readEnd, 0)
      poller.add(second.readEnd, POLLIN, () => calls.push('new'))
    })
    poller.add(second.readEnd, POLLIN, () => calls.push('second'))
    poller.wait(0)
    expect(poller.wait(0)).toBe(0)
    expect(calls).toEqual(['first'])
    for (const ends of [first, second, empty]) closeBoth(ends)
  })

  test('a handler that is added while others run is called from the next time on', () => {
    const poller = new Poller()
    const [first, second] = [readable(), readable()]
    const calls: string[] = []
    poller.add(first.readEnd, POLLIN, () => {
      calls.push('first')
      poller.remove(first.readEnd)
      poller.add(second.readEnd, POLLIN, () => calls.push('second'))
    })
    poller.wait(0)
    expect(calls).toEqual(['first'])
    poller.wait(0)
    expect(calls).toEqual(['first', 'second'])
    closeBoth(first)
    closeBoth(second)
  })

  test('a handler that removes itself and throws leaves the others in order', () => {
    const poller = new Poller()
    const [first, second] = [readable(), readable()]
    const calls: string[] = []
    poller.add(first.readEnd, POLLIN, () => {
      poller.remove(first.readEnd)
      throw new Error('a bug')
    })
    poller.add(second.readEnd, POLLIN, () => calls.push('second'))
    expect(() => poller.wait(0)).toThrow('a bug')
    expect(poller.wait(0)).toBe(1)
    expect(calls).toEqual(['second'])
    closeBoth(first)
    closeBoth(second)
  })
})

describe('ReadinessSet', () => {
  test('names the members that are readable, again until they are read or removed', () => {
    const set = new ReadinessSet()
    const [full, empty] = [readable(), pipe()]
    set.add(full.readEnd)
    set.add(empty.readEnd)
    expect(set.ready()).toEqual([full.readEnd])
    expect(set.ready()).toEqual([full.readEnd])
    set.remove(full.readEnd)
    expect(set.ready()).toEqual([])
    set.close()
    closeBoth(full)
    closeBoth(empty)
  })

  test('tells of more members than fit into one batch', () => {
    const set = new ReadinessSet()
    const pipes = Array.from({ length: 150 }, readable)
    for (const { readEnd } of pipes) set.add(readEnd)
    const seen = new Set<number>()
    for (let ready = set.ready(); ready.length > 0; ready = set.ready()) {
      for (const fd of ready) {
        seen.add(fd)
        set.remove(fd)
      }
    }
    expect(seen.size).toBe(150)
    set.close()
    pipes.forEach(closeBoth)
  })

  test('a pidfd becomes readable when its process ends, and a Poller sees it', async () => {
    await using shell = new TestShell('read x')
    const set = new ReadinessSet()
    const pidfd = openPidfd(shell.pid)
    expect(pidfd).not.toBeNull()
    set.add(pidfd ?? -1)
    const poller = new Poller()
    let wakes = 0
    poller.add(set.fd, POLLIN, () => wakes++)
    expect(poller.wait(0)).toBe(0)
    expect(set.ready()).toEqual([])
    await shell.kill()
    expect(poller.wait(1000)).toBe(1)
    expect(wakes).toBe(1)
    expect(set.ready()).toEqual([pidfd])
    set.close()
    close(pidfd ?? -1)
  })

  test('removing what is no member is an error, not a silent loss', () => {
    const set = new ReadinessSet()
    const ends = pipe()
    expect(() => set.remove(ends.readEnd)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    set.close()
    closeBoth(ends)
  })
})
